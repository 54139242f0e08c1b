"""Hostile checkpoints are refused in one line and in little time and memory, and nothing that they name runs."""

import pickle
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from refusal import refused
from torch._utils import _rebuild_tensor_v2

from stages.foreign import checkpoints

WHOLE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1000)}


def again(file: Path, compressed: int = zipfile.ZIP_STORED, members: Mapping[str, bytes] = {}) -> None:
    """Write the members of a zip of torch.save anew, some of them changed."""
    with zipfile.ZipFile(file) as old:
        contents = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(file, "w", compressed) as new:
        for name, content in contents.items():
            new.writestr(name, members.get(Path(name).stem, content))


class Called:
    """Pickled, calls something that torch lets a checkpoint call."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple:
        return self.call[0], self.call[1:]


def nested(depth: int) -> Any:
    """Return a tuple of twice the same tuple, and so on; its hash takes 2 ** depth steps."""
    value: Any = ("x",)
    for _ in range(depth):
        value = (value, value)
    return value


def keyed(file: Path) -> None:
    """Name a key of a mapping so that it takes for ever to hash it."""
    again(file, members={"data": b"\x80\x02}" + pickle.dumps(nested(60), 2)[2:-1] + b"K\x01s."})


def storage(number: int) -> Callable[[Path], None]:
    """Write the old format, naming a storage of so many numbers."""

    class Writer(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            if isinstance(obj, str) and obj == "here":
                return ("storage", torch.FloatStorage, "0", "cpu", number, None)
            return None

    def write(file: Path) -> None:
        with file.open("wb") as stream:
            for head in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
                pickle.dump(head, stream, 2)
            tensor = Called(_rebuild_tensor_v2, "here", 0, (number,), (1,), False, OrderedDict())
            Writer(stream, 2).dump({"a": tensor})
            pickle.dump(["0"], stream, 2)

    return write


def program(file: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), str(file))


HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda f: f.write_bytes(b""), "an empty file"),
    "text": (lambda f: f.write_text("no network"), "not a readable checkpoint"),
    "truncated": (lambda f: f.write_bytes(f.read_bytes()[:900]), "not a readable checkpoint"),
    "deflated": (lambda f: again(f, zipfile.ZIP_DEFLATED), "members that are compressed or overlap"),
    "a program": (program, "a TorchScript program"),
    "a short record": (lambda f: again(f, members={"1": bytes(8)}), "names more tensors than its"),
    "gigabytes of zeros": (lambda f: torch.save(Called(bytearray, 10**11), f), "carries code (bytearray)"),
    "numbers of their own": (lambda f: torch.save(Called(complex, 1, 2), f), "carries code"),
    "a key for ever": (keyed, "takes more than its 1 s of processor time"),
    "too many numbers": (storage(10**10), "names more tensors than its"),
    "fewer than none": (storage(-1), "names more tensors"),
    "no pickle": (lambda f: again(f, members={"data": b""}), "not a readable checkpoint"),
    "a memo for ever": (lambda f: again(f, members={"data": b"\x80\x02}r\xff\xff\xff\x3f."}), "takes more than 256 MB"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_hostile_checkpoint_is_one_line(tmp_path: Path, name: str):
    change, problem = HOSTILE[name]
    file = tmp_path / "net.pth"
    torch.save(WHOLE, file)
    change(file)
    start = time.process_time()
    with refused(file, problem):
        checkpoints.read(file)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("a program", "its tensors, torch.save("), ("gigabytes of zeros", "tensors, as torch"), ("empty", "tensors, as")],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_the_process_that_looks_says_what_is_allowed(tmp_path: Path, name: str, allowed: str):
    file = tmp_path / "net.pth"
    torch.save(WHOLE, file)
    HOSTILE[name][0](file)
    with refused(file, allowed=allowed):
        checkpoints.read(file)


@pytest.mark.parametrize("zipped", [True, False])
def test_shapes_without_torch_are_those_that_torch_reads(tmp_path: Path, zipped: bool):
    file = tmp_path / "net.pth"
    torch.save({"epoch": 1, "state_dict": WHOLE}, file, _use_new_zipfile_serialization=zipped)
    assert checkpoints.shapes(file) == {"a": [2, 3], "b": [1000]}
    assert torch.equal(checkpoints.read(file)["state_dict"]["a"], WHOLE["a"])
