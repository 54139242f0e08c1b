"""Encoded faces for the tests of formats."""

from pathlib import Path

import cv2
import numpy as np


def encoded(seed: int, suffix: str = ".jpg", size_px: int = 32) -> bytes:
    """Return a smooth random face, encoded."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    done, buffer = cv2.imencode(suffix, cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC))
    assert done
    return buffer.tobytes()


class Some:
    """A training set in memory: people 0, 1 and 2 with 3, 1 and 2 images, out of order, JPEG and PNG."""

    size, skipped = None, 0
    identity = np.array([1, 0, 2, 0, 2, 0])
    images = tuple(encoded(i, ".png" if i % 2 else ".jpg") for i in range(6))

    def encoded(self, row: int) -> bytes:
        return self.images[row]

    def source(self, row: int) -> str:
        return f"some: {row}"

    def by_person(self) -> list[list[bytes]]:
        """Return each person's images in the order of rows."""
        return [[self.images[row] for row in np.flatnonzero(self.identity == person)] for person in range(3)]


def write_folder(root: Path, size_px: int = 32) -> None:
    """Write an image folder of three people with three, two and three faces."""
    for person, count in (("anna", 3), ("bert", 2), ("carl", 3)):
        (root / person).mkdir(parents=True)
        for i in range(count):
            (root / person / f"{i}.jpg").write_bytes(encoded(10 * len(person) + ord(person[0]) + i, size_px=size_px))
