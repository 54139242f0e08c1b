"""What AttrOP achieved: identity centres that it accepted, and images at designated poses."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stages.attributes import pose, record
from stages.common import sphere
from stages.common.images import Shards
from stages.common.networks import Recogniser

Networks = Mapping[str, tuple[Recogniser, np.ndarray]]  # by name: a network, and its row of each identity (m, d)


def measured(networks: Networks) -> dict[str, Any]:
    """Return how many centres AttrOP accepted, and how near images at designated poses come to those poses.

    The judge's rows are the centres of the identities' other images: it had no part in AttrOP.
    """
    reached = record.read()
    centres, poses = record.of_kind(reached, "centre"), record.of_kind(reached, "pose")
    branch: dict[str, Any] = {}
    if len(centres):
        branch["centres"] = {"tried": len(centres), "accepted": int(centres["accepted"].to_numpy().sum())}
    if len(poses):
        drawn = poses.filter(poses["accepted"])
        branch["poses"] = {
            "asked": len(poses),
            "drawn": len(drawn),
            **(designated(drawn, networks) if len(drawn) else {}),
        }
    return branch


def designated(drawn: pa.Table, networks: Networks) -> dict[str, Any]:
    """Return the errors of yaw and pitch of the images drawn, and their cosines to the identities' rows.

    The pose is measured by the network that also guided AttrOP; its card says how far to trust it.
    """
    shards = Shards("data/generate", "poses-*.arrow")
    faces, who = shards.faces(), shards.column("identity")
    with torch.no_grad():
        pose_deg = pose.load().degrees(torch.from_numpy(faces).float(), shards.frame_px).numpy()
    branch: dict[str, Any] = {}
    for name, measured_deg in zip(("yaw", "pitch"), pose_deg.T, strict=True):
        error = np.abs(measured_deg - drawn[f"asked_{name}_deg"].to_numpy())
        branch[f"{name}_error_deg"] = {"mean": error.mean(), "max": error.max()}
    rows = {name: sphere.unit_rows(net.embed(faces, shards.frame_px)) for name, (net, _) in networks.items()}
    cosine = {name: (rows[name] * x[who]).sum(1).mean() for name, (_, x) in networks.items()}
    return {**branch, "cosine": cosine}
