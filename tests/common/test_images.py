"""Shards keep faces and provenance, open with pyarrow alone, and truncated ones are refused."""

import struct
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import resident
import vast
from vast import Vast

from stages.common import images, shards
from stages.common.errors import InputError
from stages.common.images import Shards
from stages.common.shards import Provenance


def smooth_faces(count: int, size_px: int = 32) -> np.ndarray:
    ramp = np.linspace(40, 200, size_px)
    faces = ramp[None, :, None, None] + 10 * np.arange(count)[:, None, None, None] * np.ones((1, 1, size_px, 3))
    return faces.clip(0, 255).astype(np.uint8)


def write(folder: Path, count: int = 6) -> np.ndarray:
    faces = smooth_faces(count)
    order = np.arange(count)
    rows = Provenance("studio", order // 2, order % 2, order + 7)
    shards.draw("faces", rows, lambda part: faces[part], folder)
    return faces


def test_ranks_share_the_shards_evenly():
    for count in (0, 1, 33, 600, 1200, 1500, 1600, 4200, 8200, 15_000_000):
        size = shards.rows_per_shard(count)
        assert 0 < size <= images.ROWS_PER_SHARD and size % 32 == 0
        assert not 600 <= count <= 8200 or -(-count // size) % 4 == 0


def test_faces_and_columns_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shards, "rows_per_shard", lambda count: 4)
    faces = write(tmp_path)
    read = Shards(tmp_path)
    assert read.sizes() == [4, 2] and len(read) == 6
    assert np.abs(read.faces().astype(int) - faces).max() <= 4  # JPEG
    assert read.column("identity").tolist() == [0, 0, 1, 1, 2, 2]
    assert np.array_equal(read.faces([5, 0]), read.faces()[[5, 0]])
    assert pa.ipc.open_file(str(read.files[0])).read_all().schema == images.SCHEMA


def test_a_shard_that_is_there_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shards, "rows_per_shard", lambda count: 4)
    write(tmp_path)
    (tmp_path / "faces-00001.arrow").unlink()
    first = (tmp_path / "faces-00000.arrow").stat().st_mtime_ns
    write(tmp_path)
    assert (tmp_path / "faces-00000.arrow").stat().st_mtime_ns == first and len(Shards(tmp_path)) == 6


def test_broken_shards_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no image shards") as error:
        Shards(tmp_path)
    assert error.value.file == str(tmp_path)
    write(tmp_path)
    file = tmp_path / "faces-00000.arrow"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="faces-00000.arrow: truncated") as error:
        Shards(tmp_path)
    assert "\n" not in str(error.value)
    table = pa.table({"image": [b"x"]})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ValueError, match="columns"):
        Shards(tmp_path)
    with pytest.raises(ValueError, match="not a readable image"):
        images.decode(b"no image")


