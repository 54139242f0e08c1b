"""`timing statistics`: planted scores are what they are said to be, and the table counts what happened."""

from pathlib import Path

import numpy as np
import pytest

from stages.metrics import bootstrap
from stages.tools import planted, statistics_timing
from stages.tools.planted import Setting
from stages.tools.statistics_timing import Trial

SMALL = Setting("small", people=60, images=11, replicates=100, fars=(0.01,))


def test_protocols_of_twins_show_the_same_people_in_the_same_pairs():
    drawn = {name: (pairs, score) for name, pairs, score in planted.draw(SMALL, np.random.default_rng(0), 0)}
    (lfw, scores), (other, _), (twin, _) = (drawn[name] for name in planted.PROTOCOLS)
    assert lfw is twin and scores.shape == (2, SMALL.seeds, 6000)
    assert not set(lfw.identity_a) & set(other.identity_a)
    for fold in range(10):  # no person is in two folds
        inside = lfw.fold == fold
        assert not set(lfw.identity_a[inside]) & set(lfw.identity_b[~inside])
    assert ((lfw.identity_a == lfw.identity_b) == lfw.same).all()


@pytest.mark.parametrize("setting", statistics_timing.SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_has_people_enough_for_its_pairs(setting: Setting):
    assert len(planted.design(setting.people, setting.images, setting.few, 0).pairs.same) > 5000


def test_few_people_in_the_first_fold():
    pairs = planted.design(60, 11, 3, 0).pairs
    first = pairs.fold == 0
    assert len(np.unique([pairs.identity_a[first], pairs.identity_b[first]])) == 3
    assert ((pairs.identity_a == pairs.identity_b) == pairs.same).all()


def test_scores_have_the_planted_deviations():
    own = Setting("own", person=0, image=0, two=0, variant=0, pair=0, own=0.5, between=0.5, seeds=200)
    _, pairs, score = next(planted.draw(own, np.random.default_rng(0), 0))
    means = score[:, :, pairs.same].mean(axis=2)
    assert score[0, 0, pairs.same].std() == pytest.approx(0.5, rel=0.05)
    assert means.std() == pytest.approx(0.5, rel=0.1) and means.mean() == pytest.approx(own.separation, abs=0.1)
    assert score[:, :, ~pairs.same].mean() == pytest.approx(0, abs=0.01)


def test_intervals_are_counted_against_the_truth():
    def trial(value: float) -> Trial:
        return Trial(*(np.array([x]) for x in (value, value - 1.5, value + 1.5, 1.0, np.inf)))

    found = statistics_timing.kept([trial(x) for x in (-2, -1, 0, 1)], null=True)
    assert found.coverage == pytest.approx(0.75) and found.smallest == pytest.approx(1.96 + 0.8416, abs=0.001)
    assert found.width == pytest.approx(3 / (3.92 * np.std([-2, -1, 0, 1])), abs=0.001)
    assert found.power == pytest.approx(0.75)  # -2 + 2.8 - 1.5 is below zero
    assert statistics_timing.kept([trial(x) for x in (8, 10)], null=False).coverage == 1  # about their mean, 9


def test_the_page_has_the_worst_row_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "statistics.md"
    monkeypatch.setattr(statistics_timing, "FILE", file)
    monkeypatch.setattr(statistics_timing, "SETTINGS", (SMALL,))
    statistics_timing.main(seed=3, repetitions=6, write=True)
    rows = [line.strip("| ").split(" | ") for line in file.read_text().splitlines() if line.startswith("| small")]
    assert {row[1] for row in rows} == set(bootstrap.names(SMALL.fars)) and len(rows) == 6
    measured: list[dict[str, float | str]] = [
        dict(zip(statistics_timing.HEADER, [*row[:2], *map(_share, row[2:])], strict=True)) for row in rows
    ]
    by_promise = [statistics_timing.broken(row) for row in measured]
    assert by_promise == sorted(by_promise, reverse=True)


def _share(text: str) -> float:
    return float(text) / 100
