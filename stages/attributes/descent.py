"""AttrOP's loop: gradient descent on conditions, with an end.

The official loop repeats steps until the mean of its batch passes; one identity that never passes keeps it running for
ever (issue 18 of HaiyuWu/Vec2Face). Here each row passes or fails by itself, and the last step ends all.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from stages.attributes.critic import Critic, loss
from stages.generators import Differentiable
from stages.settings.generate import Attributes

BETAS = (0.8, 0.95)  # of Adam; its usual ones would let the first step, whose pose is far off, govern a few dozen
WINDOW = 4  # steps over which a row's attributes are averaged where every step draws another image
COSINE, NORM, YAW, PITCH, STEPS, ACCEPTED = range(6)  # columns of what was reached


@dataclass(frozen=True)
class Target:
    """The pose that is asked for; `Attributes` holds what identity and quality must be.

    `pose_deg` (b, 2): yaw and pitch, within `tolerance_deg`. One image is fitted, and its seed stays. None: any pose.
    The row is fitted, not a single image: each step draws another image of it, and the mean of the last ones counts.
    """

    pose_deg: np.ndarray | None = None
    tolerance_deg: float = 0.0

    def part(self, rows: slice) -> "Target":
        """Return what is asked for of some rows."""
        return Target(None if self.pose_deg is None else self.pose_deg[rows], self.tolerance_deg)


def descend(
    generator: Differentiable, critic: Critic, x: np.ndarray, condition: np.ndarray, seeds: np.ndarray, target: Target,
    cfg: Attributes,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Move conditions (b, c) of unit rows x (b, d) until each face passes; returns them and what was reached (b, 6).

    What was reached: cosine to the row, feature norm, yaw and pitch in degrees, steps taken, and 1 for a row that
    passed. A row that passes stays where it is; one that has not passed after `cfg.steps` steps has failed. Rows are
    independent: Adam keeps its state for each number, and the generator always draws the same `rows_at_once` of them.
    """
    moving = torch.from_numpy(condition.astype(np.float32)).clone().requires_grad_()
    optimiser = torch.optim.Adam([moving], cfg.lr, BETAS)
    recent = deque(maxlen=1 if target.pose_deg is not None else min(WINDOW, cfg.steps + 1))
    active, moved = np.arange(len(x)), condition.astype(np.float32)
    reached = np.zeros((len(x), 6), np.float32)
    for step in range(cfg.steps + 1):
        optimiser.zero_grad()
        step_seeds = seeds if target.pose_deg is not None else seeds + step
        recent.append(_look(generator, critic, x, moving, step_seeds, target, cfg, active))
        reached[active, :STEPS] = np.mean(recent, 0)[active]
        reached[active, STEPS] = step
        moved[active] = moving.detach().numpy()[active]
        if len(recent) == recent.maxlen:
            passed = active[_passes(reached[active], target, cfg, active)]
            reached[passed, ACCEPTED] = 1
            active = np.setdiff1d(active, passed)
        if not len(active):
            break
        optimiser.step()
    return moved, reached


def _look(
    generator: Differentiable, critic: Critic, x: np.ndarray, moving: torch.Tensor, seeds: np.ndarray, target: Target,
    cfg: Attributes, active: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Draw the active rows, leave the gradient of their losses in `moving`, and return what was seen (b, 4)."""
    attributes = np.zeros((len(x), STEPS), np.float32)
    for rows, counts in _parts(len(x), generator.rows_at_once, active):
        faces = generator.draw(moving[rows], seeds[rows])
        seen = critic.look(faces, torch.from_numpy(x[rows]), generator.frame_px)
        asked_deg = None if target.pose_deg is None else torch.from_numpy(target.pose_deg[rows].astype(np.float32))
        loss(seen, asked_deg, cfg.min_norm)[torch.from_numpy(counts)].sum().backward()
        with torch.no_grad():
            values = torch.cat([seen.cosine[:, None], seen.norm[:, None], seen.pose_deg], 1)
        attributes[rows[counts]] = values.numpy()[counts]
    return attributes


def _parts(rows: int, size: int, active: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield `size` rows at a time, the last ones filled up, and whether each is active; parts without any are skipped.

    A row keeps its place among the same rows: in another place sums round differently, and a descent amplifies that.
    """
    for start in range(0, rows, size):
        part = np.arange(start, start + size)
        counts = np.isin(part, active)
        if counts.any():
            yield np.minimum(part, rows - 1), counts


def _passes(reached: np.ndarray, target: Target, cfg: Attributes, rows: np.ndarray) -> np.ndarray:
    passed = (reached[:, COSINE] >= cfg.min_cosine) & (reached[:, NORM] >= cfg.min_norm)
    if target.pose_deg is None:
        return passed
    error_deg = np.abs(reached[:, [YAW, PITCH]] - target.pose_deg[rows])
    return passed & (error_deg <= target.tolerance_deg).all(1)
