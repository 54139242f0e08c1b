"""Sets and benchmarks of ours, handed to others and taken in again."""

import os
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import audited
import cv2
import numpy as np
import pytest
from formats.faces import Some
from tiny import working_in, write_params

from stages import variants
from stages.common import images, tables
from stages.common.errors import InputError
from stages.common.images import Shards, decode
from stages.foreign import photographs
from stages.formats import benchmark_pairs, cvlface, lmdb, parquet, rec, recordio, webdataset
from stages.formats.training_sets import READERS
from stages.protocols import external
from stages.tools import export, ingest


@pytest.fixture
def project(tmp_path: Path):
    """Work in a folder with a set and a generated set of which the audit kept all but image 1, and a variant of it."""
    write_params(tmp_path, {"variants.base.width": 2, "variants.base.depth": 1})
    generated = tmp_path / "data/generate"
    ingest.write_shards(tmp_path / "data/sets/some", Some())
    ingest.write_shards(generated, Some())
    (generated / "faces-00000.arrow").rename(generated / "plain-00000.arrow")
    with working_in(tmp_path):
        audited.write({"plain": None}, np.arange(6) != 1)
        cfg = variants.params.load("variants.base", variants.Variants)
        tables.write("data/variants/base/manifest.arrow", variants.manifest(cfg, "base"))
        yield tmp_path


def by_person(path: str, kind: str) -> list[list[bytes]]:
    faces = READERS[kind](Path(path))
    people = range(int(faces.identity.max()) + 1)
    return [[faces.encoded(int(row)) for row in np.flatnonzero(faces.identity == person)] for person in people]


@pytest.mark.parametrize("kind", export.SETS)
def test_a_set_goes_out_byte_for_byte(project: Path, kind: str):
    assert export.main(["--to", kind, "data/sets/some", "out"]) == "export: 6 faces of 3 people -> out"
    assert by_person("out", kind) == Some().by_person()


def test_images_of_many_shards_go_out_with_few_files_open(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(images, "ROWS_PER_SHARD", 2)
    monkeypatch.setattr(export, "FILES_OPEN", 1)
    ingest.write_shards(project / "data/sets/many", Some())
    export.main(["--to", "folder", "data/sets/many", "out"])
    assert by_person("out", "folder") == Some().by_person()


def test_a_record_has_its_key_as_insightface_has_it(project: Path):
    export.main(["--to", "rec", "data/sets/some", "out"])
    records = recordio.Records(project / "out/train.rec")
    keys = [rec.HEADER.unpack_from(records.read(offset))[2] for offset in records.offsets()]
    index = [line.split("\t") for line in (project / "out/train.idx").read_text().splitlines()]
    assert keys == list(range(10)) and index == [
        [str(k), str(at)] for k, at in zip(keys, records.offsets(), strict=True)
    ]


def test_generated_images_go_out_as_audited_and_a_variant_as_chosen(project: Path):
    first, second, third = Some().by_person()
    export.main(["--to", "rec", "data/generate", "kept"])
    assert by_person("kept", "rec") == [[first[0], first[2]], second, third]
    export.main(["--to", "folder", "data/variants/base", "base"])
    assert by_person("base", "folder") == [[first[0]], [second[0]]]


def test_an_lmdb_goes_out_as_sota_fr_reads_it(project: Path):
    export.main(["--to", "lmdb", "data/sets/some", "out"])
    env = pytest.importorskip("lmdb").open("out/train.lmdb", subdir=False, readonly=True, lock=False)
    msgpack = pytest.importorskip("msgpack")
    with env, env.begin() as view:
        length, keys, people = (msgpack.loads(view.get(name)) for name in (b"__len__", b"__keys__", b"__classnum__"))
        values = [msgpack.loads(view.get(key)) for key in keys]
    assert (length, people, keys) == (6, 3, [b"0", b"1", b"2", b"3", b"4", b"5"])
    assert values == [[image, person] for person, images in enumerate(Some().by_person()) for image in images]
    assert sorted(os.listdir("out")) == ["train.lmdb"]


def test_an_lmdb_grows_with_what_is_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lmdb, "ROWS_PER_COMMIT", 2)
    some = Some()
    some.images = tuple(bytes([i]) * 3_000_000 for i in range(6))
    lmdb.write(tmp_path, some)
    assert lmdb.Lmdb(tmp_path).encoded(5) == some.images[5]


def test_faces_that_readers_see_differently_go_out_losslessly(project: Path):
    deep = cv2.imencode(".png", np.arange(1024, dtype=np.uint16).reshape(32, 32) * 60)[1].tobytes()
    some = Some()
    some.images = (deep, *Some.images[1:])
    shutil.rmtree("data/sets/some")
    ingest.write_shards(project / "data/sets/some", some)
    export.main(["--to", "folder", "data/sets/some", "out"])
    first, second, third = Some().by_person()
    assert by_person("out", "folder")[0::2] == [first, third]
    (again,) = by_person("out", "folder")[1]
    assert again != second[0] and photographs.plain(again)
    np.testing.assert_array_equal(decode(again), decode(deep))


