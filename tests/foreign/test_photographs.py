"""Bytes are kept where every reader sees what we see; the square of a photograph, also where it reaches beyond."""

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from stages.common import images
from stages.foreign import photographs

FACE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8), (0, 0), 3)
PICTURE = Image.fromarray(FACE)


def made(picture: Image.Image, kind: str, orientation: int | None = None, **more: object) -> bytes:
    exif, stream = Image.Exif(), io.BytesIO()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
        more["exif"] = exif
    picture.save(stream, kind, **more)
    return stream.getvalue()


def deep(face: np.ndarray) -> bytes:
    return cv2.imencode(".png", face.astype(np.uint16) * 257)[1].tobytes()


CLEAR = Image.fromarray(np.dstack([FACE, np.full((32, 32), 99, np.uint8)]))
PLAIN: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: made(PICTURE, "JPEG"),
    "progressive": lambda: made(PICTURE, "JPEG", progressive=True),
    "upright JPEG": lambda: made(PICTURE, "JPEG", 1),
    "grey JPEG": lambda: made(PICTURE.convert("L"), "JPEG"),
    "PNG": lambda: made(PICTURE, "PNG"),
    "grey PNG": lambda: made(PICTURE.convert("L"), "PNG"),
    "WebP": lambda: made(PICTURE, "WEBP", lossless=True),
    "ours": lambda: images.encode(FACE),
}
OTHERS: dict[str, Callable[[], bytes]] = {
    "turned JPEG": lambda: made(PICTURE, "JPEG", 6),
    "mirrored JPEG": lambda: made(PICTURE, "JPEG", 2),
    "CMYK JPEG": lambda: made(PICTURE.convert("CMYK"), "JPEG"),
    "turned PNG": lambda: made(PICTURE, "PNG", 8),
    "turned WebP": lambda: made(PICTURE, "WEBP", 6, lossless=True),
    "grey of 16 bits": lambda: deep(FACE[..., 0]),
    "RGB of 16 bits": lambda: deep(FACE),
    "palette": lambda: made(PICTURE.convert("P"), "PNG"),
    "one bit": lambda: made(PICTURE.convert("1"), "PNG"),
    "alpha": lambda: made(CLEAR, "PNG"),
    "alpha WebP": lambda: made(CLEAR, "WEBP"),
    "a clear colour": lambda: made(PICTURE, "PNG", transparency=(1, 2, 3)),
    "TIFF": lambda: made(PICTURE, "TIFF"),
    "BMP": lambda: made(PICTURE, "BMP"),
    "PPM": lambda: made(PICTURE, "PPM"),
    "broken EXIF": lambda: made(PICTURE, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12"),
}


@pytest.mark.parametrize("name", [*PLAIN, *OTHERS])
def test_bytes_are_kept_of_plain_images_only_and_all_readers_see_the_same(name: str):
    encoded = (PLAIN | OTHERS)[name]()
    stored = photographs.square_bytes(encoded, name, lambda photograph: photograph, 32)
    assert (stored == encoded) == (name in PLAIN)
    ours = images.decode(encoded)
    np.testing.assert_array_equal(images.decode(stored), ours)
    theirs = np.asarray(Image.open(io.BytesIO(stored)).convert("RGB"))
    assert np.abs(theirs.astype(int) - ours).max() <= 2  # their JPEG may round otherwise


@pytest.mark.parametrize("name", PLAIN)
def test_a_broken_header_is_not_plain(name: str):
    encoded = PLAIN[name]()
    for end in range(0, 60, 7):
        assert not photographs.plain(encoded[:end])


@pytest.mark.parametrize(("height", "width"), [(5, 9), (9, 5), (6, 6), (1, 40), (1, 1)])
@pytest.mark.parametrize(("side", "x", "y"), [(4, 2, 2), (7, 0, 4), (12, 9, 0), (3, -5, 20), (0.2, 1, 1)])
def test_a_square_replicates_the_edge(height: int, width: int, side: float, x: float, y: float):
    photograph = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    whole = max(1, round(side))
    rows, columns = (round(at - whole / 2) + np.arange(whole) for at in (y, x))
    expected = photograph[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
    assert np.array_equal(photographs.square(photograph, side, x, y), expected)
