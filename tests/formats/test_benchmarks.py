"""Benchmarks in every format: pairs, folds and people; pickles that carry code are refused."""

import json
import lzma
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import detector
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from formats.faces import encoded
from refusal import refused
from sklearn.model_selection import KFold
from tiny import run, working_in, write_params

from stages.common.errors import InputError
from stages.common.images import Shards, decode
from stages.foreign.alignment import Aligner
from stages.formats import benchmark_pairs, bin, cvlface, layouts, pickles
from stages.formats.benchmark_pairs import Benchmark
from stages.protocols import external
from stages.validate import find_external

# 4 images in 3 genuine and 3 impostor pairs: a0 a1, a1 a2, b0 b1 | a0 b0, a2 b1, a1 c0
A0, A1, A2, B0, B1, C0 = (encoded(i, ".png") for i in range(6))
IMAGES = [A0, A1, A0, B0, A1, A2, A2, B1, B0, B1, A1, C0]
SAME = np.array([True, False] * 3)
ROWS = [0, 1, 0, 2, 1, 3, 3, 4, 2, 4, 1, 5]
PEOPLE = [0, 0, 1, 0, 1, 2]


def pixels() -> np.ndarray:
    return np.stack([decode(image) for image in IMAGES]).transpose(0, 3, 1, 2)


def write_bin(root: Path) -> Path:
    bin.write(root / "some.bin", IMAGES.__getitem__, np.arange(len(IMAGES)), SAME)
    return root / "some.bin"


def write_xz(root: Path) -> Path:
    write_bin(root)
    (root / "some.xz").write_bytes(lzma.compress((root / "some.bin").read_bytes()))
    (root / "some.bin").unlink()
    return root / "some.xz"


def write_npy(root: Path) -> Path:
    (root / "some").mkdir()
    np.save(root / "some/some.npy", pixels())
    np.savetxt(root / "some/issame.txt", SAME.astype(int), fmt="%s")
    return root / "some"


def write_memfile(root: Path) -> Path:
    """Write as AdaFace does: BGR, normalised, the list of labels beside the folder."""
    (root / "some/memfile").mkdir(parents=True)
    values = ((pixels()[:, ::-1] / 255 - 0.5) / 0.5).astype(np.float32)
    (root / "some/memfile/mem_file.dat").write_bytes(values.tobytes())
    (root / "some/memfile/mem_file.dat.conf").write_text(json.dumps({"shape": values.shape, "dtype": "float32"}))
    np.save(root / "some_list.npy", SAME)
    return root / "some"


def write_saved(root: Path) -> Path:
    (root / "some").mkdir()
    cvlface.write(root / "some", IMAGES.__getitem__, np.arange(len(IMAGES)), SAME)
    return root / "some"


WRITERS: dict[str, Callable[[Path], Path]] = {
    "bin": write_bin, "xz": write_xz, "npy": write_npy, "memfile": write_memfile, "arrow": write_saved,
}  # fmt: skip


def assert_is_some(benchmark: Benchmark) -> None:
    assert np.stack([benchmark.pairs["a"], benchmark.pairs["b"]], 1).ravel().tolist() == ROWS
    assert benchmark.pairs["same"].to_pylist() == SAME.tolist()
    assert benchmark.pairs["fold"].to_pylist() == [0, 0, 1, 1, 2, 2]
    assert benchmark.identity.tolist() == PEOPLE
    for row, image in zip(ROWS, IMAGES, strict=True):
        np.testing.assert_array_equal(decode(benchmark.encoded(row)), decode(image))


@pytest.mark.parametrize("kind", WRITERS)
def test_pairs_people_and_pixels_come_back(tmp_path: Path, kind: str):
    path = WRITERS[kind](tmp_path)
    assert layouts.benchmarks(tmp_path) == {"some": path}
    assert_is_some(external.read(path))


@pytest.mark.parametrize("kind", ["bin", "xz"])
def test_the_case_of_a_suffix_says_nothing(tmp_path: Path, kind: str):
    path = WRITERS[kind](tmp_path)
    upper = path.rename(path.with_suffix(path.suffix.upper()))
    assert layouts.benchmarks(tmp_path) == {"some": upper}
    assert_is_some(external.read(upper))


@pytest.mark.parametrize("kind", ["bin", "xz", "arrow"])
def test_encoded_images_keep_their_bytes(tmp_path: Path, kind: str):
    benchmark = external.read(WRITERS[kind](tmp_path))
    assert [benchmark.encoded(row) for row in ROWS] == IMAGES


