"""Cosines, distances and the map on rows whose answer is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from reporting import project

from stages.backbones.compact import Compact
from stages.common import images
from stages.common.errors import InputError
from stages.common.networks import Embedded
from stages.metrics.faces import Faces
from stages.reporting import spread

CARD = {"size_px": 16, "colour": "rgb", "embedding_size": 8}


def test_an_image_is_compared_with_the_others_of_its_person():
    x = np.eye(4, dtype=np.float32)[[0, 1, 2, 2, 3]]
    genuine, impostor = spread.centre_cosines(Faces(x, np.array([0, 0, 1, 1, 2])))
    assert genuine == pytest.approx([0, 0, 1, 1], abs=1e-6)  # its own row would have given 0.71; person 2 has one image
    assert impostor == pytest.approx([0, 0, 0], abs=1e-6)


def test_of_many_people_evenly_spaced_ones_are_compared(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spread, "MOST", 3)
    x = np.eye(7, dtype=np.float32)
    x[6], x[3] = x[0], 0.6 * x[0] + 0.8 * x[3]
    assert spread.spaced(np.arange(7), 3).tolist() == [0, 3, 6] and len(spread.spaced(x, 7)) == 7
    assert spread.impostor_cosines(x) == pytest.approx([0.6, 1, 0.6])
    assert len(spread.impostor_cosines(x[:3])) == 3


def test_one_image_of_each_person_is_refused():
    with pytest.raises(InputError) as refused:
        spread.centre_cosines(Faces(np.eye(3, dtype=np.float32), np.arange(3)))
    assert refused.value.file == "data/generate" and refused.value.allowed.startswith("two or more")
    with pytest.raises(InputError, match="two or more"):
        spread.pick(np.arange(3), 2, 2)


def test_distance_is_measured_within_each_person():
    x = np.eye(3)[[0, 1, 2, 2, 2, 2]]
    assert spread.within_distance(x, np.array([5, 5, 6, 6, 6, 6])) == pytest.approx([1, 0])


def test_people_are_spaced_and_have_enough_images():
    identity = np.repeat(np.arange(10), [3, 3, 3, 1, 3, 3, 3, 3, 3, 3])
    rows = spread.pick(identity, 3, 2)
    assert identity[rows].tolist() == [0, 0, 5, 5, 9, 9]
    assert 3 not in identity[spread.pick(identity, 10, 2)]


def test_the_map_keeps_domains_on_one_plane(tmp_path: Path):
    torch.manual_seed(0)
    recogniser = Embedded(Compact([16] * 4, 8, 16, 3), CARD)
    domains = {}
    for name in ("tight", "loose"):
        identity, index = (grid.ravel() for grid in np.mgrid[:5, :4])
        faces = project.noise_faces("studio", identity, 0 * index if name == "tight" else index)
        images.write_shard(
            tmp_path / name / "a.arrow", list(faces), identity=identity, index=index, seed=index, domain="x"
        )
        domains[name] = images.Shards(tmp_path / name)
    by_name = spread.embed_map(domains, recogniser, 3, 4)
    tight, loose = by_name["tight"], by_name["loose"]
    assert tight.points.shape == (12, 2) and tight.people == 5
    assert [tight.distance[key] for key in ("low", "value", "high")] == pytest.approx([0, 0, 0], abs=1e-6)
    assert 1e-4 < loose.distance["low"] < loose.distance["value"] < loose.distance["high"]
    first = tight.identity == tight.identity[0]
    assert np.ptp(tight.points[first], axis=0) == pytest.approx([0, 0], abs=1e-3)
