"""The embedded generator: an inverter, a bounded refinement through renderer and recogniser, and the renderer.

Its conditions are identity parameters of the face world (b, IDENTITY_DIM). Two more columns may follow, yaw and pitch
in units of POSE_DEG, in place of those of the seed's style. This deviates from Vec2Face, whose rows hold the pose: here
pose belongs to the style, and so AttrOP moves the style's pose beside the person.
"""

import numpy as np
import torch
from torch import Tensor

from stages.backbones.inverter import Inverter
from stages.common import artifacts, images, networks
from stages.common.errors import InputError
from stages.common.params import below_data
from stages.common.world import World
from stages.settings.generate import Generate
from stages.world import identity, render, style

REFINE_RATE = 0.25  # Adam's step, in standard deviations of an identity parameter
PRIOR = 0.001  # weight of the sum of squared parameters beside 1 - cosine: keeps the person likely
POSE = [style.column("yaw_deg"), style.column("pitch_deg")]
POSE_DEG = 30.0  # so that a step of AttrOP moves the pose as far as the person, in standard deviations
CHUNK = 128  # the inverter sees so many rows at a time, padded, so that a row does not depend on the batch around it


class EmbeddedGenerator:
    """Draws studio faces of embedding rows."""

    domain, frame_px = "studio", images.FRAME_PX
    rows_at_once = 5

    def __init__(
        self, recogniser: networks.Embedded, inverter: Inverter, size_px: int, spread: float, refine_steps: int
    ) -> None:
        """Hold the recogniser whose rows are drawn, its inverter, and the style's spread."""
        self.recogniser, self.inverter = recogniser, inverter.eval()
        self.size_px, self.spread, self.refine_steps = size_px, spread, refine_steps
        for parameter in [*recogniser.net.parameters(), *inverter.parameters()]:
            parameter.requires_grad_(False)

    def invert(self, x: np.ndarray) -> Tensor:
        """Return the inverter's identity parameters (b, IDENTITY_DIM) of unit rows (b, d).

        Raises InputError when these are rows of another recogniser.
        """
        d = self.recogniser.embedding_size
        if x.shape[1] != d:
            allowed = f"{d} with generate.backend = 'embedded'"
            raise InputError("data/pack", key="embedding size", value=x.shape[1], allowed=allowed)
        parts = []
        for start in range(0, len(x), CHUNK):
            rows = torch.zeros(CHUNK, x.shape[1])
            part = torch.from_numpy(x[start : start + CHUNK])
            rows[: len(part)] = part
            with torch.no_grad():
                parts.append(self.inverter(rows)[: len(part)])
        return torch.cat(parts)

    def condition(self, x_id: np.ndarray, norms: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return identity parameters (m, IDENTITY_DIM): the inverter's, refined towards cos(F(G(x)), x) = 1.

        Each step renders every identity once in a new style drawn from its seed, so that the person is fitted and not a
        single picture. Adam keeps its state per row: rows stay independent. The result is the mean over the second
        half of the steps, which averages out the noise of the styles. Norms are not used.
        """
        z = self.invert(x_id).requires_grad_()
        target = torch.from_numpy(x_id)
        optimiser = torch.optim.Adam([z], REFINE_RATE, betas=(0.8, 0.95))
        course = [z.detach().clone()]
        for step in range(self.refine_steps):
            styles = style.sample(seeds + step, self.domain, self.spread)
            faces = render.render(z, styles, self.domain, self.recogniser.size_px)
            features = self.recogniser.features(faces.permute(0, 2, 3, 1) * 255)
            fit = torch.nn.functional.cosine_similarity(features, target)
            loss = (1 - fit).sum() + PRIOR * z.square().sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            course.append(z.detach().clone())
        return torch.stack(course[len(course) // 2 :]).mean(0).numpy()

    def perturbed(self, condition: np.ndarray, x_id: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the inverter's parameters of x plus what refinement added at its centre."""
        return condition + (self.invert(x) - self.invert(x_id)).numpy()

    def mixed(self, condition_a: np.ndarray, condition_b: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        """Return the weighted mean of two people's parameters, as SynFace mixes 3DMM coefficients."""
        share = ratio[:, None].astype(np.float32)
        return share * condition_a + (1 - share) * condition_b

    def generate(self, condition: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return faces uint8 (b, size_px, size_px, 3) RGB."""
        z, styles = self._scenes(torch.from_numpy(condition), seeds)
        return render.photograph(z, styles, seeds, self.domain, self.size_px)

    def movable(self, condition: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return conditions with the yaw and pitch of the seeds' styles (b, IDENTITY_DIM + 2)."""
        pose = style.sample(seeds, self.domain, self.spread)[:, POSE] / POSE_DEG
        return np.concatenate([condition, pose.numpy()], 1)

    def draw(self, condition: Tensor, seeds: np.ndarray) -> Tensor:
        """Return faces (b, 3, s, s) in [0, 1] at the recogniser's size, differentiable in person and pose."""
        return render.render(*self._scenes(condition, seeds), self.domain, self.recogniser.size_px)

    def _scenes(self, condition: Tensor, seeds: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return identity parameters and styles; the pose of the conditions takes the place of the seeds' one."""
        z, pose = condition.tensor_split([identity.IDENTITY_DIM], 1)
        styles = style.sample(seeds, self.domain, self.spread)
        if pose.shape[1]:
            low, high = torch.tensor(style.limits())[POSE].T
            styles = styles.index_copy(1, torch.tensor(POSE), (POSE_DEG * pose).clamp(low, high))
        return z, styles


def load(cfg: Generate, world: World) -> EmbeddedGenerator:
    """Return the generator of the pretrained networks; raises InputError when a file is missing or does not fit."""
    recogniser = networks.load(below_data(cfg.weights) / "recogniser")
    network = below_data(cfg.weights) / "inverter"
    tensors, card = artifacts.read_weights(network)
    try:
        inverter = Inverter(card["embedding_size"], identity.IDENTITY_DIM, card["width"], card["blocks"])
        inverter.load_state_dict(tensors)
    except (KeyError, RuntimeError) as error:
        raise InputError(network, f"not the inverter of this face world: {artifacts.brief(error, 160)}") from error
    return EmbeddedGenerator(recogniser, inverter, world.size_px, world.spread.studio, cfg.refine_steps)
