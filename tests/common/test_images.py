"""Shards keep faces and provenance, open with pyarrow alone, and truncated ones are refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stages.common import images, shards
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
    with pytest.raises(ValueError, match="no image shards"):
        Shards(tmp_path)
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


def test_seeds_differ_by_every_part_of_their_key():
    one = np.array([0, 0, 1])
    seeds = [shards.image_seeds(split, seed, one, one[::-1]) for split in "ab" for seed in (0, 1)]
    assert len(np.unique(np.concatenate(seeds))) == 12
    assert (np.concatenate(seeds) >= 0).all()
