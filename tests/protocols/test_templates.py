"""Templates from outside, aligned by their landmarks; and rendered ones, in the manner of IJB."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from refusal import refused

from stages.common import params
from stages.common.images import decode
from stages.common.world import World
from stages.foreign import alignment
from stages.formats import template_sets
from stages.formats.template_sets import TemplateSet
from stages.protocols import embedded_templates, external
from stages.settings.benchmarks import Benchmarks
from stages.world import style

CFG = Benchmarks(identities=200, templates=8, full_size=[], crops={}, seed=0)


def landmarked(folder: Path, turn_deg: float) -> TemplateSet:
    """Return a picture with a dot at each of five points, which are turned, and the points."""
    c, s = 2 * np.cos(np.radians(turn_deg)), 2 * np.sin(np.radians(turn_deg))
    points = (alignment.template(112, 112) - 56) @ np.array([[c, s], [-s, c]]) + 150
    picture = np.zeros((300, 300, 3), np.uint8)
    for x, y in points:
        cv2.circle(picture, (round(x), round(y)), 6, (255, 255, 255), -1)
    cv2.imwrite(str(folder / "a.png"), picture)
    images = template_sets.of_images(np.zeros(1), np.zeros(1), np.ones(1))
    return TemplateSet([folder / "a.png"], np.zeros(1, int), images, {}, points[None])


@pytest.mark.parametrize("frame_px", [112, 136])
def test_landmarks_land_on_arcface_s_template(tmp_path: Path, frame_px: int):
    (encoded,) = external.by_landmarks(landmarked(tmp_path, 25), slice(0, 1), frame_px, 112)
    face = decode(encoded)
    for x, y in alignment.template(112, frame_px):
        assert face[round(y), round(x)].min() > 200
    assert face.mean() < 40  # dots alone are white


def test_landmarks_in_one_place_are_refused_by_the_image_s_name(tmp_path: Path):
    found = landmarked(tmp_path, 0)
    assert found.landmarks is not None
    with refused("a.png", "all in one place", key="landmarks"):
        external.by_landmarks(replace(found, landmarks=found.landmarks * 0 + 3), slice(0, 1), 112, 112)


def test_every_person_has_four_templates_and_frames_of_a_video_share_all_but_pose_and_expression():
    world = params.load("world", World)
    videos, images, protocols = embedded_templates.make(CFG, world)
    assert len(videos.people) == len(images) == 80
    template, media = images["template"].to_numpy(), images["media"].to_numpy()
    assert np.bincount(template).tolist() == [3, 1, 3, 3] * 8
    rows = videos.album(slice(0, 10)).style.numpy()
    moves = [column for group in embedded_templates.MOVES for column in style.GROUPS[group]]
    still = np.setdiff1d(np.arange(style.STYLE_DIM), moves)
    for i in range(10):
        for j in range(i):
            assert (rows[i, still] == rows[j, still]).all() == (media[i] == media[j])
            assert (rows[i, moves] != rows[j, moves]).any()
    compared = protocols["templates"]
    assert len(compared) == 8 * 24 and sum(compared["same"].to_pylist()) == 24
    lists = protocols["open_set"].to_pydict()
    of = {name: [t // 4 for t, n in zip(*lists.values(), strict=True) if n == name] for name in ("G1", "G2", "probes")}
    assert of["G1"] == [0, 1, 2] and of["G2"] == [3, 4, 5] and sorted(of["probes"]) == sorted([*range(8)] * 3)


def test_a_slice_shows_what_the_whole_shows():
    videos, _, _ = embedded_templates.make(CFG, params.load("world", World))
    whole, part = videos.album(slice(None)), videos.album(slice(5, 9))
    assert (whole.style[5:9] == part.style).all() and (whole.z[5:9] == part.z).all()
