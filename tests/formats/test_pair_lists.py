"""Lists of pairs as people have them: encodings, headers, names and folders."""

import codecs
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from formats.faces import encoded
from refusal import refused

from stages.formats import text
from stages.formats.benchmark_pairs import Benchmark
from stages.protocols import external

LINES = ["2\t2", "ann\t1\t2", "bob\t1\t2", "ann\t1\tcid\t2", "bob\t1\tdee\t2"]
LINES += ["cid\t1\t2", "dee\t1\t2", "cid\t1\tann\t2", "dee\t1\tbob\t2"]
PEOPLE = ("ann", "bob", "cid", "dee")


def write(folder: Path, name: Callable[[str, int], str], lines: str | bytes = "\n".join(LINES)) -> Path:
    """Write two images each of four people, where `name` says, beside a list."""
    for i, person in enumerate(PEOPLE):
        for number in (1, 2):
            file = folder / name(person, number)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoded(2 * i + number))
    (folder / "pairs.txt").write_bytes(lines.encode() if isinstance(lines, str) else lines)
    return folder


def lfw(person: str, number: int) -> str:
    return f"images/{person}/{person}_{number:04d}.jpg"


def image_pairs(benchmark: Benchmark) -> list[tuple[bytes, bytes, bool]]:
    """Return the pairs: the bytes of both images, and whether they show one person."""
    a, b, same = (benchmark.pairs[name].to_pylist() for name in ("a", "b", "same"))
    return [(benchmark.encoded(i), benchmark.encoded(j), s) for i, j, s in zip(a, b, same, strict=True)]


def assert_is_plain(benchmark: Benchmark) -> None:
    """Compare a benchmark with the pairs of LINES."""
    image = {(person, n): encoded(2 * i + n) for i, person in enumerate(PEOPLE) for n in (1, 2)}
    plain = [
        (p, 1, p, 2, True) if len(rest) == 2 else (p, 1, rest[1], 2, False) for p, *rest in map(str.split, LINES[1:])
    ]
    assert image_pairs(benchmark) == [(image[p, i], image[q, j], same) for p, i, q, j, same in plain]
    people = benchmark.identity[np.stack([benchmark.pairs["a"], benchmark.pairs["b"]], 1)]
    assert len(np.unique(people)) == 4 and np.array_equal(people[:, 0] == people[:, 1], benchmark.pairs["same"])


@pytest.mark.parametrize(
    "name",
    [
        lambda person, i: f"images/{person}/{person}_{i:04d}.JPG",
        lambda person, i: f"images/{person}/{person}_{i}.Png",
        lambda person, i: f"images/{person}/{person}_{i:03d}.jpeg",
        lambda person, i: f"images/{person}/{person}_{i:04d}_0.png",
        lambda person, i: f"images/{person}_{i:04d}.jpg",
        lambda person, i: f"images/some/deeper/{person}_{i:04d}.jpg",
        lambda person, i: f"lfw/{person}/{person}_{i:04d}.jpg",
        lambda person, i: f"{person}/{person}_{i:04d}.jpg",
        lambda person, i: f"{person}_{i:04d}.jpg",
    ],
)  # fmt: skip
def test_images_are_found_under_the_names_that_tools_give_them(tmp_path: Path, name: Callable[[str, int], str]):
    assert_is_plain(external.read(write(tmp_path / "own", name)))


PATHS = "\n".join(
    f"{lfw(p, 1)} {lfw(p, 2)} 1" if len(rest) == 2 else f"{lfw(p, 1)} {lfw(rest[1], 2)} 0"
    for p, *rest in map(str.split, LINES[1:])
)


