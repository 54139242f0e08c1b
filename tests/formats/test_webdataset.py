"""WebDataset tars as SOTA-FR, WebDataset itself and `tar` write them; what is broken or hostile is refused."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from formats.faces import Some, encoded
from refusal import refused

from stages.formats import webdataset
from stages.formats.webdataset import WebDataset

IMAGES = [encoded(i) for i in range(12)]


def write(folder: Path, *members: tuple[str, bytes] | tarfile.TarInfo) -> Path:
    file = folder / "000000.tar"
    with tarfile.open(file, "w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return file


def read(folder: Path) -> list[tuple[int, bytes]]:
    faces = WebDataset(folder)
    return [(int(who), faces.encoded(row)) for row, who in enumerate(faces.identity)]


def test_samples_named_alike_are_samples_of_their_own(tmp_path: Path):
    """Name them by their files alone, as SOTA-FR does, so that many people have a 000.jpg; at first only that."""
    for images in (1, 2):
        rows = [(person, i) for person in range(6) for i in range(images)]
        pairs = [((f"{i:03d}.cls", b"%d" % who), (f"{i:03d}.jpg", IMAGES[images * who + i])) for who, i in rows]
        write(tmp_path, *(member for pair in pairs for member in pair))
        assert sorted(read(tmp_path)) == sorted((who, IMAGES[images * who + i]) for who, i in rows)


@pytest.mark.parametrize(
    "names",
    [
        ["./0/0.jpg", "./0/0.cls", "./1/0.jpg", "./1/0.cls"],
        ["0/0.jpg", "1/0.cls", "1/0.jpg", "0/0.cls"],  # as a file system lists them
        ["a.face.jpg", "a.cls", "b.face.jpg", "b.cls"],
        ["a.JPG", "a.CLS", "b.jpeg", "b.cls"],
        ["p.1/a.1.jpg", "p.1/a.1.cls", "p.1/a.2.jpg", "p.1/a.2.cls"],  # one key, and yet clear
        ["0.jpg", "0.cls", "._0.jpg", "1.jpg", "1.cls"],
    ],
)
def test_an_image_finds_its_label(tmp_path: Path, names: list[str]):
    labels = iter([b"4", b"7"] if names[1] != "1/0.cls" else [b"7", b"4"])
    images = iter(IMAGES)
    members = [
        (name, b"apple" if "._" in name else next(labels) if name.lower().endswith("cls") else next(images))
        for name in names
    ]
    write(tmp_path, *members)
    assert read(tmp_path) == [(0, IMAGES[0]), (1, IMAGES[1])]


def test_names_and_numbers_in_json_are_labels(tmp_path: Path):
    for a, b in ((b'{"label": 9, "x": []}', b'{"label": 3}'), (b'{"label": "bert"}', b'{"identity": "anna"}')):
        write(tmp_path, ("0.jpg", IMAGES[0]), ("0.json", a), ("1.jpg", IMAGES[1]), ("1.json", b), ("notes.txt", b""))
        assert read(tmp_path) == [(1, IMAGES[0]), (0, IMAGES[1])]
        assert WebDataset(tmp_path).skipped == 1


@pytest.mark.parametrize(
    ("members", "key", "fields"),
    [
        ([("0.jpg", b"a"), ("0.jpg", b"b"), ("0.cls", b"0"), ("0.cls", b"1")], "0.jpg", {"problem": "missing"}),
        ([("0.jpg", b"a"), ("0.mask.png", b"b"), ("0.cls", b"0")], "0.mask.png", {"problem": "another image's"}),
        ([("0.jpg", b"a"), ("0.cls", b"anna")], "0.jpg", {"value": "anna"}),
        ([("0.jpg", b"a"), ("0.cls", b"-1")], "0.jpg", {"value": "-1"}),
        ([("0.jpg", b"a"), ("0.cls", b"9" * 5000)], "0.jpg", {"value": "9" * 5000}),
        ([("0.jpg", b"a"), ("0.json", b"[" * 100_000)], "0.jpg", {"value": None}),
        ([("0.jpg", b"a"), ("0.json", b'{"label": true}')], "0.jpg", {"value": None}),
    ],
)
def test_labels_that_are_not_clear_are_refused(
    tmp_path: Path, members: list[tuple[str, bytes]], key: str, fields: dict
):
    file = write(tmp_path, *members)
    with refused(file, key=f"label of '{key}'", allowed="a whole number", **fields):
        WebDataset(tmp_path)


def test_labels_of_two_kinds_are_refused(tmp_path: Path):
    write(tmp_path, ("0.jpg", b"a"), ("0.json", b'{"label": "a"}'), ("1.jpg", b"a"), ("1.cls", b"0"))
    with refused(tmp_path, "some are numbers, some names", key="labels", allowed="one kind"):
        WebDataset(tmp_path)


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo("1.jpg")
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        special(tarfile.LNKTYPE, "0.jpg"),
        special(tarfile.SYMTYPE, "/etc/passwd"),
        special(tarfile.CHRTYPE),
        special(tarfile.FIFOTYPE),
        special(tarfile.GNUTYPE_SPARSE),
    ],
)
def test_an_image_that_is_no_plain_file_is_refused(tmp_path: Path, member: tarfile.TarInfo):
    write(tmp_path, ("0.jpg", IMAGES[0]), ("0.cls", b"0"), member)
    with refused("000000.tar", "a link, a device or a sparse file", key="'1.jpg'", allowed="plain files"):
        WebDataset(tmp_path)


def numbered(header: bytes, at: int, value: int) -> bytes:
    """Return a tar header whose field at a byte holds a number in base 256, its checksum put right."""
    field = (value % (1 << 96)).to_bytes(12, "big")
    changed = bytearray(header[:at] + bytes([field[0] | 0x80]) + field[1:] + header[at + 12 :])
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


@pytest.mark.parametrize("size", [1 << 33, 1 << 60, 1 << 63, 1 << 70, -512, -1024, -(1 << 40)])
def test_absurd_sizes_are_refused(tmp_path: Path, size: int):
    file = write(tmp_path, ("0.jpg", IMAGES[0]), ("0.cls", b"0"))
    whole = file.read_bytes()
    second = 512 + -(-len(IMAGES[0]) // 512) * 512
    for at in (0, second):
        file.write_bytes(whole[:at] + numbered(whole[at : at + 512], 124, size) + whole[at + 512 :])
        with pytest.raises(ValueError, match="000000.tar: "):
            WebDataset(tmp_path)


@pytest.mark.parametrize(
    "pax",
    [
        {"size": "9" * 30},
        {"size": "-1024"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "0.jpg", "GNU.sparse.realsize": "9"},
        {"GNU.sparse.map": "0,x"},
    ],
)
def test_headers_that_lead_astray_are_refused(tmp_path: Path, pax: dict[str, str]):
    member = tarfile.TarInfo("0.jpg")
    member.size, member.pax_headers = 512, pax
    with tarfile.open(tmp_path / "000000.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(b"9" * 512))  # of a sparse map the number of entries, without an end
    with pytest.raises(ValueError, match="000000.tar: "):
        WebDataset(tmp_path)


def test_a_tar_that_ends_anywhere_before_its_end_is_refused(tmp_path: Path):
    webdataset.write(tmp_path, Some())
    file = tmp_path / "000000.tar"
    whole = file.read_bytes()
    content = len(whole.rstrip(b"\0"))
    for end in range(0, content + 1024, 512):  # between members and within them
        file.write_bytes(whole[:end])
        with pytest.raises(ValueError, match="000000.tar: "):
            WebDataset(tmp_path)
    file.write_bytes(whole + whole)  # as `cat` joins two
    with refused(file, "bytes behind the end", allowed="one tar"):
        WebDataset(tmp_path)


def test_equal_keys_in_two_tars_are_two_samples(tmp_path: Path):
    write(tmp_path, ("0.jpg", IMAGES[0]), ("0.cls", b"0")).rename(tmp_path / "000001.tar")
    write(tmp_path, ("0.jpg", IMAGES[1]), ("0.cls", b"1"))
    assert read(tmp_path) == [(1, IMAGES[1]), (0, IMAGES[0])]
    assert np.array_equal(WebDataset(tmp_path).identity, [1, 0])


def test_a_broken_image_of_any_name_is_refused_in_one_short_line(tmp_path: Path):
    write(tmp_path, (f"a\n{'x' * 5000}.jpg", b"\xff\xd8\xff"), (f"a\n{'x' * 5000}.cls", b"0"))
    source = WebDataset(tmp_path).source(0)
    assert source.startswith(f"{tmp_path / '000000.tar'}: a") and len(source) < 400 and source.isprintable()
