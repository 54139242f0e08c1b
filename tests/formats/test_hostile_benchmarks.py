"""Benchmarks that nobody sane would send: refused in one line that names the file, within the file's own size."""

import lzma
import pickle
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from formats import test_benchmarks
from formats.faces import encoded
from formats.test_benchmarks import WRITERS, write_memfile, write_npy
from refusal import refused

from stages.formats import bin
from stages.protocols import external

IMAGES, SAME = [encoded(i, ".png") for i in range(8)], np.array([True, True, False, False])
MEMORY = 1 << 30  # bytes beyond what is taken already


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Allow a test so much more memory, and no more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = 4096 * int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def refusal(path: Path) -> str:
    """Return the message that refuses a benchmark: one short line that names it, and not for want of memory."""
    with pytest.raises(ValueError) as error:
        external.read(path)
    line = str(error.value)
    assert str(path) in line and "\n" not in line and len(line) < len(str(path)) + 400 and "MemoryError" not in line
    return line.replace(str(path), path.name)


def size(count: int) -> bytes:
    return count.to_bytes(8, "little")


def nested(start: bytes, join: bytes, levels: int = 60) -> bytes:
    """Return a pickle's part in which each level holds the one before it twice."""
    return start + b"".join(b"q%c0h%ch%c" % (i, i, i) + join for i in range(levels))


LAUGHS = nested(b")", b"\x86")
TEXT = b"X\0\0\x10\0" + b"a" * 2**20  # a megabyte
PICKLES = {
    "a high number of the memo": b"\x80\x02K\x01r\0\0\0\x10.",
    "a higher one": b"\x80\x02K\x01r\xff\xff\xff\xff.",
    "a high one in digits": b"\x80\x02K\x01p99999999999\n.",
    "tuples within tuples": b"\x80\x02" + LAUGHS + b".",
    "lists within lists": b"\x80\x02" + nested(b"]", b"\x86\x85") + b".",
    "tuples as a key": b"\x80\x02}" + LAUGHS + b"K\x01s.",
    "tuples in a set": b"\x80\x04\x8f(" + LAUGHS + b"\x90.",
    "tuples to encode": b"\x80\x02c_codecs\nencode\n" + LAUGHS + b"X\6\0\0\0latin1\x86R.",
    "tuples for a type": b"\x80\x02cnumpy\ndtype\n" + LAUGHS + b"\x85R.",
    "tuples as images": b"\x80\x02]q\xff(" + LAUGHS + b"e](\x88\x89e\x86.",
    "tuples as labels": b"\x80\x02](U\1aU\1be](" + LAUGHS + b"e\x86.",
    "much text encoded often": b"\x80\x02c_codecs\nencode\nq\0" + TEXT + b"q\1X\6\0\0\0latin1q\2]("
    + b"h\0h\1h\2\x86R" * 2000 + b"e](\x88\x89e\x86.",
    "many bytes": b"\x80\x04\x8e" + size(2**60) + b"a.",
    "many bytes that can change": b"\x80\x05\x96" + size(2**40) + b"a.",
    "much text": b"\x80\x04\x8d" + size(2**60) + b"a.",
    "a long number": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "a long number of negative length": b"\x80\x02\x8b\xff\xff\xff\xff.",
    "a long number in digits": b"\x80\x02L" + b"9" * 10000 + b"L\n.",
    "a large frame": b"\x80\x04\x95" + size(2**62) + b"K\1.",
    "a deep nest": b"\x80\x02" + b")" + b"\x85" * 10**5 + b".",
    "a list that holds itself": b"\x80\x02]q\0h\0ah\0\x86.",
    "a long name": b"\x80\x02c" + b"a" * 10**5 + b"\nb\n.",
    "a type of long cells": b"\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x0cS99999999999\x85R)\x86R.",
    "nothing": b"\x80\x02]]\x86.",
    "one number": b"\x80\x02K\1.",
    "numbers for images": b"\x80\x02K\1K\1\x86.",
    "images that are a number": b"\x80\x02](K\1K\2e](\x88e\x86.",
    "labels that are lists": b"\x80\x02](U\1aU\1be](]e\x86.",
    "labels that are long": b"\x80\x02](U\1aU\1be](" + TEXT + b"q\0" + b"h\0" * 2000 + b"e\x86.",
}  # fmt: skip


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("suffix", [".bin", ".xz"])
def test_a_pickle_takes_no_more_than_its_size_warrants(tmp_path: Path, kind: str, suffix: str):
    content = PICKLES[kind]
    file = tmp_path / f"some{suffix}"
    file.write_bytes(lzma.compress(content, preset=0) if suffix == ".xz" else content)
    assert refusal(file).startswith(f"some{suffix}: ")


@pytest.mark.parametrize("made", [bytes, lambda image: np.frombuffer(image, np.uint8)])
def test_an_image_that_is_named_often_is_held_and_hashed_once(tmp_path: Path, made: Callable[[bytes], object]):
    large, small, *others = map(made, [IMAGES[0] + bytes(2**22), *IMAGES[1:]])
    images = [large, small] * 3000 + [large, others[0], large, others[1]]
    (tmp_path / "some.bin").write_bytes(pickle.dumps((images, [True] * 3000 + [False] * 2), 4))
    start = time.process_time()
    assert len(bin.read(tmp_path / "some.bin").pairs) == 3002
    assert time.process_time() - start < 5  # 12 GB each take more


