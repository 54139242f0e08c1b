"""dlib's network gets the chips that dlib itself would cut."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.common.errors import InputError
from stages.common.images import FRAME_PX
from stages.foreign import packaged
from stages.recognisers import dlib as ours
from stages.world.album import portraits

dlib = pytest.importorskip("dlib", reason="pip install -e '.[dlib]'")

TEMPLATE_PX, SCALE = 112, 1000
# where dlib's predictor finds its five landmarks on the template, on average over 149 rendered portraits of 256 px:
# the corners of the left and of the right eye, the base of the nose
LANDMARKS = np.array([[79.62, 51.02], [66.47, 51.99], [32.62, 50.91], [45.81, 51.99], [56.09, 78.87]])
FACE_BOX = (10, 22, 100, 113)  # on the template: left, top, right and bottom of what dlib's detector finds, on average


def detection(landmarks: np.ndarray, scale: float) -> Any:
    points = [dlib.point(*map(round, point)) for point in landmarks * scale]
    return dlib.full_object_detection(dlib.rectangle(0, 0, *[round(TEMPLATE_PX * scale)] * 2), points)


def test_the_chip_is_the_square_that_dlib_cuts_by_landmarks():
    found = dlib.get_face_chip_details(detection(LANDMARKS, SCALE), ours.SIDE_PX, 0.25).rect
    template_px = ours.SQUARE.frame_px / ours.SQUARE.width  # of a pixel of the square
    middle = np.array([ours.LEFT, ours.TOP]) + (ours.SIDE_PX - ours.SQUARE.width) / 2
    x, y = (TEMPLATE_PX - 1) / 2 + middle * template_px
    assert (found.right() + found.left()) / 2 / SCALE == pytest.approx(x, abs=0.3)
    assert (found.bottom() + found.top()) / 2 / SCALE == pytest.approx(y, abs=0.3)
    assert found.width() / SCALE == pytest.approx(ours.SIDE_PX * template_px, abs=0.3)


def test_what_lies_at_a_landmark_lies_there_in_the_chip():
    """A dot between the eyes of a picture of the template's frame is where dlib's mean face has it, at (74, 47)."""
    side, frame_px = 512, 136
    x, y = (LANDMARKS[:4].mean(0) + 0.5 + (frame_px - TEMPLATE_PX) / 2) * side / frame_px
    faces = np.zeros((1, side, side, 3), np.uint8)
    faces[0, round(y) - 4 : round(y) + 4, round(x) - 4 : round(x) + 4] = 255
    (chip,) = ours.chips(faces, frame_px)
    rows, columns = np.nonzero(chip[..., 0] > 100)
    assert chip.shape == (150, 150, 3)
    assert (columns.mean(), rows.mean()) == (pytest.approx(74, abs=1.5), pytest.approx(47, abs=1.5))


def test_rows_are_nearly_those_of_chips_by_the_landmarks_of_each_face():
    side = 256
    faces = portraits("calibration", 0, 12, 1, "studio", 0.35).faces(slice(0, 12), side)
    predictor = dlib.shape_predictor(str(packaged.weights().with_name("shape_predictor_5_face_landmarks.dat")))
    corners = [round((v + (FRAME_PX - TEMPLATE_PX) / 2) * side / FRAME_PX) for v in FACE_BOX]
    chips = [dlib.get_face_chip(face, predictor(face, dlib.rectangle(*corners)), ours.SIDE_PX, 0.25) for face in faces]
    network = ours.load("none")
    x, reference = network.embed(faces, FRAME_PX), np.array(network.net.compute_face_descriptor(chips))
    distance = np.linalg.norm(x - reference, axis=1)
    assert distance.mean() < 0.2 < network.same_person  # of two people among these faces it is 0.5
    assert np.linalg.norm(reference[:-1] - reference[1:], axis=1).mean() > 2 * distance.mean()


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    holder = tmp_path / packaged.HOLDER
    (holder / "models").mkdir(parents=True)
    (holder / "__init__.py").touch()
    (holder / "models" / packaged.weights().name).write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError) as error:
        ours.load("none")
    assert error.value.file == str(packaged.weights()) and "sha256" in error.value.problem


@pytest.mark.parametrize("name", ["READER", "HOLDER"])
def test_a_missing_package_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packaged, name, "no_such_package")
    with pytest.raises(InputError) as error:
        ours.load("none")
    assert error.value.problem == "no_such_package is not installed; pip install -e '.[dlib]' brings it"
