"""The world against a picture of it: people as the committed networks were trained to see them.

The networks of data/pretrain know this world and no other, so a change of the renderer, the styles or the camera is a
change of everything after it. Where one is meant, `write()` draws the picture anew, to be looked at and committed.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest

from stages.world import render, style
from stages.world.album import portraits

PICTURE = Path(__file__).with_name("people.png")
PEOPLE, SIZE_PX = 14, 48


def strip(domain: str) -> np.ndarray:
    """Return one image of each of some people, side by side (SIZE_PX, PEOPLE * SIZE_PX, 3)."""
    faces = portraits("picture", 5, PEOPLE, 1, domain, 1.0).faces(slice(None), SIZE_PX)
    return np.concatenate(list(faces), 1)


def write() -> None:
    """Draw the picture anew."""
    cv2.imwrite(str(PICTURE), cv2.cvtColor(np.concatenate([*map(strip, render.DOMAINS)]), cv2.COLOR_RGB2BGR))


@pytest.mark.parametrize("domain", render.DOMAINS)
def test_people_look_as_the_committed_networks_know_them(domain: str) -> None:
    """Other processors round otherwise, by a grey level here and there: 0.01 on the mean of a face."""
    picture = cv2.imread(str(PICTURE))
    assert picture is not None
    committed = np.split(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), 2)[render.DOMAINS.index(domain)]
    away = np.abs(strip(domain).astype(float) - committed).reshape(SIZE_PX, PEOPLE, SIZE_PX, 3)
    assert away.mean((0, 2, 3)).max() < 0.1 and (away > 4).mean() < 1e-4


def test_the_picture_shows_every_style_and_flaw() -> None:
    """Each rare column shows in somebody, and each flaw of the camera is strong enough to be drawn."""
    styles = portraits("picture", 5, PEOPLE, 1, "wild", 1.0).style.abs().amax(0)
    assert (styles > 0).all()
    for name, least in (("occluder_size", 0.15), ("motion_px", 2.2), ("jpeg_loss", 30), ("glasses_dark", 0.5)):
        assert styles[style.column(name)] > least, name
