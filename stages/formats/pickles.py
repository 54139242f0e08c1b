"""Read pickles that hold nothing but lists, numbers, bytes and NumPy arrays, without running anything they name.

A hostile file could misuse NumPy's own classes. So an array in a pickle only fills a record here, and a plain array is
made of the record once all is read. Nothing takes more memory than the pickle's own size warrants: what the pickle
refers to more than once is made once.
"""

import io
import pickle
import re
import struct
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from stages.common import artifacts
from stages.common.errors import InputError

KINDS = "biufS"  # of dtypes: truth values, whole numbers, floats, bytes


class _Dtype:
    def __init__(self, name: Any, align: Any = False, copy: Any = False) -> None:
        self.name, self.order = _word(name), "|"

    def __setstate__(self, state: Any) -> None:
        self.order = _word(state[1])

    def plain(self) -> np.dtype:
        if not re.fullmatch(rf"[{KINDS}]\d{{1,9}}", self.name) or self.order not in ("<", ">", "|", "="):
            _refuse(f"holds an array of {self.name}", "numbers and bytes")
        return np.dtype(self.order + self.name)


class _Array:
    def __init__(self, subtype: Any = None, shape: Any = None, dtype: Any = None) -> None:
        self.state: Sequence[Any] = ()

    def __setstate__(self, state: Any) -> None:
        _, *self.state = state if len(state) == 5 else _refuse("holds a broken array")

    def plain(self, plain: Callable[[Any], Any]) -> Any:
        shape, dtype, fortran, data = self.state
        if isinstance(data, list):  # an array of objects
            return plain(data)
        return np.frombuffer(data, dtype.plain()).reshape(shape, order="F" if fortran else "C")


def _filled(*state: Any) -> _Array:
    array = _Array()
    array.state = state
    return array


NAMES = {  # our own makers for the names that Python and NumPy give to bytes and arrays
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "scalar"): lambda dtype, data: _filled((), dtype, False, data),
    ("numpy._core.numeric", "_frombuffer"): lambda data, dtype, shape, order: _filled(shape, dtype, order == "F", data),
}
REFUSED = (  # opcodes that build other objects, or hash tuples: for ever, where tuples hold one another
    pickle.EMPTY_DICT, pickle.DICT, pickle.SETITEM, pickle.SETITEMS, pickle.EMPTY_SET, pickle.ADDITEMS,
    pickle.FROZENSET, pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX,
)  # fmt: skip


def _refuse(problem: str, allowed: str = "") -> NoReturn:
    """Raise InputError without the file, which `load` adds."""
    raise InputError(None, f"a pickle that {problem}", allowed=allowed)


def _refuse_more(_: Any) -> NoReturn:
    _refuse("holds other things", "lists, numbers, bytes and NumPy arrays")


def _load_bytes(unpickler: Any) -> None:
    (size,) = struct.unpack("<Q", unpickler.read(8))
    unpickler.append(unpickler.read(size))  # Python's allots them before it reads them


class _Unpickler(pickle._Unpickler):  # Python's own: C's takes gigabytes where ten bytes name a high memo number
    dispatch = pickle._Unpickler.dispatch | {code[0]: _refuse_more for code in REFUSED}
    dispatch[pickle.BYTEARRAY8[0]] = _load_bytes

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._encoded = cache(lambda text: text.encode("latin1"))

    def find_class(self, module: str, name: str) -> Any:
        home = module.replace("numpy.core.", "numpy._core.")  # NumPy 1's name for it
        if (module, name) == ("_codecs", "encode"):  # bytes, by protocols 0 to 2 of Python 3
            return self._latin1
        if (home, name) not in NAMES:
            _refuse(f"names {artifacts.brief(f'{module}.{name}')}", "bytes and NumPy arrays")
        return NAMES[home, name]

    def _latin1(self, text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            _refuse(f"encodes text as {_word(encoding)}", "latin1")
        return self._encoded(text)


def load(content: bytes, file: str | Path) -> Any:
    """Return the content of a pickle of any protocol, text of Python 2 as bytes.

    Raises InputError when it is broken or names anything that is not bytes or an array.
    """
    try:
        return _plain(_Unpickler(content).load(), {})
    except InputError as error:
        raise InputError(file, error.problem, allowed=error.allowed) from error
    except Exception as error:  # a broken pickle fails in any way, and none of them is a defect of ours
        reason = artifacts.brief(f"{type(error).__name__}: {error}")
        raise InputError(file, f"not a readable pickle: {reason}") from error


def _plain(value: Any, plain_of: dict[int, Any]) -> Any:
    """Return a value with arrays in place of records; `plain_of` keeps what is made, by the id of what it was."""
    if not isinstance(value, list | tuple | _Array):
        return value
    if id(value) not in plain_of:
        if isinstance(value, _Array):
            plain_of[id(value)] = value.plain(lambda data: _plain(data, plain_of))
        else:
            plain_of[id(value)] = type(value)(_plain(item, plain_of) for item in value)
    return plain_of[id(value)]


def _word(name: Any) -> str:
    if not isinstance(name, bytes | str):
        _refuse(f"holds {type(name).__name__} for a name")
    return artifacts.brief(name.decode("latin1") if isinstance(name, bytes) else name)