def test_an_impostor_pair_that_genuine_pairs_contradict_keeps_its_label():
    images = [A0, A1, A1, A2, A0, A2, A0, B0]
    same = np.array([True, True, False, False])
    benchmark = benchmark_pairs.by_content("some", 8, images.__getitem__, str, same)
    a, b = benchmark.pairs["a"].to_numpy(), benchmark.pairs["b"].to_numpy()
    assert np.array_equal(benchmark.identity[a] == benchmark.identity[b], same)
    assert benchmark.identity[b[2]] not in np.delete(benchmark.identity, b[2]) and benchmark.encoded(b[2]) == A2


@pytest.mark.parametrize("count", [40, 57])
def test_folds_are_those_of_scikit_learn(count: int):
    same = np.arange(count) % 2 == 0
    expected = np.empty(count, int)
    for i, (_, test) in enumerate(KFold(10).split(same)):
        expected[test] = i
    assert np.array_equal(benchmark_pairs.folds(same, "some"), expected)


def test_folds_of_a_list_with_all_genuine_pairs_first_hold_both_kinds():
    fold = benchmark_pairs.folds(np.repeat([True, False], [3000, 3000]), "some")
    assert np.array_equal(fold, np.tile(np.repeat(np.arange(10), 300), 2))
    with refused("some", "6 genuine and 1 impostor pairs", allowed="two or more"):
        benchmark_pairs.folds(np.arange(7) > 0, "some")


def loaded(content: bytes) -> object:
    return pickles.load(content, "some.bin")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_bytes_and_arrays_of_every_protocol_are_read(protocol: int):
    content = ([A0, A1], [True, np.True_], np.array([1, 0]), np.asfortranarray([[1.5, 2], [3, 4]]), np.array([b"ab"]))
    for numpy_1 in (False, True):
        pickled = pickle.dumps(content, protocol)
        if numpy_1 and protocol < 4:  # later protocols count the letters of names
            pickled = pickled.replace(b"numpy._core", b"numpy.core")
        images, same, *arrays = loaded(pickled)  # pyright: ignore
        assert images == content[0] and [bool(s) for s in same] == [True, True]
        for array, expected in zip(arrays, content[2:], strict=True):
            np.testing.assert_array_equal(array, expected)
            assert array.dtype == expected.dtype


def test_a_pickle_of_python_2_is_read(tmp_path: Path):
    strings = b"".join(b"T" + struct.pack("<I", len(image)) + image for image in (A0, A1, A0, B0) * 2)
    (tmp_path / "some.bin").write_bytes(b"\x80\x02](" + strings + b"e](\x88\x89\x88\x89e\x86.")
    benchmark = external.read(tmp_path / "some.bin")
    assert [benchmark.encoded(row) for row in (0, 1, 2)] == [A0, A1, B0]
    assert benchmark.pairs["same"].to_pylist() == [True, False] * 2