@pytest.mark.parametrize("size_px", ["0", "-112", "100000"])
def test_absurd_sizes_are_refused(project: Path, size_px: str):
    with pytest.raises(InputError) as refused:
        export.main(["--to", "folder", "--size-px", size_px, "data/sets/some", "out"])
    assert (refused.value.key, refused.value.value) == ("--size-px", int(size_px))
    assert refused.value.allowed == "16 to 1024"


def test_a_place_that_cannot_be_written_is_refused_at_once(project: Path):
    Path("file").touch()
    Path("link").symlink_to("nowhere")
    for out, problem in (("file/out", "not written: "), ("/proc/out", "not written: "), ("link", "exists already")):
        for main, words in ((export.main, ["--to", "folder"]), (ingest.main, ["--from", "arrow"])):
            with pytest.raises(InputError) as refused:
                main([*words, "data/sets/some", out])
            assert refused.value.file == out and refused.value.problem.startswith(problem)
            assert refused.value.allowed.startswith("a new path")


def test_faces_of_another_size_are_stored_losslessly(project: Path):
    export.main(["--to", "rec", "--size-px", "112", "data/sets/some", "out"])
    assert (project / "out/property").read_text() == "3,112,112\n"
    faces = rec.Rec(Path("out"))
    assert faces.encoded(0).startswith(b"\x89PNG") and decode(faces.encoded(0)).shape == (112, 112, 3)


