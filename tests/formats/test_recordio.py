"""RecordIO as MXNet writes it, also where a payload holds the magic; what is broken is refused."""

import io
import struct
from pathlib import Path

import pytest
from formats.faces import Some, encoded
from hypothesis import given
from hypothesis import strategies as st
from refusal import refused

from stages.formats import rec, recordio
from stages.formats.rec import Rec
from stages.formats.recordio import MAGIC, Records

# written by MXRecordIO of mxnet 1.9.1
BY_MXNET = {
    b"": "0a23d7ce00000000",
    b"abcde": "0a23d7ce05000000" "6162636465000000",
    b"abcd" + MAGIC + b"x": "0a23d7ce04000020" "61626364" "0a23d7ce01000060" "78000000",
    MAGIC * 2: "0a23d7ce00000020" "0a23d7ce00000040" "0a23d7ce00000060",
    b"ab" + MAGIC + b"cd": "0a23d7ce08000000" "6162" "0a23d7ce" "6364",
}  # fmt: skip
PIECES = st.one_of(st.binary(max_size=9), st.just(MAGIC), st.just(MAGIC[:3]), st.just(b"abcd" + MAGIC))


def packed(payload: bytes) -> bytes:
    stream = io.BytesIO()
    recordio.write(stream, payload)
    return stream.getvalue()


@pytest.mark.parametrize("payload", BY_MXNET)
def test_a_record_has_the_bytes_that_mxnet_writes(payload: bytes):
    assert packed(payload).hex() == BY_MXNET[payload]


@given(st.lists(st.lists(PIECES, max_size=6).map(b"".join), min_size=1, max_size=5))
def test_every_payload_comes_back(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]):
    file = tmp_path_factory.mktemp("records") / "some.rec"
    file.write_bytes(b"".join(map(packed, payloads)))
    records = Records(file)
    assert [records.read(offset) for offset in records.offsets()] == payloads


def test_broken_records_are_refused(tmp_path: Path):
    file = tmp_path / "some.rec"
    good = packed(b"abcd" + MAGIC + b"efgh")
    for broken, at, problem in (
        (good[:-1], 0, recordio.TRUNCATED),
        (good[:-12], 12, recordio.NO_RECORD),
        (b"x" + good, 0, recordio.NO_RECORD),
        (good[12:], 0, "part 3 of a split record out of turn"),
        (good[:12] + good, 12, "part 1 of a split record out of turn"),
    ):
        file.write_bytes(broken)
        with refused(file, problem, key=f"byte {at}"):
            list(Records(file).offsets())
    file.write_bytes(b"")
    with refused(file, "an empty file", allowed="RecordIO"):
        Records(file)


def record(label: float, several: list[float], image: bytes) -> bytes:
    return packed(struct.pack("<IfQQ", len(several), label, 7, 0) + struct.pack(f"<{len(several)}f", *several) + image)


def write_raw(folder: Path, records: list[bytes]) -> Path:
    offsets = [sum(map(len, records[:i])) for i in range(len(records))]
    (folder / "train.rec").write_bytes(b"".join(records))
    (folder / "train.idx").write_text("".join(f"{i}\t{offset}\n" for i, offset in enumerate(offsets)))
    return folder


def test_a_set_without_header_and_index_and_with_several_labels_is_read(tmp_path: Path):
    split = encoded(1)[:2] + b"\0\0" + MAGIC + encoded(1)
    folder = write_raw(tmp_path, [record(5, [], encoded(0)), record(0, [3, 9], encoded(1)), record(3, [], split)])
    for _ in range(2):
        faces = Rec(folder)
        assert faces.identity.tolist() == [1, 0, 0] and faces.size is None
        assert [faces.encoded(row) for row in range(3)] == [encoded(0), encoded(1), split]
        (tmp_path / "train.idx").unlink(missing_ok=True)


