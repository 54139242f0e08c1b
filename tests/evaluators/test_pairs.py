"""Pairs in folds: the two conventions on one benchmark, and what cannot be measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmark import CFG, write_pairs
from refusal import refused

from stages.common.errors import InputError
from stages.common.evaluate import Rates
from stages.evaluators import Benchmark, pairs
from stages.metrics import insightface


def rows(benchmark: Benchmark, d: int = 16) -> np.ndarray:
    """Return unit rows of the images, alike where they show one person."""
    who = benchmark.shards.column("identity")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(who.max() + 1, d))[who] + rng.normal(size=(len(who), d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def values(kind: pairs.Kind, x: np.ndarray) -> dict[str, float]:
    (part, *_), ((estimate, _), *_) = kind.parts(), kind.measure([x], [0])
    assert estimate.names == part.metrics
    return dict(zip(estimate.names, estimate.value.tolist(), strict=True))


@pytest.fixture
def lfw(tmp_path: Path) -> Benchmark:
    return write_pairs(tmp_path, people=40, images=4, pairs=400)


def test_by_insightface_s_convention_accuracy_is_theirs_and_all_else_is_ours(lfw: Benchmark):
    x = rows(lfw)
    ours, theirs = pairs.Kind(lfw, CFG), pairs.Kind(lfw, replace(CFG, convention="insightface"))
    assert not ours.mirrored and theirs.mirrored
    found = values(theirs, x)
    p = ours.pairs
    parts = insightface.folds(insightface.distances(x[p.a], x[p.b]), p.same, np.ones((1, len(p.a)), np.int32))
    assert found.pop("accuracy") == insightface.accuracies(parts).mean()
    assert found.pop("val_at_far_0.001") == insightface.validation(parts)[0].mean()
    rest = values(ours, x)
    assert found == {name: rest[name] for name in found} and list(rest)[0] == "accuracy"


def test_photographs_are_mirrored_and_centred_by_our_convention_alone(lfw: Benchmark):
    photographs = replace(lfw, domain="external")
    for convention, keys in (("ours", ["p", "p-centred"]), ("insightface", ["p"])):
        kind = pairs.Kind(photographs, replace(CFG, convention=convention))
        assert kind.mirrored and [part.key for part in kind.parts()] == keys


def test_a_rate_that_the_pairs_cannot_resolve_is_missing_and_says_why(lfw: Benchmark):
    kind = pairs.Kind(lfw, replace(CFG, rates=Rates(fars=[0.1, 0.004])))
    found = values(kind, rows(lfw))
    assert found["tar_at_far_0.1"] > 0 and np.isnan(found["tar_at_far_0.004"])
    impostors = int((~kind.pairs.same).sum())
    (line,) = kind.parts()[0].about["unresolved"]
    assert line == f"FAR 0.004 takes 250 impostor comparisons, here are {impostors}"


def test_a_tenth_of_one_kind_has_no_validation_rate(tmp_path: Path):
    lfw = write_pairs(tmp_path, people=40, images=4, pairs=400, in_order=True)
    pairs.Kind(lfw, CFG)
    with refused("pairs.arrow", "pairs of one kind", key="tenth 1"):
        pairs.Kind(lfw, replace(CFG, convention="insightface"))


def test_pairs_of_one_class_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="genuine and impostor ones, in two folds or more"):
        pairs.Kind(write_pairs(tmp_path, people=40, images=4, pairs=40, genuine=1.0), CFG)
