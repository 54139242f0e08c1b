"""Augmentation: each change does what it names, within its ranges, to grey and to coloured faces."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import variant
from PIL import Image, ImageEnhance

from stages.training import augmentation
from stages.training.batches import PLAIN

SIDE = 48
RGB = (variant.noise(1, SIDE)[0] * [1, 0.7, 0.3]).clip(1).astype(np.uint8)  # reddish, nowhere black
GREY = RGB[:, :, :1].copy()


def box_of(outside: np.ndarray) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the box where `outside` (s, s) is false; it is a whole box."""
    rows, columns = np.flatnonzero(~outside.all(1)), np.flatnonzero(~outside.all(0))
    assert not outside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].any()
    return rows[0], columns[0], len(rows), len(columns)


@pytest.mark.parametrize("face", [GREY, RGB], ids=["grey", "rgb"])
def test_a_crop_leaves_its_box_where_it_is_and_black_around_it(face):
    boxes = []
    for i in range(400):
        out = augmentation.cropped(face, np.random.default_rng(i))
        outside = (out == 0).all(2)
        assert out.shape == face.shape and np.array_equal(out[~outside], face[~outside])
        boxes.append(box_of(outside))
    top, left, height, width = np.array(boxes).T
    area, aspect = height * width / SIDE**2, width / height
    assert 0.18 < area.min() < 0.25 and 0.9 < area.max() <= 1 and area.mean() == pytest.approx(0.58, abs=0.04)
    assert 0.7 < aspect.min() < 0.8 and 1.25 < aspect.max() < 1.4
    for first, length in ((top, height), (left, width)):
        free = length < SIDE - 4
        place = first[free] / (SIDE - length[free])
        assert place.min() == 0 and place.max() == 1 and place.mean() == pytest.approx(0.5, abs=0.06)


def test_low_resolution_shrinks_and_enlarges_by_every_interpolation(monkeypatch):
    calls, whole = [], cv2.resize

    def watched(face, size, interpolation):
        calls.append((size[0], interpolation))
        return whole(face, size, interpolation=interpolation)

    monkeypatch.setattr(augmentation.cv2, "resize", watched)
    for i in range(200):
        out = augmentation.low_resolution(RGB, np.random.default_rng(i))
        assert out.shape == RGB.shape and out.dtype == np.uint8
    down, up = np.array(calls[::2]), np.array(calls[1::2])
    assert down[:, 0].min() == int(0.2 * SIDE) and down[:, 0].max() in (SIDE - 2, SIDE - 1) and (up[:, 0] == SIDE).all()
    for used in (down[:, 1], up[:, 1]):
        assert set(used) == set(augmentation.INTERPOLATIONS) and np.bincount(used).max() < 70
    assert len({tuple(pair) for pair in zip(down[:, 1], up[:, 1], strict=True)}) == 25
    assert augmentation.low_resolution(GREY, np.random.default_rng(0)).shape == GREY.shape


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.5])
def test_brightness_contrast_and_saturation_are_those_of_pillow(factor):
    references = {
        augmentation._brightness: ImageEnhance.Brightness,
        augmentation._contrast: ImageEnhance.Contrast,
        augmentation._saturation: ImageEnhance.Color,
    }
    for ours, theirs in references.items():
        expected = np.array(theirs(Image.fromarray(RGB)).enhance(factor)).astype(int)
        assert np.abs(ours(RGB, factor) - expected).max() <= 1, ours


def test_photometric_changes_come_in_every_order_and_within_their_range(monkeypatch):
    seen = []
    for name in ("_brightness", "_contrast", "_saturation"):
        monkeypatch.setattr(augmentation, name, lambda face, factor, name=name: seen.append((name, factor)) or face)
    for i in range(200):
        augmentation.photometric(RGB, np.random.default_rng(i))
    assert len({tuple(name for name, _ in seen[i : i + 3]) for i in range(0, 600, 3)}) == 6
    factors = np.array([factor for _, factor in seen])
    assert 0.5 <= factors.min() < 0.52 and 1.48 < factors.max() <= 1.5
    seen.clear()
    for i in range(50):
        augmentation.photometric(GREY, np.random.default_rng(i))
    assert {name for name, _ in seen} == {"_brightness", "_contrast"} and len(seen) == 100


def test_a_grey_face_stays_grey_and_changes():
    out = augmentation.photometric(GREY, np.random.default_rng(0))
    assert out.shape == GREY.shape and not np.array_equal(out, GREY)
    contrast = augmentation._contrast(GREY, 0.5)
    assert contrast.mean() == pytest.approx(GREY.mean(), abs=1) and contrast.std() == pytest.approx(
        GREY.std() / 2, rel=0.02
    )


@pytest.mark.parametrize("face", [GREY, RGB], ids=["grey", "rgb"])
def test_erasing_puts_noise_into_a_box_and_leaves_the_rest(face):
    white, boxes, noise = np.zeros_like(face), [], []
    for i in range(400):
        out = augmentation.erased(white, np.random.default_rng(i))
        touched = (out > 0).any(2)
        rows, columns = (np.flatnonzero(touched.max(axis)) for axis in (1, 0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        boxes.append((len(rows), len(columns)))
        noise.append(out[box].ravel())
        assert np.array_equal(augmentation.erased(face, np.random.default_rng(i))[box], out[box])
    assert not white.any()
    height, width = np.array(boxes).T
    area, aspect, noise = height * width / SIDE**2, width / height, np.concatenate(noise)
    assert 0.015 < area.min() < 0.04 and 0.36 < area.max() < 0.41
    assert 0.25 < aspect.min() < 0.4 and 2.5 < aspect.max() < 4
    assert np.median(aspect) == pytest.approx(1, abs=0.15)
    assert noise.mean() == pytest.approx(127.5, abs=1) and set(noise) == set(range(256))


@pytest.mark.parametrize("name", ["crop", "low_res", "photometric", "erase"])
def test_each_change_comes_to_its_share_of_the_faces(name):
    cfg = replace(PLAIN, **{name: 0.2})
    changed = [not np.array_equal(augmentation.varied(RGB, cfg, 0, 0, i), RGB) for i in range(1000)]
    assert np.mean(changed) == pytest.approx(0.2, abs=0.04)


def test_a_face_is_the_same_in_the_same_epoch_and_another_in_others():
    cfg = replace(PLAIN, crop=1.0, low_res=1.0, photometric=1.0, erase=1.0)
    keys = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    some, again = ([augmentation.varied(RGB, cfg, *key) for key in keys] for _ in range(2))
    assert np.array_equal(some, again)
    assert all(not np.array_equal(some[i], some[j]) for i in range(4) for j in range(i))