def test_a_folder_beyond_what_one_array_holds_is_read_at_both_ends(beyond: Vast):
    """Arrow cannot put more than 2 GiB into one array."""
    many, n = Shards(beyond.folder), len(beyond.faces)
    assert len(many) == n and many.sizes() == [vast.ROWS] * vast.SHARDS
    for rows in ([0, n - 1], [n // 2, 97, 100], [n - 4, n - 3, 3, 2], [98, 99, 0], range(n)):  # 99: the first of 33
        assert np.array_equal(many.faces(rows), beyond.faces[list(rows)])
    assert images.decode(many.encoded(n - 1)).tolist() == beyond.faces[-1].tolist()
    assert many.source(n - 2) == f"{beyond.folder}/47.arrow: row 1"
    assert many.column("index").tolist() == [0, 1, 2] * vast.SHARDS


@resident.on_linux
def test_what_was_read_of_shards_is_not_kept_in_memory(tmp_path: Path):
    write(tmp_path, 40)
    shards, file = Shards(tmp_path), tmp_path / "faces-00000.arrow"
    assert resident.resident(file) == 0
    for read in (lambda: shards.column("identity"), lambda: shards.faces([3, 1])):
        read()
        assert resident.resident(file) == 0
    shards.encoded(5)[:100].tobytes()
    assert resident.resident(file) > 0


def test_the_size_of_a_mapped_image_is_read_without_copying_it():
    for suffix in (".jpg", ".png", ".webp"):
        image = memoryview(encoded(suffix, 23, 57) + bytes(10**6))
        tracemalloc.start()
        assert images.size(image, "x") == (23, 57)
        assert tracemalloc.get_traced_memory()[1] < 10_000
        tracemalloc.stop()


def test_seeds_differ_by_every_part_of_their_key():
    identity = np.array([0, 0, 1])
    seeds = [shards.image_seeds(split, seed, identity, identity[::-1]) for split in "ab" for seed in (0, 1)]
    assert len(np.unique(np.concatenate(seeds))) == 12
    assert (np.concatenate(seeds) >= 0).all()


def encoded(suffix: str, height: int, width: int) -> bytes:
    shape = (height, width) if suffix in (".pgm", ".pbm") else (height, width, 3)
    options = [cv2.IMWRITE_WEBP_QUALITY, 80] if suffix == "lossy.webp" else []
    return cv2.imencode(suffix.removeprefix("lossy"), np.full(shape, 128, np.uint8), options)[1].tobytes()


SUFFIXES = (".jpg", ".png", ".bmp", ".webp", "lossy.webp", ".tiff", ".pgm", ".ppm", ".pbm")


def states(suffix: str, height: int, width: int) -> bytes:
    """Return an image of 23 x 57 pixels whose header says otherwise."""
    image = encoded(suffix, 23, 57)
    if suffix in (".pgm", ".ppm", ".pbm"):
        return image.replace(b"57 23", b"%d %d" % (width, height))
    pack = {
        ".jpg": (image.find(b"\xff\xc0") + 5, ">HH", height, width),
        ".png": (16, ">II", width, height),
        ".bmp": (18, "<ii", width, height),
        ".webp": (21, "<I", max(0, height - 1) << 14 | width - 1),
        "lossy.webp": (26, "<HH", width, height),
    }
    if suffix != ".tiff":
        at, how, *sides = pack[suffix]
        return image[:at] + struct.pack(how, *sides) + image[at + struct.calcsize(how) :]
    for tag, old, new in ((256, 57, width), (257, 23, height)):
        old_entry, new_entry = (
            struct.pack(f"<HHI{how}", tag, kind, 1, value) for how, kind, value in (("H", 3, old), ("I", 4, new))
        )
        at = image.index(old_entry)
        image = image[:at] + new_entry + image[at + 12 :]
    return image


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_size_in_a_header_is_the_size_of_the_image(suffix: str):
    assert images.size(encoded(suffix, 23, 57), "x") == images.decode(encoded(suffix, 23, 57)).shape[:2] == (23, 57)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("height", "width"), [(16000, 16000), (2, 16000), (16000, 2)])
def test_an_image_of_absurd_sides_is_refused_by_its_header(suffix: str, height: int, width: int):
    with pytest.raises(InputError) as error:
        images.decode(states(suffix, height, width), "a.img")
    assert (error.value.file, error.value.problem) == ("a.img", f"{height} x {width} pixels")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_image_that_ends_early_or_has_no_side_is_refused(suffix: str):
    whole = encoded(suffix, 23, 57)
    no_side = [] if suffix == ".webp" else [states(suffix, 0, 57)]  # where a side of 1 is written as 0
    for image in (*(whole[:length] for length in (0, 3, 13, 20)), *no_side):
        with pytest.raises(InputError) as error:
            images.decode(image, "a.img")
        assert error.value.file == "a.img"


@pytest.mark.parametrize(
    "image", [b"GIF89a\1\0\1\0", b"\0\0\0\x20ftypavif", b"#?RADIANCE\n", b"v/1\1", b"\xff\xd8\xff" * 4000]
)
def test_what_is_none_of_the_formats_is_refused(image: bytes):
    with pytest.raises(ValueError, match="a.img: not a readable image"):
        images.decode(image, "a.img")


@pytest.mark.parametrize(("colour", "luma"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)])
def test_colours_are_red_green_blue_inside_and_out(colour: tuple[int, int, int], luma: int):
    face = np.full((16, 16, 3), colour, np.uint8)
    image = images.encode(face)
    assert np.abs(images.decode(image).astype(int) - face).max() <= 2
    stored = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)  # as other readers see it: BGR
    assert stored is not None and np.abs(stored[..., ::-1].astype(int) - face).max() <= 2
    assert (images.grey(face[None]) == luma).all()


def test_a_shard_names_the_row_whose_image_is_broken_or_of_another_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shards, "rows_per_shard", lambda count: 2)
    order, faces = np.arange(4), [encoded(".png", 16, 16)] * 4
    for spoilt, problem in (
        (b"", "not a readable image, starts with b''"),
        (encoded(".png", 16, 17), "16 x 17 pixels"),
        (states(".png", 2000, 2000), "2000 x 2000 pixels"),
    ):
        faces[3] = spoilt
        for file in tmp_path.glob("*.arrow"):
            file.unlink()
        shards.draw("faces", Provenance("studio", order, order, order), lambda part: faces[part], tmp_path)
        with pytest.raises(InputError) as error:
            Shards(tmp_path).faces()
        assert (error.value.file, error.value.problem) == (f"{tmp_path}/faces-00001.arrow: row 1", problem)
        assert Shards(tmp_path).faces([0, 2]).shape == (2, 16, 16, 3)
