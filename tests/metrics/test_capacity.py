"""Identity capacity: thresholds, confusions and exact expectations over subsets."""

from itertools import combinations

import numpy as np
import pytest

from stages.common import sphere
from stages.metrics import capacity, faces
from stages.metrics.faces import Faces


def people(count: int, images: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    who, index = (grid.ravel() for grid in np.mgrid[:count, :images])
    return (
        sphere.unit_rows(rng.standard_normal((count, 16))[who] + noise * rng.standard_normal((len(who), 16))),
        who,
        index,
    )


def test_the_threshold_lets_that_share_of_impostors_through():
    x, who, _ = people(40, 3, 0.3)
    cosine, accepted = capacity.threshold(Faces(x, who), 0.02)
    pairs = np.array([[x[a] @ x[b], who[a] == who[b]] for a, b in combinations(range(len(x)), 2)])
    assert (pairs[pairs[:, 1] == 0, 0] > cosine).mean() == pytest.approx(0.02, abs=1e-3)
    assert (pairs[pairs[:, 1] == 1, 0] > cosine).mean() == pytest.approx(accepted)


def test_a_probe_is_confused_by_other_people_alone():
    x, who, index = people(6, 3, 0.0)
    assert capacity.confusions(Faces(x, who), index, 0.99)[0].sum() == 0
    twin = x.copy()
    twin[who == 5] = x[0]  # two people with one face
    count, probe = capacity.confusions(Faces(twin, who), index, 0.99)
    assert len(count) == 12
    assert (count == np.isin(probe, [0, 5])).all()


def test_the_share_is_the_mean_over_all_subsets():
    matched = {0: {1, 2}, 1: set(), 2: {0}, 3: {4}, 4: {0, 1, 2, 3}, 5: set()}  # of six people, one probe each
    count = np.array([len(others) for others in matched.values()])
    sizes = np.arange(2, 7)
    shares = capacity.confused(count, 6, sizes).mean(0)
    for n, share in zip(sizes, shares, strict=True):
        sets = [set(chosen) for chosen in combinations(range(6), int(n))]
        confused = [bool(matched[probe] & (chosen - {probe})) for chosen in sets for probe in chosen]
        assert share == pytest.approx(np.mean(confused))


def test_capacity_is_where_the_share_passes_what_is_allowed():
    share = np.array([0.0, 0.02, 0.04, 0.06, 0.08])  # of 2 ... 6 people
    assert capacity.fitting(share, 0.05) == 4
    assert capacity.fitting(share, 0.5) == 6  # all that were measured
    assert capacity.fitting(share + 0.1, 0.05) == 1


def test_fewer_fit_when_faces_are_alike():
    capacities = []
    for shared in (0.0, 2.0):
        x, who, index = people(60, 3, 0.3)
        x = sphere.unit_rows(x + shared * np.eye(16)[0])
        count, probe = capacity.confusions(Faces(x, who), index, 0.8)
        share = capacity.curve(count, probe, 60, seed=0)
        assert (share[:, 1] <= share[:, 0]).all() and (share[:, 0] <= share[:, 2]).all()
        assert (np.diff(share[:, 0]) >= -1e-9).all()
        capacities.append(capacity.fitting(share[:, 0], 0.05))
    assert capacities[0] > capacities[1]


def test_many_images_have_the_threshold_of_a_histogram(monkeypatch: pytest.MonkeyPatch):
    some = Faces(*people(40, 3, 0.3)[:2])
    cosine, accepted = capacity.threshold(some, 0.02)
    monkeypatch.setattr(capacity, "EXACT", 100)
    monkeypatch.setattr(faces, "PART", 32)
    counted, counted_accepted = capacity.threshold(some, 0.02)
    assert counted == pytest.approx(cosine, abs=0.01)  # of 7,000 pairs some lie that far apart
    x = some.unit(np.arange(120))
    impostor = (x @ x.T)[np.triu(some.identity[:, None] != some.identity)]
    assert (impostor > counted).mean() <= 0.02 < (impostor > counted - 2 / capacity.STEPS).mean() + 1 / len(impostor)
    assert counted_accepted == pytest.approx(accepted, abs=0.02)


def test_a_long_curve_is_that_of_all_shares_at_once(monkeypatch: pytest.MonkeyPatch):
    x, who, index = people(60, 3, 0.6)
    count, probe = capacity.confusions(Faces(x, who), index, 0.6)
    whole = capacity.curve(count, probe, 60, 0)
    monkeypatch.setattr(capacity, "SHARES", 5000)
    np.testing.assert_allclose(capacity.curve(count, probe, 60, 0), whole, atol=1e-12)
    assert len(np.unique(count)) > 3 and whole[-1, 0] > 0.1
