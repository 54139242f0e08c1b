"""What came of AttrOP: centres accepted, and images at designated poses."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stages.attributes import pose, record
from stages.common import sphere
from stages.common.images import Shards
from stages.common.networks import Recogniser

Asked = Mapping[str, tuple[Recogniser, np.ndarray]]  # by name: a network, and each identity's row by it (m, d)


def measured(networks: Asked) -> dict[str, Any]:
    """Return how many centres AttrOP accepted, and how near images at designated poses are to what was asked.

    The judge's rows are the centres of the identities' other images: it had no part in AttrOP.
    """
    reached = record.read()
    centres, poses = record.of(reached, "centre"), record.of(reached, "pose")
    found: dict[str, Any] = {}
    if len(centres):
        found["centres"] = {"tried": len(centres), "accepted": int(centres["accepted"].to_numpy().sum())}
    if len(poses):
        drawn = poses.filter(poses["accepted"])
        found["poses"] = {
            "asked": len(poses),
            "drawn": len(drawn),
            **(designated(drawn, networks) if len(drawn) else {}),
        }
    return found


def designated(drawn: pa.Table, networks: Asked) -> dict[str, Any]:
    """Return the errors of yaw and pitch and the cosines of the images drawn, as they were written.

    The pose is measured by the network that also guided AttrOP; its card says how far to trust it.
    """
    shards = Shards("data/generate", "poses-*.arrow")
    faces, who = shards.faces(), shards.column("identity")
    with torch.no_grad():
        pose_deg = pose.load().degrees(torch.from_numpy(faces).float(), shards.frame_px).numpy()
    found: dict[str, Any] = {}
    for name, pose_found in zip(("yaw", "pitch"), pose_deg.T, strict=True):
        error = np.abs(pose_found - drawn[f"asked_{name}_deg"].to_numpy())
        found[f"{name}_error_deg"] = {"mean": error.mean(), "max": error.max()}
    rows = {name: sphere.unit_rows(net.embed(faces, shards.frame_px)) for name, (net, _) in networks.items()}
    cosine = {name: (rows[name] * x[who]).sum(1).mean() for name, (_, x) in networks.items()}
    return {**found, "cosine": cosine}
