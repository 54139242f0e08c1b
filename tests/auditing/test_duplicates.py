"""Near-duplicates by cones are those of all pairs, wherever they lie."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import ENVIRONMENT

from stages.auditing import duplicates
from stages.metrics import faces
from stages.metrics.faces import Faces

PROGRAM = """
import numpy as np
from auditing.test_duplicates import PLACES, instance, small
from stages.auditing import duplicates
from stages.common import ranks
from stages.metrics import faces

small(setattr)
x, gallery = instance(0, PLACES), instance(1, []).unit(np.arange(40))
count = duplicates.near_duplicates(x, 0.98)
np.save(f"{ranks.rank()}.npy", np.concatenate([[count], x.nearest(gallery)]))
"""
PLACES = [(far, other) for far in (True, False) for other in (True, False)]  # of the two images: far from its centre


def small(set_value) -> None:
    """Let a few hundred images fill many tiles."""
    for name, value in {"BLOCK": 50, "CHUNK": 70, "TILE": 30, "COSINES": 900}.items():
        set_value(duplicates, name, value)
    set_value(faces, "PART", 32)
    set_value(faces, "COMPARED", 64)


def instance(seed: int, planted: list[tuple[bool, bool]], wide_deg: float = 30, d: int = 24) -> Faces:
    """Return images of 40 people, 1 to 20 each, in no order; `planted`: pairs of near-duplicates at people far apart.

    In each pair, either image takes the place of one that is among the farthest from its centre, or the nearest.
    """
    rng = np.random.default_rng(seed)
    identity = rng.permutation(np.repeat(np.arange(40), rng.integers(1, 21, 40)))
    centre = rng.standard_normal((40, d)) + 2 * np.eye(d)[0]
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    aside = rng.standard_normal((len(identity), d)) / np.sqrt(d)
    x = centre[identity] + np.tan(np.radians(rng.gamma(4, wide_deg / 4, (len(identity), 1)).clip(0, 85))) * aside
    away = Faces(x.astype(np.float32), identity).to_centre
    for one_is_far, other_is_far in planted:
        people = np.unravel_index((centre @ centre.T).argmin(), (40, 40)) if seed % 2 else rng.permutation(40)[:2]
        one, other = (
            rows[away[rows].argmin() if far else away[rows].argmax()]
            for rows, far in zip(
                (np.flatnonzero(identity == i) for i in people), (one_is_far, other_is_far), strict=True
            )
        )
        x[other] = x[one] + 0.02 * np.linalg.norm(x[one]) * rng.standard_normal(d) / np.sqrt(d)
    return Faces((x * rng.uniform(1, 20, (len(x), 1))).astype(np.float32), identity)


def all_pairs(images: Faces, cosine: float) -> int:
    x = images.unit(np.arange(len(images)))
    return int(np.triu((x @ x.T > cosine) & (images.identity[:, None] != images.identity), 1).sum())


@pytest.mark.parametrize("wide_deg", [0, 15, 30, 60, 85])
@pytest.mark.parametrize("cosine", [0.98, 0.7])
def test_they_are_those_of_all_pairs(wide_deg: float, cosine: float, monkeypatch: pytest.MonkeyPatch):
    small(monkeypatch.setattr)
    total = 0
    for seed in range(6):
        images = instance(seed, PLACES, wide_deg)
        pairs = all_pairs(images, cosine)
        assert duplicates.near_duplicates(images, cosine) == pairs
        total += pairs
    assert total > 6


def test_the_size_of_tiles_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    images = instance(0, PLACES)
    whole = duplicates.near_duplicates(images, 0.9)
    small(monkeypatch.setattr)
    assert duplicates.near_duplicates(images, 0.9) == whole == all_pairs(images, 0.9) > 2


def test_images_that_are_all_the_same_are_all_counted(monkeypatch: pytest.MonkeyPatch):
    small(monkeypatch.setattr)
    identity = np.random.default_rng(0).permutation(np.repeat(np.arange(9), 12))
    images = Faces(np.ones((108, 5), np.float32), identity)
    assert duplicates.near_duplicates(images, 0.98) == 12 * 12 * 9 * 8 / 2


def test_opposite_images_leave_no_cone_to_hide_in(monkeypatch: pytest.MonkeyPatch):
    """Half of each person's images are the opposites of the other half: the cones hold the whole sphere."""
    small(monkeypatch.setattr)
    x = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    opposite = np.concatenate([x, -0.99 * x - 0.01, x[:10]])  # the last ten are near-duplicates at other people
    images = Faces(opposite, np.concatenate([np.arange(60) % 15, (np.arange(10) + 7) % 15]))
    assert duplicates.near_duplicates(images, 0.98) == all_pairs(images, 0.98) == 10


def test_a_cone_may_be_wider_than_the_sphere():
    """Within 45 degrees of a cone of 150 is every image, also one opposite to its centre."""
    axis = np.eye(3, dtype=np.float32)
    edge = [np.cos(np.radians(150)) * axis[0] + side * axis[1] / 2 for side in (1, -1)]
    x = np.stack([axis[0]] * 70 + edge * 15 + [axis[2]] * 70 + [-axis[0]] * 30)
    images = Faces(x, np.repeat([0, 1], 100))
    assert duplicates.near_duplicates(images, 0.7) == all_pairs(images, 0.7) == 30 * 30


def test_few_images_are_near_a_cone():
    images = instance(0, PLACES, 5)
    cones = duplicates.Cones(images, 0.98)
    x, reach = images.unit(np.arange(len(images))), cones.reach
    near = (x @ images.centres.T > reach).sum() - len(images)  # all lie in their own
    assert 0.5 < cones.inside / len(images) < 0.95 and near < 0.05 * len(images) * 39


def test_ranks_share_the_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "program.py").write_text(PROGRAM)
    paths = {"PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}:{ENVIRONMENT['PYTHONPATH']}/tests"}
    command = [sys.executable, "-m", "stages.common.launch", "--ranks", "2", "program"]
    ran = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT | paths, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    small(monkeypatch.setattr)
    images, gallery = instance(0, PLACES), instance(1, []).unit(np.arange(40))
    alone = np.concatenate([[duplicates.near_duplicates(images, 0.98)], images.nearest(gallery)])
    assert [np.load(tmp_path / f"{rank}.npy").tolist() for rank in (0, 1)] == [alone.tolist()] * 2
