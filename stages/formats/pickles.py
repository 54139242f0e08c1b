"""Read pickles that hold nothing but lists, numbers, bytes and NumPy arrays, without running anything they name.

NumPy's own classes take states that a hostile file could bend, so what a pickle calls an array only fills a record
here, from which a plain array is made once all is read.
"""

import pickle
from typing import IO, Any

import numpy as np

KINDS = "biufS"  # of dtypes: truth values, whole numbers, floats, bytes


class RefusedError(ValueError):
    """What a pickle names is not allowed."""


class _Dtype:
    def __init__(self, name: Any, *_: Any) -> None:
        self.name, self.order = _text(name), "|"

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1])

    def plain(self) -> np.dtype:
        if self.name[:1] not in KINDS or self.order not in "<>|=":
            raise RefusedError(f"holds an array of {self.name}; allowed: numbers and bytes")
        return np.dtype(self.order + self.name)


class _Array:
    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state[1:]

    def plain(self) -> Any:
        shape, dtype, fortran, data = self.state
        if isinstance(data, list):  # an array of objects
            return [_plain(item) for item in data]
        return np.frombuffer(data, dtype.plain()).reshape(shape, order="F" if fortran else "C")


def _filled(*state: Any) -> _Array:
    array = _Array()
    array.state = state
    return array


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise RefusedError(f"encodes text as {encoding}; allowed: latin1")
    return text.encode("latin1")


NAMES = {  # what stands for the names by which Python and NumPy pickle bytes and arrays
    ("_codecs", "encode"): _latin1,  # bytes, by protocols 0 to 2 of Python 3
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "scalar"): lambda dtype, data: _filled((), dtype, False, data),
    ("numpy._core.numeric", "_frombuffer"): lambda data, dtype, shape, order: _filled(shape, dtype, order == "F", data),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        home = module.replace("numpy.core.", "numpy._core.")  # NumPy 1's name for it
        if (home, name) not in NAMES:
            raise RefusedError(f"names {module}.{name}; allowed: bytes and NumPy arrays")
        return NAMES[home, name]


def load(stream: IO[bytes], source: str) -> Any:
    """Return what a pickle of any protocol holds, text of Python 2 as bytes.

    Raises ValueError, naming `source`, when it is broken or names anything that is not bytes or an array.
    """
    try:
        return _plain(_Unpickler(stream, encoding="bytes").load())
    except RefusedError as error:
        raise ValueError(f"{source}: a pickle that {error}") from error
    except Exception as error:  # a broken pickle fails in any way, and none of them is a defect of ours
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{source}: not a readable pickle: {said}") from error


def _plain(held: Any) -> Any:
    if isinstance(held, list | tuple):
        return type(held)(_plain(item) for item in held)
    return held.plain() if isinstance(held, _Array) else held


def _text(name: Any) -> str:
    return name.decode("latin1") if isinstance(name, bytes) else str(name)
