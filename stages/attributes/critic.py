"""What AttrOP measures on a face: whose it is, how good the picture is, and where it looks."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from stages.attributes import pose
from stages.attributes.pose import PoseNetwork
from stages.common import recognisers
from stages.common.params import Network

IDENTITY_WEIGHT = 100.0  # of 1 - cosine, beside 1 for the feature norm and 1 for a degree, as in the official loop
NORM_AHEAD = 1.0  # the descent aims this far above the least norm: the official loop aims at 27 and accepts 26


@runtime_checkable
class Features(Protocol):
    """A recogniser with gradients."""

    def features(self, x: Tensor, frame_px: float | None = None) -> Tensor:
        """Return un-normalised embeddings (b, d) of faces (b, h, w, 3) RGB float in [0, 255], as `embed` takes them."""
        ...


@dataclass(frozen=True)
class Seen:
    """What the critic measures on b faces: tensors (b,), and pose_deg (b, 2), yaw and pitch."""

    cosine: Tensor
    norm: Tensor
    pose_deg: Tensor


class Critic:
    """Judges faces by three networks, all differentiable."""

    def __init__(self, recogniser: Features, scorer: Features, pose: PoseNetwork) -> None:
        """Hold the recogniser of the rows, the one whose feature norm is the quality, and the pose network."""
        self.recogniser, self.scorer, self.pose = recogniser, scorer, pose

    def look(self, faces: Tensor, x: Tensor, frame_px: float | None = None) -> Seen:
        """Return what is seen on faces (b, 3, h, w) in [0, 1] that were drawn of rows x (b, d); differentiable.

        frame_px: what the faces show of ArcFace's template; None: what each network wants.
        """
        pixels = 255 * faces.permute(0, 2, 3, 1)
        features = self.recogniser.features(pixels, frame_px)
        scored = features if self.scorer is self.recogniser else self.scorer.features(pixels, frame_px)
        cosine = torch.cosine_similarity(features, x)
        return Seen(cosine, torch.linalg.vector_norm(scored, dim=1), self.pose.degrees(pixels, frame_px))


def loss(seen: Seen, asked_deg: Tensor | None, min_norm: float) -> Tensor:
    """Return AttrOP's loss of each face (b,); asked_deg (b, 2): yaw and pitch, or None for any pose.

    The official loss takes a yaw of either sign and any pitch; here both must be as asked.
    """
    total = IDENTITY_WEIGHT * (1 - seen.cosine) + torch.relu(min_norm + NORM_AHEAD * (min_norm > 0) - seen.norm)
    return total if asked_deg is None else total + (seen.pose_deg - asked_deg).abs().sum(1)


def load(quality: Network, rows: Network) -> Critic:
    """Return the critic of rows by the recogniser of section `embed`; raises InputError when a network is missing."""
    recogniser = _features(rows)
    return Critic(recogniser, recogniser if quality == rows else _features(quality), pose.load())


def _features(network: Network) -> Features:
    recogniser = recognisers.load(network)
    assert isinstance(recogniser, Features)  # `validate` refuses other backends
    return recogniser