def make_benchmark(folder: Path) -> list[bytes]:
    """Write data/benchmarks/some with six images and four pairs; returns the images of the pairs."""
    some, rows = Some(), np.array([[1, 3], [0, 2], [2, 4], [5, 0]])
    same = some.identity[rows[:, 0]] == some.identity[rows[:, 1]]
    about = {"identity": some.identity, "index": np.arange(6), "seed": np.arange(6), "domain": "external"}
    images.write_shard(folder / "faces-00000.arrow", some.images, **about)
    tables.write(folder / "pairs.arrow", tables.pairs(rows[:, 0], rows[:, 1], same, np.arange(4) // 2))
    return [some.images[row] for row in rows.ravel()]


@pytest.mark.parametrize("kind", export.BENCHMARKS)
def test_a_benchmark_goes_out_and_comes_back(project: Path, kind: str):
    expected = make_benchmark(project / "data/benchmarks/some")
    out = Path("some.bin" if kind == "bin" else "some")
    assert export.main(["--to", kind, "data/benchmarks/some", str(out)]).startswith("export: 4 pairs of 6 images")
    assert in_pairs(external.read(out)) == expected
    if kind == "bin":
        assert ingest.main(["--from", "bin", "some.bin", "plain/some"]) == "ingest: 4 pairs of 6 images -> plain/some"
        again = external.read(Path("plain/some"))
        assert in_pairs(again) == expected and again.pairs.equals(external.read(out).pairs)


def test_a_benchmark_goes_out_with_few_of_its_images_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(export, "IMAGES_HELD", 2)
    monkeypatch.setattr(cvlface, "ROWS_PER_BATCH", 2)
    number, size = np.arange(60), 100_000
    faces = [Some.images[0] + bytes([i]) * size for i in range(60)]
    images.write_shard(tmp_path / "faces-00000.arrow", faces, identity=number, index=number, seed=number, domain="x")
    tables.write(tmp_path / "pairs.arrow", tables.pairs(number, number[::-1], number % 2 == 0, number % 10))
    del faces
    tracemalloc.start()
    export.export_benchmark(tmp_path, "arrow", tmp_path / "out", None)
    assert tracemalloc.get_traced_memory()[1] < 10 * size
    tracemalloc.stop()


def in_pairs(benchmark: benchmark_pairs.Benchmark) -> list[bytes]:
    rows = np.stack([benchmark.pairs["a"], benchmark.pairs["b"]], 1).ravel()
    return [benchmark.encoded(int(row)) for row in rows]


@pytest.mark.parametrize("to", ["shards", "folder"])
def test_a_foreign_set_is_taken_in_with_its_bytes(project: Path, to: str):
    export.main(["--to", "rec", "data/sets/some", "theirs"])
    assert ingest.main(["--from", "rec", "--to", to, "theirs", "ours"]) == "ingest: 6 faces of 3 people -> ours"
    assert by_person("ours", "arrow" if to == "shards" else "folder") == Some().by_person()
    if to == "shards":
        assert Shards("ours").column("index").tolist() == [0, 1, 2, 0, 0, 1]


def test_an_ingest_that_was_killed_goes_on_with_its_shards(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(images, "ROWS_PER_SHARD", 2)
    export.main(["--to", "rec", "data/sets/some", "theirs"])
    words, write = ["--from", "rec", "theirs", "ours"], images.write_shard

    def killed(file: Path, *columns: Any, **provenance: Any) -> None:
        if file.name == "faces-00001.arrow":
            raise KeyboardInterrupt
        write(file, *columns, **provenance)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(images, "write_shard", killed)
        ingest.main(words)
    (early,) = project.glob(".ours-*/faces-*")
    inode = early.stat().st_ino
    (early.parent / ".tmp-1-faces-00001.arrow").touch()
    Path(f".ours-{'0' * ingest.KEY_DIGITS}").mkdir()  # of another input
    ingest.main(words)
    assert Path("ours/faces-00000.arrow").stat().st_ino == inode
    assert sorted(os.listdir("ours")) == [f"faces-0000{i}.arrow" for i in range(3)] and not list(
        project.glob(".ours-*")
    )
    assert by_person("ours", "arrow") == Some().by_person()


def test_shards_of_another_set_are_not_gone_on_with(project: Path):
    export.main(["--to", "rec", "data/sets/some", "theirs"])
    keys = {ingest.key_of(path) for path in (Path("theirs"), Path("theirs/train.rec"))}
    os.utime("theirs/train.idx", (0, 0))
    assert len(keys | {ingest.key_of(path) for path in (Path("theirs"), Path("theirs/train.rec"))}) == 4


@pytest.mark.parametrize("kind", export.SETS)
def test_faces_that_go_out_as_they_are_are_not_decoded(project: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    def decoded(*_: object) -> np.ndarray:
        raise AssertionError("decoded")

    monkeypatch.setattr(images, "decode", decoded)
    assert export.main(["--to", kind, "data/sets/some", "out"]) == "export: 6 faces of 3 people -> out"


def test_what_cannot_go_out_is_refused_in_one_line_and_leaves_nothing(project: Path):
    make_benchmark(project / "data/benchmarks/some")
    manifest = tables.read("data/variants/base/manifest.arrow", tables.MANIFEST)
    mixed = manifest.set_column(5, "weight", [np.array([1, 0.5], np.float32)])
    tables.write("data/variants/mixed/manifest.arrow", mixed)
    for kind, source, out, problem, allowed in (
        ("rec", "data/sets/none", "out", "no such folder", export.SOURCES),
        ("bin", "data/benchmarks/none", "out", "no such folder", export.SOURCES),
        ("rec", "data", "out", "no images", export.SOURCES),
        ("rec", "data/variants/mixed", "out", "faces of two people each", "variants without mixup"),
        ("rec", "data/benchmarks/some", "out", "a benchmark", "bin, arrow"),
        ("bin", "data/sets/some", "out", "no benchmark", "rec, folder, webdataset, parquet, lmdb"),
        ("rec", "data/sets/some", "data", "exists already", "a new path"),
    ):
        with pytest.raises(InputError) as refused:
            export.main(["--to", kind, source, out])
        assert (refused.value.file, refused.value.problem) == (source if out == "out" else out, problem)
        assert refused.value.allowed == allowed
        assert "\n" not in str(refused.value) and not Path("out").exists()
    for words, problem in (
        (["--from", "rec", "none", "out"], "none: no such file or folder"),
        (["--from", "rec", "data", "data"], "data: exists already"),
        (["--from", "rec", "data/generate", "out"], "no .rec file in it"),
        (["--from", "bin", "data/generate", "out"], "data/generate: not a file; allowed: a .bin or .xz"),
    ):
        with pytest.raises(ValueError, match=problem):
            ingest.main(words)
    shard = Path("data/generate/plain-00000.arrow")
    shard.write_bytes(shard.read_bytes() + b"\n")
    with pytest.raises(InputError, match="sha256 differs from the one in data/variants/base") as refused:
        export.main(["--to", "rec", "data/variants/base", "out"])
    assert refused.value.file == str(shard)


def test_hugging_face_opens_what_is_written(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    (project / "parquet").mkdir()
    parquet.write(project / "parquet", Some())
    dataset = datasets.load_dataset("parquet", data_dir=str(project / "parquet"), split="train", cache_dir=str(project))
    assert dataset["label"][:] == Some.identity.tolist()
    for row, image in enumerate(Some.images):
        np.testing.assert_array_equal(np.asarray(dataset[row]["image"]), decode(image))
    expected = make_benchmark(project / "data/benchmarks/some")
    export.main(["--to", "arrow", "data/benchmarks/some", "some"])
    loaded = datasets.Dataset.load_from_disk("some")
    assert (
        loaded["index"][:] == list(range(8))
        and loaded["is_same"][:] == [True] * 2 + [False] * 2 + [True] * 2 + [False] * 2
    )
    np.testing.assert_array_equal(np.asarray(loaded[3]["image"]), decode(expected[3]))
    loaded.save_to_disk("again")
    assert in_pairs(external.read(Path("again"))) == expected


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its file open
def test_webdataset_opens_what_is_written(project: Path):
    wds = pytest.importorskip("webdataset")
    webdataset.write(project, Some())
    samples = list(wds.WebDataset(str(project / "000000.tar"), shardshuffle=False))
    assert [int(sample["cls"]) for sample in samples] == Some.identity.tolist()
    assert [sample.get("jpg", sample.get("png")) for sample in samples] == list(Some.images)
