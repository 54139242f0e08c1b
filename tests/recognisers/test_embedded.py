"""What our own networks are shown: each face with mean 0 and variance 1, in colours of known weight."""

import numpy as np
import pytest
import torch

from stages.common import networks


def halves(colour: int) -> np.ndarray:
    """Return a face (1, 8, 8, 3) whose left half has one colour, and whose right half is black."""
    face = np.zeros((1, 8, 8, 3), np.uint8)
    face[:, :, :4, colour] = 255
    return face


@pytest.mark.parametrize(("colour", "weight"), [(0, 0.299), (1, 0.587), (2, 0.114)])  # ITU-R BT.601: red, green, blue
def test_grey_is_the_luma(colour: int, weight: float):
    face = halves(colour)
    face[0, 0], face[0, 1] = 0, 255  # the scale
    x = networks.standardised(face, "grey")[0, 0]
    black, white = x[0, 0], x[1, 0]
    assert (x[4, 0] - black) / (white - black) == pytest.approx(weight, abs=1e-3)


@pytest.mark.parametrize("colour", ["rgb", "grey"])
@pytest.mark.parametrize("level", [60, 120])
def test_a_face_has_mean_0_and_variance_1_whatever_its_contrast(colour: str, level: int):
    face = np.kron(np.random.default_rng(0).integers(0, level, (3, 8, 8, 1)), np.ones((1, 1, 1, 3))).astype(np.uint8)
    x = networks.standardised(face, colour)
    assert x.shape == (3, 3 if colour == "rgb" else 1, 8, 8)
    assert x.mean((1, 2, 3)).abs().max() < 1e-5 and (x.var((1, 2, 3), correction=0) - 1).abs().max() < 0.01
    assert (networks.standardised(2 * face, colour) - x).abs().max() < 0.1


def test_a_blank_face_is_zero():
    assert torch.equal(networks.standardised(np.full((1, 8, 8, 3), 90, np.uint8)), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_with_gradients_and_without_the_same_is_seen(colour: str):
    card = {"architecture": "compact", "widths": [8] * 4, "embedding_size": 12, "size_px": 32, "colour": colour}
    torch.manual_seed(0)
    net = networks.Embedded(networks.build(card), card)
    faces = np.concatenate([np.kron(halves(i), np.ones((1, 4, 4, 1), np.uint8)) for i in range(3)])
    rows = net.features(torch.from_numpy(faces).float()).detach().numpy()
    np.testing.assert_allclose(rows, net.embed(faces), atol=0.05 * np.abs(rows).max())