def test_the_layout_is_insightfaces(tmp_path: Path):
    rec.write(tmp_path, Some())
    records = Records(tmp_path / "train.rec")
    heads = [struct.unpack_from("<IfQQ", records.read(offset)) for offset in records.offsets()]
    assert heads[0] == (2, 0.0, 0, 0)
    assert [label for _, label, _, _ in heads[1:7]] == [0, 0, 0, 1, 2, 2]
    offsets = list(records.offsets())
    last = [struct.unpack("<2f", records.read(offset)[24:]) for offset in (offsets[0], *offsets[7:])]
    assert last == [(7, 10), (1, 4), (4, 5), (5, 7)]
    index = [line.split() for line in (tmp_path / "train.idx").read_text().splitlines()]
    assert [(int(k), int(at)) for k, at in index] == list(enumerate(records.offsets()))
    assert (tmp_path / "property").read_text() == "3,32,32\n"
    assert Rec(tmp_path).size == (32, 32)


def test_a_set_that_is_broken_is_refused_in_one_line(tmp_path: Path):
    rec.write(tmp_path, Some())
    file, index = tmp_path / "train.rec", tmp_path / "train.idx"
    whole, lines = file.read_bytes(), index.read_text()
    last = lines.splitlines()[-1].split()[1]  # the byte at which the last record begins
    for cut, problem in ((1, recordio.TRUNCATED), (len(whole) - int(last) - 4, recordio.NO_RECORD)):
        file.write_bytes(whole[:-cut])
        with refused(file, problem, key=f"byte {last}"):
            Rec(tmp_path)
    file.write_bytes(whole)
    index.write_text("".join(lines.splitlines(True)[:4]))
    with refused(file, key="images", value=3, allowed="6, as record 0 says"):
        Rec(tmp_path)
    index.write_text(lines.replace("\t0\n", "\t8\n"))
    with refused(file, recordio.NO_RECORD, key="byte 8"):
        Rec(tmp_path)


@pytest.mark.parametrize("content", ["a b\n", "", "\xff" * 1000, "0\t0\n1\t" + "9" * 30])
def test_an_index_that_is_broken_is_refused(tmp_path: Path, content: str):
    rec.write(tmp_path, Some())
    (tmp_path / "train.idx").write_text(content, "latin-1")
    with refused(tmp_path / "train.idx", allowed="a key and a byte in each line"):
        Rec(tmp_path)


def test_an_index_with_two_keys_of_one_record_is_refused(tmp_path: Path):
    rec.write(tmp_path, Some())
    lines = (tmp_path / "train.idx").read_text()
    (tmp_path / "train.idx").write_text(lines + lines.splitlines()[3])
    with refused(tmp_path / "train.idx", "two keys of one record"):
        Rec(tmp_path)


@pytest.mark.parametrize("label", [0.5, float("inf"), float("nan"), -1])
def test_a_label_that_is_no_whole_number_is_refused(tmp_path: Path, label: float):
    with refused("train.rec", key="label", allowed="a whole number from 0 on"):
        Rec(write_raw(tmp_path, [record(label, [], encoded(0))]))


def test_a_set_without_images_is_refused(tmp_path: Path):
    with refused("train.rec", "no images"):
        Rec(write_raw(tmp_path, [record(0, [1, 2], b"")]))


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"3\n", b"3,112", b"3,-112,112", b"3,1e3,112", b"9" * 5000, b"3,99999999,1"]
)
def test_a_property_without_three_numbers_is_refused(tmp_path: Path, content: bytes):
    rec.write(tmp_path, Some())
    (tmp_path / "property").write_bytes(content)
    with refused(tmp_path / "property", key="line 1", allowed="people,height,width"):
        Rec(tmp_path)


def test_faces_of_two_sizes_do_not_go_into_one_set(tmp_path: Path):
    faces = Some()
    faces.images = (*Some.images[:5], encoded(9, size_px=48))
    with refused("some: 5", "48 x 48 pixels", allowed="32 x 32"):
        rec.write(tmp_path, faces)