def test_a_compressed_pickle_may_not_swell(tmp_path: Path):
    content = pickle.dumps((IMAGES + [bytes(2**25)], SAME.tolist()))
    (tmp_path / "some.xz").write_bytes(lzma.compress(content, preset=0))
    assert "unpacks to more than" in refusal(tmp_path / "some.xz")
    for broken in (b"", b"\xfd7zXZ\0", lzma.compress(content[:99])[:-9], content):
        (tmp_path / "some.xz").write_bytes(broken)
        assert "not a readable .xz file" in refusal(tmp_path / "some.xz")


CONF = '{"shape": %s, "dtype": "float32"}'
SHAPES = (
    "7", '"1332"', "null", "[]", "[12, 3, 32]", "[0, 3, 32, 32]", "[-12, 3, -32, 32]", "[12.0, 3, 32, 32]",
    "[true, 3, 64, 192]", '["a", 3, 4, 4]', '["12", "3", "32", "32"]', "[12, 3, [32], 32]", "[null, 3, 2, 2]",
    f"[{2**70}, 3, 1, 1]", f"[{2**62}, 3, {2**62}, 4]", "[12, 3, 32, 1e999]", f'["{"9" * 10**5}", 3, 2, 2]',
)  # fmt: skip


@pytest.mark.parametrize(
    "conf",
    [
        b"", b"7", b"[1]", b'"shape"', b"{}", b"\xff\xfe", b"[" * 10**5, b'{"a":' * 10**5,
        *((CONF % shape).encode() for shape in SHAPES),
        *(f'{{"shape": [12, 3, 32, 32], "dtype": {dtype}}}'.encode() for dtype in ('"float64"', '["float32"]', "{}")),
        pickle.dumps({"shape": (12, 3, 32, 32), "dtype": "float32"}),
    ],
)  # fmt: skip
def test_a_conf_that_is_wrong_is_named(tmp_path: Path, conf: bytes):
    (write_memfile(tmp_path) / "memfile/mem_file.dat.conf").write_bytes(conf)
    assert "mem_file.dat" in refusal(tmp_path / "some")


TEXT_ARRAY = {"problem": "a pickle that holds an array of U1", "allowed": "numbers and bytes"}


@pytest.mark.parametrize("labels", [np.arange(6), np.ones(6) / 2, np.ones((6, 1)), np.array(1), np.array(["a"] * 6)])
def test_labels_that_are_none_are_named(tmp_path: Path, labels: np.ndarray):
    write_memfile(tmp_path)
    np.save(tmp_path / "some_list.npy", labels)
    with pytest.raises(ValueError, match="some_list.npy: "):
        external.read(tmp_path / "some")
    (tmp_path / "some.bin").write_bytes(pickle.dumps((IMAGES, labels)))
    with refused("some.bin", **(TEXT_ARRAY if labels.dtype.kind == "U" else {"key": "labels"})):
        external.read(tmp_path / "some.bin")


def header(text: str, version: int = 1) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text.encode()


@pytest.mark.parametrize(
    "start",
    [
        *(header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n") for shape in (
            "(12, 3, 32)", "(1152921504606846976, 3, 32, 32)", "(-12, 3, -32, 32)", "(12, 3, 32, 33)", "12",
            "(12.0, 3, 32, 32)", "('a', 3, 32, 32)", "(" * 90 + ")" * 90, "(0, 3, 32, 32)",
            "(99999999999999999999999, 3, 32, 32)",
        )),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (12, 3, 32, 32), }\n"),
        header("{'descr': [('a', '|u1')] * 9**9, 'fortran_order': False, 'shape': (12, 3, 32, 32), }\n"),
        header("__import__('os').system('touch run')\n"),
        header("'a' * 9 ** 9 ** 9\n", 2),
        header("{" * 60000, 2), header("(" * 9000), header(""), header("\udcff".encode("utf-8", "replace").decode(), 3),
        b"", b"\x93NUMPY", b"\x93NUMPY\1\0\xff\xff", b"\x93NUMPY\2\0\xff\xff\xff\xff", b"PK\3\4", b"PK\5\6" + bytes(18),
        pickle.dumps(np.arange(4)),
    ],
)  # fmt: skip
def test_a_header_that_promises_too_much_is_refused(tmp_path: Path, start: bytes):
    file = write_npy(tmp_path) / "some.npy"
    content = file.read_bytes()
    file.write_bytes(start + content[128:] if start[:2] != b"PK" else start)
    assert "some.npy" in refusal(tmp_path / "some")


@pytest.mark.parametrize("kind", WRITERS)
def test_an_impostor_pair_of_one_image_is_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(test_benchmarks, "IMAGES", [*IMAGES[:5], *IMAGES[:4], IMAGES[3], *IMAGES[6:]])
    monkeypatch.setattr(test_benchmarks, "SAME", np.array([True, True, False, True, False, False]))
    path = WRITERS[kind](tmp_path)
    with refused(key="impostor pair 5", problem="an image with itself", allowed="two images"):
        external.read(path)


@pytest.mark.parametrize("alike", range(5))
def test_most_genuine_pairs_show_two_images(tmp_path: Path, alike: int):
    images = [*IMAGES[:2] * 4, *IMAGES[:4]]
    images[1 : 2 * alike : 2] = images[0 : 2 * alike : 2]
    bin.write(tmp_path / "some.bin", images.__getitem__, np.arange(12), np.array([True] * 4 + [False] * 2))
    if alike > 2:
        key = "genuine pairs of an image with itself"
        with refused("some.bin", key=key, value=alike, allowed="at most half of 4"):
            bin.read(tmp_path / "some.bin")
    else:
        assert len(bin.read(tmp_path / "some.bin").pairs) == 6
