"""What a witness sees: a network of other people's, which judges beside the judge.

What our own world raised, recogniser and judge alike, may share its blind spots. A network that was trained on
photographs has others. It looks at the images drawn without perturbation and at unrelated people, not at whole training
sets: it may be slow.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist

from stages.auditing import faces, measures
from stages.auditing.faces import Numbered, People
from stages.common import artifacts
from stages.common.images import Shards
from stages.common.networks import Recogniser
from stages.settings.audit import Audit

CONTROL = ("packed", "gallery", "gaussian")
COMPARED = 1000  # unrelated people at most of whom all pairs are compared at the network's own threshold


def seen(network: Recogniser, generated: Path, unrelated: People, folder: Path) -> dict[str, Numbered]:
    """Return what the witness sees, all ranks together; rows are memory-mapped files of `folder`."""
    people = {kind: faces.of_shards(Shards(generated, f"control-{kind}-*.arrow")) for kind in CONTROL}
    kinds = {**people, "unrelated": unrelated}
    return {kind: faces.embedded({"witness": network}, x, folder, kind)["witness"] for kind, x in kinds.items()}


def measured(seen: Mapping[str, Numbered], same_person: float | None, cfg: Audit, folder: Path) -> dict[str, Any]:
    """Return how many identities fit and how surely the witness tells them; writes the curves into `folder`.

    same_person: the distance below which the network takes two photographs for one person's, where it states one.
    """
    unrelated, index = seen["unrelated"]
    capacity, curves = measures.capacities(seen, unrelated, cfg)
    for kind, share in curves.items():
        artifacts.write_array(folder / f"witness-confused-{kind}.npy", share)
    judged = {kind: measures.judged(*seen[kind], cfg.seed) for kind in CONTROL}
    branch = {"recogniser": cfg.witness.recogniser, "fidelity": judged, "capacity": capacity}
    if same_person is not None:
        share = taken_for_one(unrelated.x[index == 0], same_person)
        branch["usual_threshold"] = {"distance": same_person, "taken_for_one": share}
    return branch


def taken_for_one(x: np.ndarray, distance: float) -> float:
    """Return the share of pairs of different people's rows x (m, d), one each, that are less than `distance` apart."""
    return float((pdist(x[:COMPARED]) < distance).mean())