@pytest.mark.parametrize(
    "lines",
    [
        "\r\n".join(LINES),
        "\n".join(LINES).replace("\t", "  "),
        "\n\n".join(["2", "2", *LINES[1:]]),
        "\n".join(["4", *LINES[1:]]),
        "\n".join(["8", *LINES[1:]]),
        "\n".join(LINES[1:]),
        PATHS,
        PATHS.replace("images/", ""),
        PATHS.replace("images/", "/data/someone/lfw/"),
        PATHS.replace(" ", "\t").replace("/", "\\"),
        "8\n" + PATHS,
    ],
)  # fmt: skip
@pytest.mark.parametrize("mark", [(b"", "utf-8"), (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le")])
def test_lists_of_one_content_read_alike(tmp_path: Path, lines: str, mark: tuple[bytes, str]):
    assert_is_plain(external.read(write(tmp_path / "own", lfw, mark[0] + lines.encode(mark[1]))))


def test_folds_hold_both_kinds_of_pairs_whatever_a_header_says(tmp_path: Path):
    lines = sorted(LINES[1:], key=lambda line: line.count("\t"))
    for header in (["2\t2"], ["1\t4"], []):
        benchmark = external.read(write(tmp_path / "own", lfw, "\n".join([*header, *lines])))
        same, fold = (benchmark.pairs[name].to_numpy() for name in ("same", "fold"))
        assert all(set(same[fold == i]) == {True, False} for i in range(fold.max() + 1)) and fold.max() > 0


@pytest.mark.parametrize("rename", ["an na", "ann 3rd", "Zoë", "Jörg Ü. O'Neil-Paß"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
@pytest.mark.parametrize("between", ["\t", " "])
def test_names_with_blanks_and_accents_are_read(tmp_path: Path, rename: str, encoding: str, between: str):
    def name(person: str, number: int) -> str:
        return unicodedata.normalize("NFD", lfw(rename if person == "ann" else person, number))

    lines = "\n".join(LINES).replace("ann", rename).replace("\t", between)
    assert_is_plain(external.read(write(tmp_path / "own", name, lines.encode(encoding))))


def test_people_are_those_of_the_links_where_folders_are_not_people(tmp_path: Path):
    """CFP has PERSON/frontal/01.jpg and PERSON/profile/01.jpg; one that is missing is not replaced by another's."""

    def name(person: str, number: int) -> str:
        return f"images/{person}/{'frontal' if number == 1 else 'profile'}/01.jpg"

    lines = PATHS
    for person in PEOPLE:
        for number in (1, 2):
            lines = lines.replace(lfw(person, number), name(person, number))
    assert_is_plain(external.read(write(tmp_path / "own", name, lines)))
    (tmp_path / "own/images/bob/profile/01.jpg").unlink()
    with refused("pairs.txt", "no image images/bob/profile/01.png (or .jpg)", key="line 2"):
        external.read(tmp_path / "own")


@pytest.mark.parametrize(
    ("lines", "key", "fields"),
    [
        ("2\t2\n", "line 1", {"problem": "no pair"}),
        ("", "line 1", {"problem": "no pair"}),
        ("\n".join(["3", *LINES[1:]]), "line 1", {"value": "3", "allowed": "half of the 8 pairs"}),
        ("\n".join(["1 2 3", *LINES[1:]]), "line 1", {"problem": "no image 1/1_0002.png (or .jpg)"}),
        ("\n".join([*LINES[:-1], "dee\t1\tnot\t2"]), "line 9", {"problem": "no image not/not_0002.png (or .jpg)"}),
        ("\n".join([*LINES[:-1], "dee\t1\tdee\t2"]), "line 9", {"value": "dee\t1\tdee\t2", "allowed": "NAME 1 2"}),
        ("\n".join([*LINES[:-1], "dee\t1\tbob"]), "line 9", {"value": "dee\t1\tbob", "allowed": "NAME 1 2"}),
        ("\n".join([*LINES[:-1], "dee\t1\t" + 1000 * "9"]), "line 9", {"allowed": "NAME 1 2"}),
        ("\n".join([*LINES[:-1], "../../ann 1 2"]), "line 9", {"problem": "no image ../../ann"}),
        (PATHS.replace("_0002.jpg 0", "_0002.jpg 2"), "line 3", {"allowed": "FILE FILE, then 1 or 0"}),
        (PATHS.replace("images/bob", "../images/bob"), "line 2", {"problem": "no image ../images/bob"}),
        (PATHS.replace("/bob/", "/cid/"), "line 2", {"problem": "no image images/cid/bob_0001.png (or .jpg)"}),
        (PATHS.replace("images/bob", "x" * 1000, 1), "line 2", {"problem": "no image xxx"}),
        (PATHS + "\n" + "a.jpg " * 10**5 + "2", "line 9", {"problem": "longer than"}),
        (b"\xff\xfe" + "\n".join(LINES).encode(), "", {"problem": "not a text"}),
        ("\n".join(LINES).encode("utf-16-le"), "", {"problem": "not a text"}),
        (b"\x89PNG\r\n\x1a\n\0\0", "", {"problem": "not a text"}),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_refused_with_file_and_line(tmp_path: Path, lines: str | bytes, key: str, fields: dict):
    with refused(tmp_path / "own/pairs.txt", key=key, **fields):
        external.read(write(tmp_path / "own", lfw, lines))


@pytest.mark.parametrize(
    "twin",
    ["images/ann/ann_0001.png", "images/old/ann_0001.jpg", "images/deep/ann/ann_0001.jpg", "images/ann/ann_0001.JPG"],
)
def test_an_image_that_is_there_twice_is_taken_where_the_person_lies_or_refused(tmp_path: Path, twin: str):
    folder = write(tmp_path / "own", lfw)
    (folder / twin).parent.mkdir(parents=True, exist_ok=True)
    (folder / twin).write_bytes(encoded(99))
    if "old" in twin:
        assert_is_plain(external.read(folder))
    else:
        with refused(folder / "pairs.txt", str(folder / twin), key="line 2", allowed="one image of that name"):
            external.read(folder)


def test_hidden_folders_are_skipped_and_links_followed(tmp_path: Path):
    folder = write(tmp_path / "own", lfw)
    for hidden in ("images/ann/@eaDir/ann_0001.jpg", "images/.cache/ann/ann_0001.jpg", "images/ann/._ann_0001.jpg"):
        (folder / hidden).parent.mkdir(parents=True, exist_ok=True)
        (folder / hidden).write_bytes(b"no image")
    (folder / "images/bob").rename(tmp_path / "bob")
    (folder / "images/bob").symlink_to(tmp_path / "bob")
    assert_is_plain(external.read(folder))


def test_what_is_no_file_is_no_image(tmp_path: Path):
    folder = write(tmp_path / "own", lfw)
    (folder / "images/ann/ann_0001.jpg").unlink()
    (folder / "images/ann/ann_0001.jpg").mkdir()
    with refused(folder / "pairs.txt", "no image ann/ann_0001.png", key="line 2"):
        external.read(folder)
    (folder / "images/ann/ann_0001.jpg").rmdir()
    (folder / "images/ann/ann_0001.jpg").symlink_to("nowhere.jpg")
    with refused(folder / "images/ann/ann_0001.jpg", "a link to nowhere.jpg"):
        external.read(folder)


def test_two_files_of_one_image_are_no_impostor_pair(tmp_path: Path):
    folder = write(tmp_path / "own", lfw)
    (folder / "images/cid/cid_0002.jpg").write_bytes(encoded(1))  # ann's first
    with refused(folder / "pairs.txt", "an image with itself", key="impostor pair 3"):
        external.read(folder)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
def test_a_text_of_every_encoding_is_read(tmp_path: Path, encoding: str):
    (tmp_path / "list").write_bytes("Zoë\t1\r\n".encode(encoding))
    assert text.read(tmp_path / "list") == "Zoë\t1\r\n"
