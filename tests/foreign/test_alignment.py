"""Similarities, the template, the detector's points and the fixed crop."""

from dataclasses import replace
from pathlib import Path

import cv2
import detector
import numpy as np
import pytest
from refusal import refused
from tiny import ROOT, data_at

from stages.common import images, params
from stages.common.world import World
from stages.foreign import alignment
from stages.foreign.alignment import ARCFACE, Aligner

WORLD = replace(params.load("world", World, ROOT / "params.yaml"), size_px=112, photo_frame_px=112)


def landmarks(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    turned = [
        rng.uniform(0.3, 6) * ARCFACE @ [[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]
        for a in rng.uniform(-3, 3, count)
    ]
    return np.stack(turned) + rng.uniform(-200, 200, (count, 1, 2)) + rng.normal(0, 3, (count, 5, 2))


def test_a_similarity_is_recovered_and_applied_from_points_that_have_one():
    a, b, x, y = 0.3, -0.2, 11, -7
    matrix = np.array([[a, -b, x], [b, a, y]])
    assert np.allclose(alignment.similarity(ARCFACE, ARCFACE @ matrix[:, :2].T + matrix[:, 2]), matrix)
    with refused(key="landmarks", problem="all in one place"):
        alignment.similarity(np.ones((5, 2)), ARCFACE)


def test_a_similarity_is_that_of_linear_least_squares():
    for points in landmarks(20):
        x, y = points.T
        ones, zeros = np.ones(5), np.zeros(5)
        system = np.concatenate([np.stack([x, -y, ones, zeros], 1), np.stack([y, x, zeros, ones], 1)])
        a, b, dx, dy = np.linalg.lstsq(system, ARCFACE.T.ravel())[0]
        assert np.allclose(alignment.similarity(points, ARCFACE), [[a, -b, dx], [b, a, dy]], atol=1e-8)


@pytest.mark.filterwarnings("ignore:`estimate` is deprecated:FutureWarning")
def test_a_similarity_is_that_of_insightface():
    face_align = pytest.importorskip("insightface.utils.face_align")
    for points in landmarks(50):
        theirs = face_align.estimate_norm(points.astype(np.float32))
        assert np.abs(alignment.similarity(points, ARCFACE) - theirs).max() < 1e-3  # of pixels, up to 200 away
    assert np.array_equal(ARCFACE.astype(np.float32), face_align.arcface_dst)


def test_the_template_shows_as_much_as_the_frame():
    assert np.allclose(alignment.template(112, 112), ARCFACE)
    face = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (112, 112, 3), np.uint8), (0, 0), 4)
    half = alignment.warp(face, alignment.similarity(ARCFACE, alignment.template(56, 112)), 56)
    assert np.abs(half.astype(int) - images.resize(face[None], 56)[0]).max() <= 1
    wide = alignment.template(112, 136)
    assert np.allclose((wide - wide.mean(0)) * 136 / 112, ARCFACE - ARCFACE.mean(0))


def spot(face: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: face.shape[0], : face.shape[1]]
    weight = face[:, :, 0].astype(float)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("side_px", [112, 256, 512, 1000])
def test_what_lies_on_a_landmark_comes_to_lie_on_the_template(side_px: int):
    points = alignment.usual_points(np.zeros((side_px, side_px, 3)))
    for i, (x, y) in enumerate(points):
        picture = np.zeros((side_px, side_px, 3), np.uint8)
        cv2.circle(picture, (round(x * 16), round(y * 16)), round(side_px / 2), (255, 255, 255), -1, cv2.LINE_AA, 4)
        face = Aligner(112, 112).align([picture], "x")[0][0]
        expected = points @ alignment.similarity(points, ARCFACE)[:, :2].T + alignment.similarity(points, ARCFACE)[:, 2]
        assert np.abs(spot(face) - expected[i]).max() < 0.3


def test_without_a_detector_the_middle_of_the_picture_gets_a_fixed_crop():
    tall = np.zeros((300, 200, 3), np.uint8)
    tall[50:250] = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8), (0, 0), 3)
    aligner = alignment.load(WORLD)
    faces, domains = aligner.align([tall, tall[50:250]], "x")
    assert np.abs(faces[0].astype(int) - faces[1]).max() <= 1 and faces[0].std() > 3
    assert domains == ["x-fixed-crop"] * 2
    assert faces.shape == (2, 112, 112, 3) and faces.dtype == np.uint8


@pytest.fixture(scope="module")
def aligner(tmp_path_factory: pytest.TempPathFactory) -> Aligner:
    pytest.importorskip("insightface")
    file = detector.write(tmp_path_factory.mktemp("scrfd") / "scrfd.onnx")
    with data_at(file.parent):
        return alignment.load(replace(WORLD, detector=file.name))


@pytest.mark.parametrize("side_px", [128, 256, 512])
def test_a_detected_face_is_brought_to_the_template(aligner: Aligner, side_px: int):
    picture = detector.picture(side_px, column=2)
    scale = side_px / detector.SIDE_PX
    expected = (detector.POINTS + [64, 32]) * scale
    points = aligner.landmarks(picture)
    assert points is not None and np.allclose(points, expected, atol=1e-3)
    faces, domains = aligner.align([picture, detector.picture(side_px, None)], "x")
    assert domains == ["x", "x-fixed-crop"]
    assert np.array_equal(faces[0], alignment.warp(picture, alignment.similarity(expected, ARCFACE), 112))


class Blue:
    """Finds a face where a picture is blue, as insightface's detectors see it: BGR."""

    def detect(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y, x = np.argwhere(picture[:, :, 0] > 200)[0]
        return np.array([[x, y, x + 1, y + 1, 1.0]]), np.array([detector.POINTS + [x, y]])


def test_the_detector_is_shown_blue_first():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[5, 7, 0], picture[20, 30, 2] = 255, 255  # RGB: a red pixel, and a blue one
    points = Aligner(112, 112, Blue()).landmarks(picture)
    assert points is not None and np.allclose(points, detector.POINTS + [30, 20])


def test_of_two_faces_the_larger_one_is_taken(aligner: Aligner):
    both = np.maximum(detector.picture(128, 0, grey=230), detector.picture(128, 3, row=2))
    points = aligner.landmarks(both)
    assert points is not None and np.allclose(points, detector.POINTS + [96, 64], atol=1e-3)


def test_a_detector_that_cannot_be_used_is_refused(tmp_path: Path):
    pytest.importorskip("insightface")
    (tmp_path / "text.onnx").write_text("no network")
    detector.write(tmp_path / "boxes.onnx", outputs=6)
    for name, fields in (
        ("nothing", {"problem": "no such file", "key": "world.detector"}),
        ("text", {"problem": "not a readable ONNX"}),
        ("boxes", {"key": "outputs", "value": 6, "allowed": "9 or 15"}),
    ):
        with data_at(tmp_path), refused(f"data/{name}.onnx", **fields):
            alignment.load(replace(WORLD, detector=f"{name}.onnx"))
