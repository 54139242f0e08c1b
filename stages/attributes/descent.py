"""AttrOP's loop: gradient descent on conditions, with an end.

The official loop repeats a step until the mean of its batch passes; one identity that never does keeps it running for
ever (issue 18 of HaiyuWu/Vec2Face). Here each row passes or fails by itself, and all end with the last step.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from stages.attributes.critic import Critic, loss
from stages.generators import Differentiable
from stages.settings.generate import Attributes

BETAS = (0.8, 0.95)  # of Adam; with its usual ones a few dozen steps are governed by the first, whose pose is far off
WINDOW = 4  # steps over which a row's attributes are averaged where each step draws it anew
COSINE, NORM, YAW, PITCH, STEPS, ACCEPTED = range(6)  # columns of what was reached


@dataclass(frozen=True)
class Target:
    """What is asked for beside identity and quality, which `Attributes` holds.

    `pose_deg` (b, 2): yaw and pitch, within `tolerance_deg`; None: any pose, each step draws another image of the row
    and what counts is the mean of the last ones. So rows are fitted, not single images; with a pose it is one image
    that is asked for, and its seed stays.
    """

    pose_deg: np.ndarray | None = None
    tolerance_deg: float = 0.0

    def of(self, rows: slice) -> "Target":
        """Return what is asked for of some rows."""
        return Target(None if self.pose_deg is None else self.pose_deg[rows], self.tolerance_deg)


def descend(
    generator: Differentiable, critic: Critic, x: np.ndarray, condition: np.ndarray, seeds: np.ndarray, target: Target,
    cfg: Attributes,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Move conditions (b, c) of unit rows x (b, d) until each face passes; returns them and what was reached (b, 6).

    What was reached: cosine to the row, feature norm, yaw and pitch in degrees, steps taken, and 1 where that passes. A
    row that passes stays where it is; one that has not after `cfg.steps` steps has failed. Rows are independent: Adam
    keeps its state for each number, and the generator always draws the same `rows_at_once` of them.
    """
    moving = torch.from_numpy(condition.astype(np.float32)).clone().requires_grad_()
    optimiser = torch.optim.Adam([moving], cfg.rate, BETAS)
    recent = deque(maxlen=1 if target.pose_deg is not None else min(WINDOW, cfg.steps + 1))
    active, out = np.arange(len(x)), condition.astype(np.float32)
    reached = np.zeros((len(x), 6), np.float32)
    for step in range(cfg.steps + 1):
        optimiser.zero_grad()
        shown = seeds if target.pose_deg is not None else seeds + step
        recent.append(_look(generator, critic, x, moving, shown, target, cfg, active))
        reached[active, :STEPS] = np.mean(recent, 0)[active]
        reached[active, STEPS] = step
        out[active] = moving.detach().numpy()[active]
        if len(recent) == recent.maxlen:
            passed = active[_passes(reached[active], target, cfg, active)]
            reached[passed, ACCEPTED] = 1
            active = np.setdiff1d(active, passed)
        if not len(active):
            break
        optimiser.step()
    return out, reached


def _look(
    generator: Differentiable, critic: Critic, x: np.ndarray, moving: torch.Tensor, seeds: np.ndarray, target: Target,
    cfg: Attributes, active: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Draw the active rows, leave the gradient of their losses in `moving`, and return what was seen (b, 4)."""
    seen = np.zeros((len(x), STEPS), np.float32)
    for rows, counts in _parts(len(x), generator.rows_at_once, active):
        faces = generator.draw(moving[rows], seeds[rows])
        found = critic.look(faces, torch.from_numpy(x[rows]), generator.frame_px)
        asked = None if target.pose_deg is None else torch.from_numpy(target.pose_deg[rows].astype(np.float32))
        loss(found, asked, cfg.min_norm)[torch.from_numpy(counts)].sum().backward()
        with torch.no_grad():
            all_seen = torch.cat([found.cosine[:, None], found.norm[:, None], found.pose_deg], 1)
        seen[rows[counts]] = all_seen.numpy()[counts]
    return seen


def _parts(rows: int, size: int, active: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield `size` rows at a time, the last ones filled up, and whether each is active; parts without any are skipped.

    A row keeps its place among the same rows: sums round differently elsewhere, and a descent amplifies that.
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
