"""Templates: pooling by hand, 1:1 and 1:N beside plain references, and lists that cannot be right."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmark import CFG, write_searches, write_templates
from refusal import refused

from stages.common import tables, verification
from stages.common.evaluate import Rates, Templates
from stages.common.templates import COMPARISONS, IMAGES, PROBES
from stages.evaluators import Benchmark, closed_set, open_set, pooling, templates

X = np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 3.0], [4.0, 0.0], [0.0, 4.0]], np.float32)
SMALL = pooling.Templates(
    np.array([0, 0, 0, 1, 1]), np.array([7, 9, 9, 9, 8]), np.array([1, 0.5, 0.5, 1, 0.25]), np.array([3, 4])
)


@pytest.fixture
def ijb(tmp_path: Path) -> Benchmark:
    return write_templates(tmp_path)


def rows(benchmark: Benchmark, noise: float = 1.5) -> np.ndarray:
    """Return rows of some length, alike where images show one person."""
    who, rng = benchmark.shards.column("identity"), np.random.default_rng(0)
    return (5 * (rng.normal(size=(who.max() + 1, 12))[who] + noise * rng.normal(size=(len(who), 12)))).astype("f")


def values(kind: templates.Kind | open_set.Kind, x: np.ndarray) -> dict[str, float]:
    (part,), ((estimate, scores),) = kind.parts(), kind.measure([x, x], [0, 1])
    assert estimate.names == part.metrics and scores is None and part.section == "templates"
    assert estimate.replicates.shape == (CFG.replicates, len(part.metrics))
    return dict(zip(estimate.names, estimate.value.tolist(), strict=True))


@pytest.mark.parametrize(
    ("norm", "detection", "expected"),
    [
        ("keep", "ignore", [[3, 2], [4, 4]]),  # 3, 0 and the mean of 0, 1 and 0, 3
        ("keep", "weigh", [[3, 1], [4, 1]]),
        ("discard", "ignore", [[1, 1], [1, 1]]),
        ("discard", "weigh", [[1, 0.5], [1, 0.25]]),
    ],
)
def test_a_template_is_the_sum_of_the_means_of_its_media(norm: str, detection: str, expected: list, monkeypatch):
    monkeypatch.setattr(pooling, "STEP", 2)
    cfg = replace(CFG, templates=Templates(norm=norm, detection=detection))  # pyright: ignore[reportArgumentType]
    unit = np.array(expected) / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(SMALL.pooled(X, cfg), unit, atol=1e-6)


def test_one_to_one_is_tar_at_far_of_pooled_rows(ijb: Benchmark):
    kind, x = templates.Kind(ijb, CFG), rows(ijb)
    pooled = x.reshape(-1, 2, 12).sum(axis=1)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    score = (pooled[kind.pairs.a] * pooled[kind.pairs.b]).sum(axis=1)
    same = kind.pairs.same
    assert values(kind, x) == {"tar_at_far_0.1": pytest.approx(verification.tar_at_far(score[same], score[~same], 0.1))}
    assert kind.parts()[0].about == {"comparisons": 128, "genuine": 16, "templates": 24, "identities": 8}


def test_one_to_many_is_the_mean_over_separate_galleries(ijb: Benchmark):
    kind, x = open_set.Kind(ijb, replace(CFG, rates=Rates(fars=[0.1], fpirs=[0.2, 0.01], ranks=[1, 2]))), rows(ijb)
    pooled = x.reshape(-1, 2, 12).sum(axis=1)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    expected = []
    for gallery in (np.array([0, 9, 18]), np.array([3, 12, 21])):  # people 0, 3, 6 and 1, 4, 7
        probes = np.setdiff1d(np.arange(24), np.arange(8) * 3)
        score = pooled[probes] @ pooled[gallery].T
        own = probes[:, None] // 3 == gallery // 3
        mated = own.any(axis=1)
        alarm = np.sort(score[~mated].max(axis=1))[::-1][int(0.2 * (~mated).sum())]
        first = (score.argmax(axis=1) == own.argmax(axis=1))[mated]
        expected.append(((first & (score.max(axis=1)[mated] > alarm)).mean(), first.mean()))
    found = values(kind, x)
    assert [found["tpir_at_fpir_0.2"], found["rank_1"]] == pytest.approx(np.mean(expected, axis=0).tolist())
    assert np.isnan(found["tpir_at_fpir_0.01"]) and found["rank_1"] <= found["rank_2"]
    about = kind.parts()[0].about
    assert about["unresolved"] == ["FPIR 0.01 takes 100 unmated probes, here are 10"]
    assert about["galleries"] == {"G1": 3, "G2": 3}


def test_a_rank_that_no_probe_can_miss_is_not_reported(ijb: Benchmark):
    kind = open_set.Kind(ijb, replace(CFG, rates=Rates(fars=[0.1], fpirs=[0.2], ranks=[1, 2, 3])))
    found = values(kind, rows(ijb))
    assert np.isnan(found["rank_3"]) and not np.isnan(found["rank_2"])
    assert kind.parts()[0].about["unresolved"] == ["Rank 3 takes a gallery of more than 3 templates, here are 3"]


def test_without_noise_everybody_is_found(ijb: Benchmark):
    rates = Rates(fars=[0.1], fpirs=[0.1], ranks=[1, 2])
    for kind in (templates.Kind(ijb, CFG), open_set.Kind(ijb, replace(CFG, rates=rates))):
        assert set(values(kind, rows(ijb, noise=0)).values()) == {1.0}


def test_a_closed_set_has_ranks_alone(ijb: Benchmark):
    write_searches(ijb.folder, {"gallery": np.arange(0, 24, 3), PROBES: np.array([1, 4, 7])})  # five distractors
    assert list(values(closed_set.Kind(ijb, CFG), rows(ijb))) == ["rank_1", "rank_5", "rank_20"]
    write_searches(ijb.folder, {"gallery": np.array([0, 3]), PROBES: np.array([1, 4, 7])})
    with refused("searches.arrow", "no mate in gallery gallery", key="probe", value=7):
        closed_set.Kind(ijb, CFG)


def test_an_interval_is_about_people(ijb: Benchmark):
    (estimate, _), *_ = templates.Kind(ijb, CFG).measure([rows(ijb)], [0])
    assert estimate.replicates.std() > 0.02  # two probes of each of eight people


@pytest.mark.parametrize(
    ("lists", "fields"),
    [
        ({"G1": [0], PROBES: [1]}, {"problem": "all probes have a mate in it", "key": "gallery G1"}),
        ({"G1": [0], PROBES: [4]}, {"problem": "no probes have a mate in it", "key": "gallery G1"}),
        ({"G1": [0], "G2": [3]}, {"key": "list", "value": "G1, G2"}),
        ({"G1": [0], PROBES: [24]}, {"key": "template", "allowed": "0 to 23"}),
        ({"G1": [3], "G2": [0, 1], PROBES: [1, 4]}, {"problem": "template 1 is in it and among", "key": "gallery G2"}),
    ],
)
def test_lists_that_leave_nothing_to_measure_are_refused(ijb: Benchmark, lists: dict, fields: dict):
    write_searches(ijb.folder, {name: np.array(of) for name, of in lists.items()})
    with refused("searches.arrow", **fields):
        open_set.Kind(ijb, CFG)


def rewritten(folder: Path, name: str, schema, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    table = tables.read(folder / name, schema)
    columns = {key: table[key].to_numpy(zero_copy_only=False).copy() for key in schema.names}
    del table
    change(columns)
    tables.write(folder / name, tables.of(schema, columns))


def test_templates_that_contradict_their_images_are_refused(ijb: Benchmark):
    def set_to(value: int) -> Callable[[dict[str, np.ndarray]], None]:
        return lambda columns: columns["template"].__setitem__(slice(4, 6), value)

    for value, fields in (
        (1, {"problem": "no image", "value": 2}),
        (3, {"problem": "no image", "value": 2}),
        (48, {"allowed": "0 to 47"}),
    ):
        rewritten(ijb.folder, "templates.arrow", IMAGES, set_to(value))
        with refused("templates.arrow", key="template", **fields):
            templates.Kind(ijb, CFG)
    rewritten(ijb.folder, "templates.arrow", IMAGES, lambda columns: columns["template"].__setitem__(4, 3))
    rewritten(ijb.folder, "templates.arrow", IMAGES, lambda columns: columns["template"].__setitem__(5, 2))
    with refused("templates.arrow", "images of two people", key="template", value=3):
        templates.Kind(ijb, CFG)


def test_comparisons_that_contradict_their_templates_are_refused(ijb: Benchmark):
    rewritten(ijb.folder, "comparisons.arrow", COMPARISONS, lambda columns: columns["same"].__setitem__(3, True))
    with refused("comparisons.arrow", "contradicts the people", key="comparison 3", value="0 and 5, same True"):
        templates.Kind(ijb, CFG)
    rewritten(ijb.folder, "comparisons.arrow", COMPARISONS, lambda columns: columns["b"].__setitem__(3, 0))
    with refused("comparisons.arrow", "a template with itself", key="comparison 3"):
        templates.Kind(ijb, CFG)


def test_comparisons_of_one_kind_are_refused(ijb: Benchmark):
    rewritten(ijb.folder, "comparisons.arrow", COMPARISONS, lambda columns: columns["same"].fill(False))
    with refused("comparisons.arrow", "comparisons of one kind", key="same"):
        templates.Kind(ijb, CFG)