class Code:
    """Something that runs when it is unpickled."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple:
        return self.call[0], self.call[1:]  # pyright: ignore


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["bin", "xz"])
def test_a_pickle_that_carries_code_is_refused_and_not_run(tmp_path: Path, protocol: int, kind: str):
    import os

    file = tmp_path / f"some.{kind}"
    content = pickle.dumps(([Code(os.system, f"touch {tmp_path}/run")], [True]), protocol)
    file.write_bytes(lzma.compress(content) if kind == "xz" else content)
    with refused(file, "a pickle that names posix.system", allowed="bytes and NumPy arrays"):
        external.read(file)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (pickle.dumps(Code(eval, "1")), "names builtins.eval"),
        (pickle.dumps(Code(np.load, "a.npy", None, True)), "names numpy.load"),
        (pickle.dumps(np.array([object])), "names builtins.object"),
        (pickle.dumps(np.array([1, 2])).replace(b"i8", b"O8"), "holds an array of O8"),  # addresses for objects
        (pickle.dumps(np.array(["2026"], "M8[Y]")), "holds an array of M8"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.", "encodes text as rot13"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "not a readable pickle"),
        (pickle.dumps([A0])[:-9], "not a readable pickle"),
        (b"", "not a readable pickle: EOFError"),
        (b"\xff\xd8 not at all", "not a readable pickle"),
    ],
)  # fmt: skip
def test_a_pickle_of_other_things_than_bytes_and_arrays_is_refused(content: bytes, problem: str):
    with refused("some.bin", problem):
        loaded(content)


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ([1, 2, 3], {"problem": "holds list", "allowed": "(images, labels)"}),
        ((["text"] * 4, [True, False]), {"key": "image 0", "problem": "is str", "allowed": "encoded bytes"}),
        (([A0] * 3, [True, False]), {"key": "images", "value": 3, "allowed": "two for each of 2 labels"}),
        (([A0] * 4, [True, 7]), {"key": "labels", "allowed": "true or false"}),
        ((IMAGES[:4], [True, True]), {"problem": "2 genuine and 0 impostor pairs"}),
    ],
)
def test_a_pickle_that_is_no_benchmark_is_refused(tmp_path: Path, content: object, fields: dict):
    file = tmp_path / "some.bin"
    file.write_bytes(pickle.dumps(content))
    with refused(file, **fields):
        external.read(file)


def test_arrays_and_tables_that_are_broken_are_refused_in_one_line(tmp_path: Path):
    npy, memfile = write_npy(tmp_path), tmp_path / "b/some"
    memfile.parent.mkdir()
    write_memfile(memfile.parent)
    data, conf = memfile / "memfile/mem_file.dat", memfile / "memfile/mem_file.dat.conf"
    short = data.read_bytes()[:-4]
    broken: list[tuple[Path, Path, bytes, dict]] = [
        (npy, npy / "issame.txt", b"0 1 2", {"key": "label", "value": "2", "allowed": "0 or 1 for every pair"}),
        (npy, npy / "issame.txt", b" ", {"key": "label", "value": "", "allowed": "0 or 1 for every pair"}),
        (memfile, data, short, {"key": "bytes", "value": len(short), "allowed": "float32 [12, 3, 32, 32]"}),
        (memfile, conf, b'{"shape": [2, 2], "dtype": "float32"}', {"key": "shape", "value": [2, 2]}),
        (memfile, conf, b'{"shape": [12, 3, 32, 32], "dtype": "u1"}', {"key": "dtype", "allowed": "float32"}),
    ]
    for path, file, content, fields in broken:
        whole = file.read_bytes()
        file.write_bytes(content)
        with refused(file, **fields):
            external.read(path)
        file.write_bytes(whole)
    np.save(npy / "some.npy", pixels().astype(np.float32))
    with refused(npy / "some.npy", key="array", value="float32 (12, 3, 32, 32)", allowed="uint8"):
        external.read(npy)
    (npy / "some.npy").write_bytes((npy / "some.npy").read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"some\.npy: not a readable \.npy"):
        external.read(npy)
    data.write_bytes((np.frombuffer(data.read_bytes(), np.float32) * 2).tobytes())
    with refused(data, key="image 0", allowed="-1 to 1"):
        external.read(memfile).encoded(0)
    data.unlink()
    with refused(data, "no such file"):
        external.read(memfile)


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        ({"is_same": [True] * 4}, {"key": "columns", "value": "image, is_same", "allowed": "image, and index"}),
        ({"index": range(4), "is_same": [True, None, True, True]}, {"key": "is_same", "problem": "a missing value"}),
        ({"index": range(4), "is_same": [True, False, True, True]}, {"key": "is_same", "allowed": "equal on both"}),
    ],
)
def test_a_table_that_is_no_benchmark_is_refused(tmp_path: Path, columns: dict, fields: dict):
    pq.write_table(pa.table({"image": IMAGES[:4], **columns}), tmp_path / "some.parquet")
    with refused(**fields):
        external.read(tmp_path)


def test_the_order_of_a_table_is_that_of_its_index(tmp_path: Path):
    order = np.random.default_rng(0).permutation(12)
    columns = {"image": [IMAGES[i] for i in order], "index": order, "is_same": SAME[order // 2].astype(int)}
    pq.write_table(pa.table(columns), tmp_path / "some.parquet")
    assert_is_some(external.read(tmp_path))


def write_pairs(folder: Path, name: str, lines: list[str], files: list[str]) -> Path:
    for i, file in enumerate(files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(encoded(i))
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def test_two_lines_a_pair_are_read_and_their_folds_rebuilt(tmp_path: Path):
    names = [[f"{person}_{i:04d}.jpg" for i in (1, 2)] for person in ("A_B", "C", "D_2_E")]
    genuine = [f"{name} {fold}" for fold, person in enumerate(names, 1) for name in person]
    impostor = [f"{names[i][j]} 0" for i, j in ((0, 0), (1, 0), (1, 1), (2, 1), (2, 0), (0, 1))]
    files = [f"aligned images/{name}" for person in names for name in person]
    benchmark = external.read(write_pairs(tmp_path / "calfw", "pairs_CALFW.txt", genuine + impostor, files))
    assert benchmark.identity.tolist() == [0, 0, 1, 1, 2, 2] and benchmark.index.tolist() == [1, 2] * 3
    assert benchmark.pairs["fold"].to_pylist() == [0, 1, 2] * 2
    assert benchmark.pairs["same"].to_pylist() == [True] * 3 + [False] * 3
    assert np.stack([benchmark.pairs["a"], benchmark.pairs["b"]], 1)[3:].tolist() == [[0, 2], [3, 5], [4, 1]]
    assert [benchmark.encoded(row) for row in range(6)] == [encoded(i) for i in range(6)]
    for lines, key, fields in (
        ([*genuine[:-1], *impostor], "line 5", {"allowed": "two lines of one label"}),
        ([*genuine, *impostor[:-1]], "line 11", {"allowed": "two lines of one label"}),
        ([*genuine, "A_B_0001.jpg"], "line 7", {"value": "A_B_0001.jpg", "allowed": "NAME_1.jpg"}),
        ([*genuine, *impostor[:-2], "C_0009.jpg 0", impostor[-1]], "line 11", {"problem": "no image C/C_0009.png"}),
    ):
        with refused("calfw/pairs_CALFW.txt", key=key, **fields):
            external.read(write_pairs(tmp_path / "calfw", "pairs_CALFW.txt", lines, []))


def test_a_list_without_a_header_is_read(tmp_path: Path):
    lines = ["a\t1\t2", "a\t1\tb\t1", "b\t1\t2", "a\t2\tb\t2"]
    files = [f"images/{person}/{person}_{i:04d}.jpg" for person in "ab" for i in (1, 2)]
    benchmark = external.read(write_pairs(tmp_path / "rfw", "pairs.txt", lines, files))
    assert benchmark.pairs["fold"].to_pylist() == [0, 0, 1, 1] and benchmark.identity.tolist() == [0, 0, 1, 1]


def test_what_is_no_benchmark_or_there_twice_is_refused(tmp_path: Path):
    write_bin(tmp_path)
    (tmp_path / "README.md").touch()
    (tmp_path / "some").mkdir()
    with refused(tmp_path, "some and some.bin are both called some", allowed="one of them"):
        layouts.benchmarks(tmp_path)
    for name in ("wild", "own-centred", "own-1n", "own-by-sex"):
        (folder := tmp_path / "own" / name).mkdir(parents=True)
        with refused(folder, "a name that evaluation gives", key="name", value=name):
            layouts.benchmarks(folder.parent)
        folder.rename(folder.with_name("some"))
        assert list(layouts.benchmarks(folder.parent)) == ["some"]
        folder.with_name("some").rmdir()
    with refused(tmp_path / "some", "no benchmark in it", allowed="NAME.bin"):
        layouts.benchmark(tmp_path / "some")
    for name in ("pairs.txt", "pairs_b.txt"):
        (tmp_path / "some" / name).touch()
    with refused(tmp_path / "some", "pairs.txt, pairs_b.txt", allowed="one list of pairs"):
        external.read(tmp_path / "some")


def test_a_pickle_joins_by_being_there_and_keeps_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from stages import benchmarks

    write_params(tmp_path, {"world.size_px": 32, "world.photo_frame_px": 112})
    root = tmp_path / "data/external/benchmarks"
    root.mkdir(parents=True)
    for name in ("lfw", "own"):
        write_bin(root).rename(root / f"{name}.bin")
    monkeypatch.setattr(benchmarks, "embedded_protocols", lambda *_: [])  # they take 30 s and are in test_benchmarks
    with working_in(tmp_path):
        assert "lfw-external, own" in run("benchmarks")
        shards = Shards("data/benchmarks/lfw-external", "faces-*.arrow")
    assert [shards.encoded(row) for row in ROWS] == IMAGES
    assert shards.column("identity").tolist() == PEOPLE


FACE, NONE = (detector.picture(256, column) for column in (1, None))


def write_full_size(root: Path) -> None:
    """Write two people of two full-size pictures each, by the third of which a detector finds no face."""
    for i, (person, picture) in enumerate((("a", FACE), ("a", FACE), ("b", NONE), ("b", FACE))):
        (root / person).mkdir(parents=True, exist_ok=True)
        noisy = picture - np.uint8(i)  # no two are alike
        cv2.imwrite(str(root / person / f"{person}_{1 + i % 2:04d}.png"), noisy)


@pytest.mark.parametrize("detected", [False, True])
def test_full_size_pictures_of_benchmarks_and_sets_are_aligned_and_fixed_crops_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detected: bool
):
    from stages import benchmarks

    monkeypatch.setattr(benchmarks, "embedded_protocols", lambda *_: [])
    if detected:
        pytest.importorskip("insightface")
    own, file = tmp_path / "data/external/benchmarks/own", "external/scrfd.onnx" if detected else "none"
    write_full_size(own / "lfw")
    write_pairs(own, "pairs.txt", ["2", "a 1 2", "b 1 2", "a 1 b 1", "a 2 b 2"], [])
    write_full_size(tmp_path / "data/external/sets/own")
    if detected:
        detector.write(tmp_path / "data" / file)
    entry = {"backend": "folder", "path": "external/sets/own", "aligned": False}
    entry |= {"identities": 2, "images": 2, "seed": 0}
    changed = {"world.size_px": 32, "world.detector": file, "benchmarks.full_size": ["own"], "sets.own": entry}
    write_params(tmp_path, changed)
    with working_in(tmp_path):
        lines = [run("benchmarks"), run("sets own")]
        shown = [Shards("data/benchmarks/own", "faces-*.arrow"), Shards("data/sets/own")]
    count, suffixes = (1, ["", "", "-fixed-crop", ""]) if detected else (4, ["-fixed-crop"] * 4)
    aligner = Aligner(32, 136)
    for line, shards in zip(lines, shown, strict=True):
        assert f"own, {count} of 4 with a fixed crop" in line or f"each, {count} of 4 with a fixed crop" in line
        order = np.lexsort((shards.column("index"), shards.column("identity")))
        assert [shards.column("domain").tolist()[i] for i in order] == [f"external{suffix}" for suffix in suffixes]
        if not detected:
            expected, _ = aligner.align(
                [picture - np.uint8(i) for i, picture in enumerate((FACE, FACE, NONE, FACE))], ""
            )
            np.testing.assert_array_equal(shards.faces(order), expected)


def test_a_set_that_is_not_there_is_not_named(tmp_path: Path):
    (tmp_path / "data/external/benchmarks").mkdir(parents=True)
    crop = {"side_px": 9.0, "x_px": 4.0, "y_px": 4.0}
    for key, value in (("full_size", ["lfv"]), ("crops", {"lfv": crop})):
        write_params(tmp_path, {f"benchmarks.{key}": value})
        with working_in(tmp_path), pytest.raises(InputError) as error:
            run("benchmarks")
        assert (error.value.file, error.value.key, error.value.value) == ("params.yaml", f"benchmarks.{key}", "lfv")
    write_params(tmp_path, {"benchmarks.full_size": ["own"], "benchmarks.crops": {"own": crop}})
    with working_in(tmp_path), pytest.raises(ValueError, match="crops.own: in full_size, too; allowed: one of"):
        run("benchmarks")


@pytest.mark.parametrize(("field", "name"), [("on", "lfv"), ("minus", "agedb-external")])
def test_validate_finds_a_contrast_on_a_protocol_that_is_missing(tmp_path: Path, field: str, name: str):
    (tmp_path / "data/external/benchmarks").mkdir(parents=True)
    for own in ("home", "lfw"):
        (tmp_path / f"data/external/benchmarks/{own}.bin").touch()
    with working_in(tmp_path):
        for known in ("wild", "cplfw", "home", "home-centred", "lfw-external"):
            write_params(tmp_path, {f"report.contrasts.wild-on-lfw.{field}": known})
            find_external(Path("params.yaml"))
        write_params(tmp_path, {f"report.contrasts.wild-on-lfw.{field}": name})
        said = f"^params.yaml: report.contrasts.wild-on-lfw.{field} = '{name}'; allowed: wild, lfw, .*home-centred"
        with pytest.raises(ValueError, match=said):
            find_external(Path("params.yaml"))


def test_validate_finds_what_is_no_benchmark(tmp_path: Path):
    write_params(tmp_path, {})
    (tmp_path / "data/external/benchmarks/some").mkdir(parents=True)
    with working_in(tmp_path):
        with pytest.raises(ValueError, match="data/external/benchmarks/some: no benchmark in it"):
            find_external(Path("params.yaml"))
        write_npy(Path("data/external/benchmarks/some"))
        (Path("data/external/benchmarks/some/some/some.npy")).rename("data/external/benchmarks/some/some.npy")
        find_external(Path("params.yaml"))


def test_contents_are_numbered_as_new_ones_come():
    contents = [b"c", b"a", b"c", b"", b"a", b"b"]
    assert benchmark_pairs.numbered(contents).tolist() == [0, 1, 0, 2, 1, 3]
    assert benchmark_pairs.numbered([]).tolist() == []
