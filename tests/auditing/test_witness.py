"""What a witness says, on known answers."""

from pathlib import Path

import numpy as np
import pytest
from test_audit import CFG, clusters

from stages.auditing import measures, witness
from stages.auditing.faces import Numbered
from stages.common import artifacts
from stages.metrics.faces import Faces

KINDS = ("packed", "gallery", "gaussian", "unrelated")


def seen(length: float = 1) -> dict[str, Numbered]:
    """Return twelve people of each kind, four images each, with rows of this length."""
    people = {kind: clusters(12, 4, noise=0.02 + 0.1 * i, seed=i)[0] for i, kind in enumerate(KINDS)}
    return {kind: (Faces(length * x.x, x.identity), np.tile(np.arange(4), 12)) for kind, x in people.items()}


def test_the_witness_is_measured_as_the_judge_is(tmp_path: Path):
    rows = seen()
    branch = witness.measured(rows, None, CFG, tmp_path)
    capacity, curves = measures.capacities(rows, rows["unrelated"][0], CFG)
    assert branch["capacity"] == capacity and "usual_threshold" not in branch
    assert branch["fidelity"] == {kind: measures.judged(*rows[kind], 0) for kind in KINDS[:3]}
    for kind in KINDS:
        np.testing.assert_array_equal(artifacts.read_array(tmp_path / f"witness-confused-{kind}.npy"), curves[kind])


@pytest.mark.parametrize(("length", "share"), [(1.0, 0.0), (0.01, 1.0)])
def test_its_usual_threshold_is_a_distance_of_rows_at_their_own_length(tmp_path: Path, length: float, share: float):
    usual = witness.measured(seen(length), 0.6, CFG, tmp_path)["usual_threshold"]
    assert usual == {"distance": 0.6, "taken_for_one": share}


def test_pairs_that_are_nearer_are_taken_for_one():
    x = np.array([[0.0, 0], [0, 0.5], [0, 1.0], [3, 0]])  # distances 0.5, 1, 3, 0.5, 3.04, 3.16
    assert witness.taken_for_one(x, 0.6) == pytest.approx(2 / 6)
    assert witness.taken_for_one(x, 0.5) == 0
    assert witness.taken_for_one(x, 3.1) == pytest.approx(5 / 6)
