"""Embeddings of shards: each row is its image's, whole shards survive a kill, and decoding is ahead by a little."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import variant
from vast import Vast

from stages.common import artifacts, embeddings, images, networks, sphere
from stages.common.embeddings import AHEAD, PART, Pictures
from stages.common.images import Shards

CARD = {"architecture": "compact", "widths": [16] * 4, "embedding_size": 8, "size_px": 32, "colour": "grey"}
SIZES = (PART + 3, 1, 5)
SLICES = [slice(0, 131), slice(131, 132), slice(132, 137)]


class Watched:
    """A network whose row of a face is its mean colour; `embed` calls what it is told before it answers."""

    embedding_size = 3

    def __init__(self, before: Callable[[np.ndarray], object] = len) -> None:
        self.before = before

    def embed(self, faces: np.ndarray, frame_px: float | None = None) -> np.ndarray:
        self.before(faces)
        return faces.mean((1, 2), dtype=np.float32)


def pictures(tmp_path: Path) -> Pictures:
    faces, first = variant.noise(sum(SIZES), 16), 0
    for number, size in enumerate(SIZES):
        about = dict.fromkeys(("identity", "index", "seed"), np.arange(size))
        images.write_shard(tmp_path / f"{number}.arrow", list(faces[first : first + size]), domain="x", **about)
        first += size
    return embeddings.stored(Shards(tmp_path))


def test_rows_are_those_of_all_faces_by_each_network(tmp_path: Path):
    shown = pictures(tmp_path)
    torch.manual_seed(0)
    net = networks.Embedded(networks.build(CARD), CARD)
    files = embeddings.embed({"own": net, "mean": Watched()}, shown, tmp_path, "faces")
    faces = Shards(tmp_path).faces()
    for name, network in (("own", net), ("mean", Watched())):
        expected = sphere.unit_rows(network.embed(faces))
        rows = embeddings.whole(files[name], tmp_path / f".{name}.npy", sphere.unit_rows)
        assert np.array_equal(rows, expected) and isinstance(rows.base, np.memmap)
        assert [len(artifacts.read_array(file)) for file in files[name]] == list(SIZES)
    assert shown.shards == SLICES and not list(tmp_path.glob("[!.]*.npy"))


def test_whole_shards_of_a_run_that_was_killed_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shown, seen, write = pictures(tmp_path), [], artifacts.write_array

    def killed(file: Path, x: np.ndarray) -> None:
        if file.name == ".faces-b-00002.npy":
            raise KeyboardInterrupt
        write(file, x)

    monkeypatch.setattr(artifacts, "write_array", killed)
    with pytest.raises(KeyboardInterrupt):
        embeddings.embed({"a": Watched(), "b": Watched()}, shown, tmp_path, "faces")
    monkeypatch.setattr(artifacts, "write_array", write)
    files = embeddings.embed(
        {"a": Watched(lambda faces: seen.append(len(faces))), "b": Watched()}, shown, tmp_path, "faces"
    )
    assert seen == [SIZES[2]]
    whole = np.concatenate([artifacts.read_array(file) for file in files["b"]])
    assert np.array_equal(whole, Watched().embed(Shards(tmp_path).faces()))


def test_the_next_images_are_decoded_while_a_network_runs_and_not_many_of_them(tmp_path: Path):
    decoded, second, used = [], threading.Event(), []

    def faces(part: slice) -> np.ndarray:
        decoded.append(part.start)
        if part.start == PART:
            second.set()
        return np.full((part.stop - part.start, 4, 4, 3), part.start // PART, np.uint8)

    def waits(faces: np.ndarray) -> None:
        assert second.wait(10)  # it would never come if the network had to end first
        used.append(len(faces))
        assert len(decoded) <= len(used) + AHEAD

    count = 9 * PART - 1
    files = embeddings.embed(
        {"net": Watched(waits)}, Pictures(faces, [slice(0, count)], images.FRAME_PX), tmp_path, "x"
    )
    assert np.array_equal(artifacts.read_array(files["net"][0])[:, 0], np.arange(count) // PART)
    assert used == [PART] * 8 + [PART - 1]


def test_a_folder_beyond_what_one_array_holds_is_embedded(beyond: Vast, tmp_path: Path):
    files = embeddings.embed({"net": Watched()}, embeddings.stored(Shards(beyond.folder)), tmp_path, "faces")["net"]
    rows = embeddings.whole(files, tmp_path / "rows.npy")
    assert np.array_equal(rows, beyond.faces.mean((1, 2), dtype=np.float32))
