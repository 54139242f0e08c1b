"""Checkpoints of other people: what torch.save or safetensors wrote, read without running anything they name.

A hostile pickle may claim more than it holds. So it is first unpickled in a process of its own (`bounded`) where its
names stand for nothing. torch reads it after that.
"""

import codecs
import collections
import pickle
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from stages.common.errors import InputError
from stages.foreign import bounded
from stages.foreign.bounded import Refused

LIGHTNING = (
    "pytorch_lightning.utilities.parsing", "lightning.pytorch.utilities.parsing", "lightning_fabric.utilities.data",
    "lightning.fabric.utilities.data",
)  # fmt: skip  # whose AttributeDict, a mapping by another name, holds the hyperparameters of a checkpoint
NUMPY = (
    "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.ndarray",
    "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
)  # fmt: skip  # numbers beside the weights: read as nothing
HYPER = tuple(f"{package}.AttributeDict" for package in LIGHTNING)
REAL: dict[str, Any] = {"collections.OrderedDict": collections.OrderedDict, "set": set,
                        "_codecs.encode": codecs.encode, **dict.fromkeys(HYPER, dict)}  # fmt: skip
PLAIN = {
    "argparse.Namespace", "collections.Counter", "torch.Size", "torch.device", "torch.Tensor",
    "torch._utils._rebuild_parameter", "torch.nn.parameter.Parameter", "torch.storage.UntypedStorage",
}  # fmt: skip
TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
KINDS = {"meta": "meta (empty)", "qtensor": "quantised", "sparse": "sparse"}
DTYPE = re.compile(r"torch\.b?(float|int|uint|complex|bool)\d*(_\w+)?$")
STORAGE = re.compile(r"torch\.(\w+)Storage$")
BYTES = {"Double": 8, "Long": 8, "ComplexDouble": 16, "ComplexFloat": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2,
         "Short": 2}  # fmt: skip  # of a number; of others one
PROGRAM = ("constants.pkl", "code/")  # members that TorchScript has and torch.save does not
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
ZIP = b"PK\x03\x04"  # how a zip begins
LEGACY_PICKLES = 5  # a magic number, a version, the system, what was saved, the storages that follow


def read(file: str | Path) -> Any:
    """Return the content of a .safetensors file or a checkpoint of torch.save, its tensors on the CPU.

    Raises InputError when it is empty, broken, a program, or names anything but tensors and plain values.
    """
    import torch

    file = Path(file)
    if not file.stat().st_size:
        raise InputError(file, "an empty file", allowed="tensors, as torch.save or safetensors write")
    if file.suffix != ".safetensors":
        shapes(file)
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        with _harmless_names():
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no checkpoint fail anywhere in the readers, by any kind of error
        raise InputError(file, f"not a readable checkpoint: {bounded.short(error)}") from error


def shapes(file: Path) -> dict[str, list[int]]:
    """Return the shapes of the tensors in a file by their keys, without torch; raises InputError as `read` does."""
    if file.suffix != ".safetensors":
        return bounded.run("stages.foreign.checkpoints", file)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as tensors:
            return {key: tensors.get_slice(key).get_shape() for key in tensors.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise InputError(file, f"not a readable safetensors file: {bounded.short(error)}") from error


@contextmanager
def _harmless_names() -> Iterator[None]:
    """Let torch read what a checkpoint may hold beside its tensors: as nothing, or as a plain mapping."""
    import torch

    names: Any = [(_Nothing, name) for name in (*NUMPY, "argparse.Namespace")] + [(dict, name) for name in HYPER]
    with torch.serialization.safe_globals(names):
        yield


class _Nothing:
    """Stands for whatever a pickle names, and does nothing."""

    def __init__(self, *_: Any) -> None:
        """Take what the named thing would take."""

    def __setstate__(self, state: Any) -> None:
        """Forget the state."""


class _Shape(list[int]):
    """Stands for a tensor."""


def _shape(_storage: Any, _offset: int, size: tuple[int, ...], *_: Any) -> _Shape:
    return _Shape(size)


class _Dry(pickle.Unpickler):
    """Unpickles a checkpoint without its tensors, and adds up the bytes that they would take."""

    def __init__(self, stream: IO[bytes], max_bytes: int) -> None:
        super().__init__(stream, encoding="bytes")
        self.max_bytes, self.storages = max_bytes, dict[Any, int]()

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}".removeprefix("__builtin__.").removeprefix("builtins.")
        if storage := STORAGE.match(full):
            return storage[1]
        if full in REAL:
            return REAL[full]
        if full in TENSORS:
            return _shape
        if full in PLAIN or full in NUMPY or DTYPE.match(full):
            return _Nothing
        for part, kind in KINDS.items():
            if module == "torch._utils" and part in name:
                raise Refused(f"holds {kind} tensors", "tensors in full, model.float().state_dict()")
        raise Refused(f"carries code ({full[:80]}) and was not opened", "tensors, as torch.save writes them")

    def persistent_load(self, pid: Any) -> Any:
        _, kind, key, _, number, *_ = pid
        self.storages[key] = BYTES.get(kind, 1) * number
        if number < 0 or sum(self.storages.values()) > self.max_bytes:
            raise Refused(f"names more tensors than its {self.max_bytes} bytes hold", "whole files")
        return _Nothing()


def _look(file: Path) -> dict[str, list[int]]:
    return dict(_shapes(_content(file)))


def _shapes(content: Any, depth: int = 4) -> Iterator[tuple[str, list[int]]]:
    for key, value in content.items() if isinstance(content, dict) and depth else ():
        if isinstance(key, str) and isinstance(value, _Shape):
            yield key, value
        else:
            yield from _shapes(value, depth - 1)


def _content(file: Path) -> Any:
    size = file.stat().st_size
    with file.open("rb") as stream:
        if stream.read(len(ZIP)) != ZIP:
            stream.seek(0)
            return [_Dry(stream, size).load() for _ in range(LEGACY_PICKLES)][3]
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        names = [member.filename.partition("/")[2] for member in members]
        if any(name.startswith(PROGRAM) for name in names):
            allowed = "its tensors, torch.save(torch.jit.load(FILE).state_dict(), NEW)"
            raise Refused("a TorchScript program", allowed)
        uncompressed = all(member.compress_type == zipfile.ZIP_STORED for member in members)
        if names.count("data.pkl") != 1 or not uncompressed or sum(member.file_size for member in members) > size:
            raise Refused("not a zip of torch.save's: no data.pkl, or members that are compressed or overlap")
        with archive.open(members[names.index("data.pkl")]) as stream:
            return _Dry(stream, size).load()


if __name__ == "__main__":
    bounded.main(_look, "checkpoint")
