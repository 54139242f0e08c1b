"""Samples: faces are the same in memory and streamed, and what cannot be trained on is refused in one line."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import resident
import variant
import vast
from refusal import refused
from vast import Vast

from stages.common import artifacts, catalogue, images, memory, tables
from stages.training import samples
from stages.training.batches import PLAIN, batches
from stages.training.faces import Streamed
from stages.training.samples import read

ALL, NOTHING = 1.0, 0.0
HEADLESS = b"\xff\xd8\xff\xe0 no image"


def bodiless() -> bytes:
    """Return a JPEG that ends behind the segment that states its size."""
    encoded = images.encode(variant.noise(1)[0])
    return encoded[: encoded.index(b"\xff\xc0") + 19]


def with_broken(folder: Path, *broken: bytes, count: int = 12) -> Path:
    """Write a variant of two shards with broken images from row 3 of the second on."""
    faces = [images.encode(face) for face in variant.noise(count)]
    faces[3 : 3 + len(broken)] = broken
    return variant.write(folder, {"generate/a": variant.noise(6, seed=1), "generate/b": faces})


@pytest.mark.parametrize(("size_px", "colour"), [(32, "rgb"), (32, "grey"), (48, "grey"), (16, "rgb")])
def test_streamed_faces_are_those_in_memory(tmp_path, size_px, colour):
    sets = {"generate/b": variant.noise(5), "generate/a": variant.noise(4, seed=1), "mix/other": variant.noise(3, 48)}
    held, streamed = (read(variant.write(tmp_path, sets), tmp_path, size_px, colour, share) for share in (ALL, NOTHING))
    assert isinstance(held.faces, np.ndarray) and isinstance(streamed.faces, Streamed)
    assert held.faces.shape == streamed.faces.shape == (12, size_px, size_px, images.CHANNELS[colour])
    mixed = np.array([11, 0, 5, 5, 8, 9])
    assert np.array_equal(held.faces[mixed], streamed.faces[mixed])
    assert held.mix.tolist() == [False] * 9 + [True] * 3 and held.label_a.tolist() == list(range(12))


def test_each_sample_shows_its_own_image(tmp_path):
    sets = {name: variant.noise(3, seed=i) for i, name in enumerate(("generate/b", "wild/a", "generate/a", "wild/b"))}
    shown = read(variant.write(tmp_path, sets), tmp_path, 32, "rgb", NOTHING).faces[np.arange(12)]
    written = np.concatenate(
        [images.Shards(tmp_path / name.split("/")[0], f"{name[-1]}.arrow").faces() for name in sets]
    )
    assert np.array_equal(shown, written)


def test_each_shard_has_its_own_samples_in_whatever_order_they_are_listed(tmp_path):
    manifest = variant.write(tmp_path, {f"generate/{name}": variant.noise(2) for name in "abc"})
    streamed = read(manifest, tmp_path, 32, "rgb", NOTHING).faces
    assert isinstance(streamed, Streamed)
    mixed = replace(streamed, shard=np.array([2, 0, 1, 2, 0, 0]))
    assert [samples.tolist() for samples in mixed.by_shard()] == [[1, 4, 5], [2], [0, 3]]


def test_faces_are_held_while_they_fit_their_share_of_memory(tmp_path, monkeypatch):
    manifest, taken = variant.write(tmp_path, {"generate/a": variant.noise(8)}), 8 * 32 * 32 * 3
    for available, kind in ((2 * taken, np.ndarray), (2 * taken - 2, Streamed)):
        monkeypatch.setattr(memory, "per_rank", lambda available=available: available)
        assert isinstance(read(manifest, tmp_path, 32, "rgb", 0.5).faces, kind)


@resident.on_linux
def test_what_was_streamed_is_not_kept_in_memory(tmp_path):
    streamed = read(variant.write(tmp_path, {"generate/a": variant.noise(40)}), tmp_path, 32, "rgb", NOTHING).faces
    assert isinstance(streamed, Streamed)
    file = tmp_path / "generate/a.arrow"
    assert resident.resident(file) == 0  # its headers were read
    streamed.face(7)
    assert resident.resident(file) > 0
    assert streamed[np.arange(40)].shape == (40, 32, 32, 3)
    assert resident.resident(file) == 0


@pytest.mark.parametrize("share", [ALL, NOTHING])
def test_an_image_without_a_header_is_refused_before_the_training(tmp_path, share):
    manifest = with_broken(tmp_path, HEADLESS)
    with refused("generate/b.arrow: row 3", "not a readable image"):
        read(manifest, tmp_path, 32, "rgb", share)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_streamed_image_that_breaks_off_is_refused_when_a_batch_needs_it(tmp_path, workers):
    broken = read(with_broken(tmp_path, bodiless()), tmp_path, 32, "rgb", NOTHING)
    with refused("generate/b.arrow: row 3", "not a readable image"):
        list(batches(broken, 3, 6, seed=0, workers=workers))


def test_one_in_memory_is_refused_before_it(tmp_path):
    manifest = with_broken(tmp_path, bodiless())
    with refused("generate/b.arrow: row 3", "not a readable image"):
        read(manifest, tmp_path, 32, "rgb", ALL)


@pytest.mark.parametrize("share", [ALL, NOTHING])
def test_skipped_images_are_counted_and_every_epoch_shows_all_others(tmp_path, share):
    kept = read(with_broken(tmp_path, bodiless(), HEADLESS, b""), tmp_path, 32, "rgb", share, "skip")
    assert kept.skipped.tolist() == [9, 10, 11] and len(kept.faces) == 18
    seen = np.concatenate([batch.main.label_a.numpy() for batch in batches(kept, 6, 5, seed=0)]).reshape(2, 15)
    for epoch in seen:
        assert sorted(epoch) == [label for label in range(18) if label not in (9, 10, 11)]


@pytest.mark.parametrize("unreadable", ["refuse", "skip"])
def test_a_later_try_neither_hashes_the_shards_nor_looks_at_their_images_again(tmp_path, monkeypatch, unreadable):
    manifest = with_broken(tmp_path, *[bodiless()] * 3)
    first = read(manifest, tmp_path, 32, "rgb", NOTHING, unreadable, tmp_path)
    monkeypatch.setattr(artifacts, "digest", None)
    monkeypatch.setattr(Streamed, "face", None)
    monkeypatch.setattr(Streamed, "check_header", None)
    again = read(manifest, tmp_path, 32, "rgb", NOTHING, unreadable, tmp_path)
    assert first.skipped.tolist() == again.skipped.tolist() == ([9, 10, 11] if unreadable == "skip" else [])


def test_an_image_that_is_refused_is_refused_in_a_later_try_too(tmp_path):
    manifest = with_broken(tmp_path, HEADLESS)
    for _ in range(2):
        with refused("generate/b.arrow: row 3", "not a readable image"):
            read(manifest, tmp_path, 32, "rgb", NOTHING, kept=tmp_path)


@pytest.mark.parametrize("broken", ["generate", "mix"])
def test_a_domain_without_a_readable_image_is_refused(tmp_path, broken):
    sets = {f"{name}/a": [HEADLESS, b""] if name == broken else variant.noise(2) for name in ("generate", "mix")}
    manifest = variant.write(tmp_path, sets)
    with refused("manifest.arrow", "none of its images"):
        read(manifest, tmp_path, 32, "rgb", unreadable="skip")


def test_an_empty_manifest_is_refused(tmp_path):
    with refused("manifest.arrow", "no samples"):
        read(variant.write(tmp_path, {}), tmp_path, 32, "rgb")


def test_a_row_beyond_its_own_shard_is_refused(tmp_path):
    """The other shard has so many rows."""
    manifest = variant.write(tmp_path, {"generate/a": variant.noise(2), "generate/b": variant.noise(5)})
    table = tables.read(manifest, tables.MANIFEST)
    tables.write(manifest, table.set_column(2, "row", pa.array([0, 2, 0, 1, 2, 3, 4], pa.int32())))
    with refused("manifest.arrow", key="row", value=2, allowed="0 to 1"):
        read(manifest, tmp_path, 32, "rgb")


def test_reading_a_manifest_makes_no_object_for_each_sample():
    count = 100_000
    words = {"set": ["generate"] * count, "shard": [f"{i // 500:05d}.arrow" for i in range(count)]}
    table = pa.table(words | {"domain": ["main"] * (count - 1) + ["mix"]})
    tracemalloc.start()
    names, number = catalogue.shards_of(table)
    mix = samples._is_mix(table)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(names) == 200 and names[number[99_999]] == "generate/00199.arrow"
    assert mix.sum() == 1 and mix[-1]
    assert peak < 80 * count  # a list of names would take 140 bytes of each


def test_a_folder_beyond_what_one_array_holds_is_trained_on(beyond: Vast, tmp_path):
    names = [f"sets/{number:02d}" for number in range(vast.SHARDS)]
    kept = read(variant.write_manifest(tmp_path, dict.fromkeys(names, vast.ROWS)), tmp_path, vast.SIDE, "rgb", NOTHING)
    n = len(beyond.faces)
    assert np.array_equal(kept.faces[np.array([n - 1, 0, 98, 99, 3, 2])], beyond.faces[[n - 1, 0, 98, 99, 3, 2]])
    plain = replace(PLAIN, flip=0, jitter=0)
    for batch in batches(kept, 3, n // 3, seed=0, augment=plain):
        assert np.array_equal(batch.faces.numpy(), beyond.faces[batch.main.label_a.numpy()])
