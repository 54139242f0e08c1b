"""The camera's flaws on a dot and on plain walls."""

import numpy as np
import pytest

from stages.world import camera, style

SIZE_PX = 112


def flawed(**flaws: float) -> np.ndarray:
    """Return a style row without any but the named flaws."""
    row = np.zeros(style.STYLE_DIM, np.float32)
    for name, value in flaws.items():
        row[style.column(name)] = value
    return row


def spread_px(image: np.ndarray) -> np.ndarray:
    """Return the covariance (2, 2) of where the light of a picture of one dot lies, in pixels."""
    weight = image[..., 0].astype(float)
    places = np.argwhere(weight > 0)
    return np.cov(places.T, aweights=weight[weight > 0])


@pytest.fixture
def dot() -> np.ndarray:
    image = np.zeros((SIZE_PX, SIZE_PX, 3), np.float32)
    image[55:58, 55:58] = 1
    return image


def test_motion_blurs_along_lines_of_any_direction(dot: np.ndarray) -> None:
    """A line of length l has a standard deviation of l / sqrt(12) along it, and adds nothing across."""
    still = np.trace(spread_px(camera.expose(dot, flawed(), 0))) / 2
    angles = []
    for seed in range(40):
        across, along = np.linalg.eigvalsh(spread_px(camera.expose(dot, flawed(motion_px=9), seed)))
        assert along - still == pytest.approx(81 / 12, rel=0.2) and across - still < 0.6
        vector = np.linalg.eigh(spread_px(camera.expose(dot, flawed(motion_px=9), seed)))[1][:, 1]
        angles.append(np.degrees(np.arctan2(*vector)) % 180)
    assert (np.histogram(angles, [0, 45, 90, 135, 180])[0] >= 4).all()


def test_blur_adds_to_that_of_the_lens(dot: np.ndarray) -> None:
    lens, blurred = (spread_px(camera.expose(dot, flawed(blur_px=b), 0))[0, 0] for b in (0, 2))
    assert blurred - lens == pytest.approx(4, rel=0.15)


def test_noise_has_its_standard_deviation_and_no_colour_of_its_own() -> None:
    grey = np.full((SIZE_PX, SIZE_PX, 3), 0.5, np.float32)
    shots = [camera.expose(grey, flawed(noise_sd=0.05), seed) / 255 for seed in range(8)]
    assert np.std(shots) == pytest.approx(0.05, rel=0.05) and np.mean(shots) == pytest.approx(0.5, abs=0.003)
    assert all(np.abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.1 for a, b in zip(shots, shots[1:], strict=False))


def test_a_hand_reaches_in_from_the_border() -> None:
    white = np.ones((SIZE_PX, SIZE_PX, 3), np.float32)
    hidden = [camera.expose(white, flawed(occluder_size=size), 0).max(2) < 250 for size in (0.1, 0.2, 0.4)]
    assert not hidden[0].any() and 0.01 < hidden[1].mean() < hidden[2].mean() < 0.5
    assert np.concatenate([hidden[2][0], hidden[2][-1], hidden[2][:, 0], hidden[2][:, -1]]).any()


def test_compression_loses_what_is_asked_and_keeps_the_colour() -> None:
    rng = np.random.default_rng(0)
    image = np.broadcast_to([0.8, 0.4, 0.2], (SIZE_PX, SIZE_PX, 3)) + 0.1 * rng.standard_normal((SIZE_PX, SIZE_PX, 1))
    image = image.astype(np.float32)
    sharp, least, little, most = (camera.expose(image, flawed(jpeg_loss=x), 0).astype(float) for x in (0, 2, 20, 80))
    assert np.array_equal(least, sharp)
    assert 1 < np.abs(little - sharp).mean() < np.abs(most - sharp).mean()
    for shot in (little, most):
        assert shot.mean((0, 1)) == pytest.approx(sharp.mean((0, 1)), abs=4)
