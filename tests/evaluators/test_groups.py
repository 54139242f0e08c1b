"""Accuracy by group: each group as a protocol of its own, and the gap with the draws of all."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from benchmark import CFG, write_pairs
from refusal import refused

from stages.common import tables, verification
from stages.evaluators import Benchmark, groups
from stages.evaluators.pairs import raw
from stages.metrics import bootstrap, grouped
from stages.metrics.bootstrap import Pairs


@pytest.fixture
def by_kind(tmp_path: Path) -> Benchmark:
    """Return pairs of which a third is easy, a third hard and a third in no group."""
    benchmark = write_pairs(tmp_path, people=40, images=4, pairs=600)
    tables.write(tmp_path / "groups.arrow", pa.table({"kind": np.tile(["easy", "hard", ""], 200)}))
    return benchmark


def rows(benchmark: Benchmark) -> np.ndarray:
    who, rng = benchmark.shards.column("identity"), np.random.default_rng(0)
    x = rng.normal(size=(who.max() + 1, 16))[who] + rng.normal(size=(len(who), 16))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def test_a_group_is_a_protocol_of_its_own(by_kind: Benchmark):
    kind, x = groups.Kind(by_kind, CFG), rows(by_kind)
    (part,), ((estimate, _),) = kind.parts(), kind.measure([x], [0])
    assert part.key.endswith("-by-kind") and part.about == {"pairs": {"easy": 200, "hard": 200}}
    assert estimate.names == part.metrics == ("accuracy_easy", "accuracy_hard", "accuracy_gap")
    score, p = raw(x, kind.pairs), kind.pairs
    members = [np.arange(600) % 3 == i for i in (0, 1)]
    expected = [verification.ten_fold_accuracy(score[m], p.same[m], p.fold[m])[0] for m in members]
    assert estimate.value[:2].tolist() == pytest.approx(expected)
    assert estimate.value[2] == pytest.approx(max(expected) - min(expected))
    best, worst = np.argmax(expected), np.argmin(expected)
    np.testing.assert_allclose(estimate.replicates[:, 2], estimate.replicates[:, best] - estimate.replicates[:, worst])


def test_a_group_has_the_intervals_of_its_pairs_alone(by_kind: Benchmark):
    kind, x = groups.Kind(by_kind, CFG), rows(by_kind)
    score, p = raw(x, kind.pairs)[None], kind.pairs.people
    six = (p.identity_a < 6) & (p.identity_b < 6)  # people, of forty
    members = {"few": six, "many": ~six}
    estimate = grouped.estimate(score, p, members, 300, 0)
    for g, m in enumerate(members.values()):
        alone = Pairs(p.same[m], p.fold[m], p.identity_a[m], p.identity_b[m])
        by_itself = bootstrap.estimate(score[:, m], alone, CFG.rates.fars, 300, 0)
        errors = [bootstrap.spread(e.replicates, [e.per_seed]).error for e in (estimate, by_itself)]
        assert errors[0][g] == pytest.approx(errors[1][0])


def test_a_list_of_another_length_is_refused(by_kind: Benchmark):
    tables.write(by_kind.folder / "groups.arrow", pa.table({"kind": ["easy", "hard"]}))
    with refused("groups.arrow", key="rows", value=2, allowed="600, one a pair"):
        groups.Kind(by_kind, CFG)
