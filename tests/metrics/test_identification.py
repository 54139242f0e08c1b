"""Search in a gallery: known answers by hand, a plain reference, repeated probes."""

import numpy as np
import pytest

from stages.metrics import identification
from stages.metrics.identification import Search


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    x = rng.normal(size=shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_ranks_by_hand():
    """Angles on a circle; the gallery has two templates of person 0, one each of 1 and 2."""
    deg = np.radians([0, 40, 10, 90, 2, 80, 25])
    x = np.stack([np.cos(deg), np.sin(deg)], 1).astype(np.float32)
    gallery, enrolled = x[[0, 1, 2, 3]], np.array([0, 0, 1, 2])
    probes, person = x[[4, 5, 6]], np.array([0, 1, 7])
    found = identification.search(probes, gallery, person, enrolled)
    assert found.rank[:2].tolist() == [1, 3] and found.mated.tolist() == [True, True, False]
    assert found.mate[1] == pytest.approx(np.cos(np.radians(70)), abs=1e-6)
    assert found.other[2] == pytest.approx(np.cos(np.radians(15)), abs=1e-6)
    once = np.ones((1, 3), np.int32)
    assert identification.within(found, [1, 2, 3], once).tolist() == [[0.5, 0.5, 1.0]]
    assert np.isnan(identification.within(found, [4, 20], once)).all()  # of four templates, all are within rank 4


def test_blocks_do_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    probes, gallery = unit(rng, 50, 8), unit(rng, 90, 8)
    person, enrolled = rng.integers(0, 40, 50), rng.integers(0, 40, 90)
    score = probes @ gallery.T
    for name in ("PROBES", "GALLERY"):
        monkeypatch.setattr(identification, name, 16)
    found = identification.search(probes, gallery, person, enrolled)
    for i in range(50):
        own = enrolled == person[i]
        assert found.other[i] == pytest.approx(score[i, ~own].max(), abs=1e-6)
        if own.any():
            assert found.rank[i] == 1 + (score[i, ~own] >= score[i, own].max()).sum()
        else:
            assert found.mate[i] == -np.inf


def test_equal_scores_count_against_the_mate():
    x = np.array([[1.0, 0.0]], np.float32)
    found = identification.search(x, np.repeat(x, 3, 0), np.array([5]), np.array([5, 6, 7]))
    assert found.rank.tolist() == [3]


OPEN = Search(  # four mated probes, of which the second is not first in rank; four unmated ones
    np.array([0.9, 0.8, 0.5, 0.3, *[-np.inf] * 4]),
    np.array([0.1, 0.85, 0.2, 0.1, 0.7, 0.4, 0.35, 0.1]),
    np.array([1, 2, 1, 1, 5, 5, 5, 5]),
    enrolled=5,
)


@pytest.mark.parametrize(("fpir", "tpir"), [(0.25, 0.5), (0.5, 0.5), (0.75, 0.75)])
def test_tpir_at_fpir_by_hand(fpir: float, tpir: float):
    """One false alarm allowed: the threshold is .4; two: .35; three: .1."""
    assert identification.tpirs(OPEN, [fpir], np.ones((1, 8), np.int32)).tolist() == [[tpir]]


def test_a_rate_below_one_unmated_probe_is_missing():
    assert np.isnan(identification.tpirs(OPEN, [0.2], np.ones((1, 8), np.int32))).all()


def test_a_weight_counts_a_probe_that_many_times():
    rng = np.random.default_rng(0)
    probes, gallery = unit(rng, 80, 4), unit(rng, 20, 4)
    person, enrolled = rng.integers(0, 40, 80), np.arange(20)
    found = identification.search(probes, gallery, person, enrolled)
    weights = rng.integers(0, 3, (10, 80)).astype(np.int32)
    rates, ranks = identification.tpirs(found, [0.2, 0.5], weights), identification.within(found, [1, 3], weights)
    for w, rate, rank in zip(weights, rates, ranks, strict=True):
        repeated = Search(*(np.repeat(column, w) for column in (found.mate, found.other, found.rank)), enrolled=20)
        once = np.ones((1, int(w.sum())), np.int32)
        assert rate.tolist() == pytest.approx(identification.tpirs(repeated, [0.2, 0.5], once)[0].tolist())
        assert rank.tolist() == pytest.approx(identification.within(repeated, [1, 3], once)[0].tolist())


def test_the_gallery_decides_as_in_the_public_evaluation_but_for_one_probe():
    """insightface's ijb_evals.py takes the (n * fpir)-th highest score of n unmated probes; ours is the next one."""
    rng = np.random.default_rng(1)
    probes, gallery = unit(rng, 400, 6), unit(rng, 30, 6)
    person = rng.integers(0, 60, 400)
    found = identification.search(probes, gallery, person, np.arange(30))
    alarms = np.sort(found.other[~found.mated])[::-1]
    allowed = int(len(alarms) * 0.1)
    hits = [(found.rank[found.mated] == 1) & (found.mate[found.mated] > alarms[i]) for i in (allowed - 1, allowed)]
    ours = identification.tpirs(found, [0.1], np.ones((1, 400), np.int32))[0, 0]
    assert hits[0].mean() <= ours == hits[1].mean()
