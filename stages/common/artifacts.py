"""Write and read what stages hand on: rows, JSON, weights. Writes are atomic, reads are checked."""

import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from stages.common.errors import InputError

CARD, WEIGHTS = "card.json", "weights.safetensors"  # of a network; weights that are not ours have other names
UNIT_TOLERANCE = 1e-3
ROWS_CHECKED = 4096  # at a time
TEMPORARY = ".tmp-"  # begins the name of a file or folder while it is written; the writer's process number follows
JSON_BYTES = 1 << 24  # at most: parsed, a byte can take thirty
NPY_LENGTH = {b"\1": 2, b"\2": 4, b"\3": 4}  # bytes that state the header's length, by the version of the format
NPY_HEADER_BYTES = 10_000  # at most, as numpy has it
NPY_HEADER = re.compile(  # of an array of plain numbers; numpy evaluates it as Python
    r"\{'descr': ?'([<>|]?[biuf]\d{1,2})', ?'fortran_order': ?(True|False), ?'shape': ?\(([\d, ]*)\),? ?\}\s*"
)


@contextmanager
def output_folder(folder: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder` that takes its place when the block ends well, and vanishes otherwise."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{os.getpid()}-{folder.name}-", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        yield fresh
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, folder: Path) -> None:
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{os.getpid()}-{folder.name}-old-", dir=folder.parent))
        folder.rename(old / folder.name)
        fresh.rename(folder)
        shutil.rmtree(old)
    else:
        fresh.rename(folder)


@contextmanager
def output_file(file: str | Path) -> Iterator[Path]:
    """Yield a path beside `file` that takes its place when the block ends well, and vanishes otherwise."""
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{TEMPORARY}{os.getpid()}-{file.name}")
    try:
        yield fresh
        fresh.replace(file)
    except OSError as error:
        raise error if error.filename else OSError(error.errno, error.strerror or str(error), str(file)) from error
    finally:
        fresh.unlink(missing_ok=True)


def digest(file: str | Path) -> str:
    """Return the SHA-256 of a file's bytes in hex."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(file: str | Path, value: Mapping[str, Any] | list[Any]) -> None:
    """Write `value` as indented JSON with floats of at most six significant digits; NaN is refused."""
    with output_file(file) as fresh:
        fresh.write_text(json.dumps(_rounded(value), indent=2, allow_nan=False) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_rounded(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.6g}")
    return value.item() if isinstance(value, np.generic) else value


def read_json(file: str | Path) -> Any:
    """Return the JSON value in `file`; raises ValueError when it is missing, broken, too large or holds NaN."""
    size = existing(file).stat().st_size
    if size > JSON_BYTES:
        raise InputError(file, f"{size:,} bytes of JSON", allowed=f"at most {JSON_BYTES:,}")
    try:
        return json.loads(Path(file).read_bytes(), parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise InputError(file, f"not valid JSON: {brief(error)}") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{brief(text)}; allowed: finite numbers")
    return value


def read_mapping(file: str | Path, *keys: str) -> dict[str, Any]:
    """Return the JSON object in `file`; raises ValueError when it is something else or lacks one of `keys`."""
    value = read_json(file)
    if not isinstance(value, dict):
        raise InputError(file, f"holds a JSON {type(value).__name__}", allowed="an object")
    missing = [key for key in keys if key not in value]
    if missing:
        raise InputError(file, "missing", key=missing[0], allowed=f"an object with {', '.join(keys)}")
    return value


def write_array(file: str | Path, x: np.ndarray) -> None:
    """Write an array as `.npy`."""
    with output_file(file) as fresh, fresh.open("wb") as stream:
        np.save(stream, np.ascontiguousarray(x), allow_pickle=False)


def read_array(file: str | Path) -> np.ndarray:
    """Return the finite array in a `.npy` file; pickles, truncated files and NaN raise ValueError."""
    x = np.array(map_array(file))
    _check_finite(x, file)
    return x


def _check_finite(x: np.ndarray, file: str | Path) -> None:
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise InputError(file, "holds NaN or infinity", allowed="finite numbers")


def map_array(file: str | Path) -> np.ndarray:
    """Return the array of plain numbers in a `.npy` file, memory-mapped and unchecked.

    Raises ValueError when the file is something else, or not as long as its header says.
    """
    with existing(file).open("rb") as stream:
        header, start = _npy_header(stream), stream.tell()
        size = os.fstat(stream.fileno()).st_size - start
    if header is None:
        raise InputError(file, "not a readable .npy file", allowed="an array of plain numbers")
    try:
        kind, shape = np.dtype(header[1]), tuple(int(n) for n in header[3].split(",") if n.strip())
        if math.prod(shape) * kind.itemsize != size:
            raise ValueError(f"{brief(shape)} of {kind}, but {size} bytes")
        order = "F" if header[2] == "True" else "C"
        return np.memmap(file, kind, "r", start, shape, order) if size else np.empty(shape, kind)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(file, f"not a readable .npy file: {brief(error)}") from error


def join_arrays(
    file: str | Path, parts: Sequence[Path], change: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> None:
    """Write the finite arrays (b, ...) of `.npy` files one below the other, each as `change` returns it.

    One at a time is in memory. Raises InputError naming the part that `change` refuses by a ValueError.
    """
    count = sum(len(map_array(part)) for part in parts)
    with output_file(file) as fresh, fresh.open("wb") as stream:
        for number, part in enumerate(parts):
            x = np.ascontiguousarray(_changed(read_array(part), change, part))
            if number == 0:
                shape, kind = (count, *x.shape[1:]), np.lib.format.dtype_to_descr(x.dtype)
                header = {"descr": kind, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
            stream.write(x.data)


def _changed(x: np.ndarray, change: Callable[[np.ndarray], np.ndarray], file: Path) -> np.ndarray:
    try:
        return change(x)
    except ValueError as error:
        raise InputError(file, str(error)) from error


def _npy_header(stream: BinaryIO) -> re.Match[str] | None:
    """Read the header; returns descr, fortran_order and shape as text, or None where it is not one."""
    magic, version = stream.read(6), stream.read(2)
    length = int.from_bytes(stream.read(NPY_LENGTH.get(version[:1], 0)), "little")
    if magic != b"\x93NUMPY" or length > NPY_HEADER_BYTES:
        return None
    return NPY_HEADER.fullmatch(stream.read(length).decode("latin-1"))


def write_rows(folder: str | Path, name: str, x: np.ndarray, norms: np.ndarray) -> None:
    """Write unit rows (n, d) as `NAME.npy` and their native norms (n,) as `NAME_norms.npy`."""
    write_array(Path(folder) / f"{name}.npy", x.astype(np.float32))
    write_array(Path(folder) / f"{name}_norms.npy", norms.astype(np.float32))


def read_rows(folder: str | Path, name: str, d: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows (n, d) float32 and their native norms (n,).

    Raises ValueError when a file is missing or truncated, a number is not finite, a row is not of length one to 1e-3,
    the embedding size is not `d`, or there are not as many norms as rows.
    """
    x, norms = map_rows(folder, name, d)
    return np.array(x), norms


def map_rows(folder: str | Path, name: str, d: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the same with the rows memory-mapped; raises as `read_rows`."""
    file, norms_file = (Path(folder) / f"{stem}.npy" for stem in (name, f"{name}_norms"))
    x, norms = map_array(file), read_array(norms_file)
    if x.ndim != 2 or x.dtype != np.float32 or len(x) == 0:
        raise InputError(file, f"{x.dtype} {x.shape}", allowed="float32 rows (n, d)")
    if d is not None and x.shape[1] != d:
        raise InputError(file, key="embedding size", value=x.shape[1], allowed=str(d))
    length = np.concatenate([_lengths(x[i : i + ROWS_CHECKED], file) for i in range(0, len(x), ROWS_CHECKED)])
    if not (np.abs(length - 1) <= UNIT_TOLERANCE).all():
        row = int(np.abs(length - 1).argmax())
        raise InputError(file, f"length {length[row]:.4f}", key=f"row {row}", allowed=f"1 to {UNIT_TOLERANCE}")
    if norms.shape != (len(x),):
        raise InputError(norms_file, f"shape {norms.shape}", allowed=f"({len(x)},), a norm for each row")
    if not (norms > 0).all():
        row = int(norms.argmin())
        raise InputError(norms_file, f"norm {norms[row]:.4g}", key=f"row {row}", allowed="above 0")
    return x, norms


def _lengths(x: np.ndarray, file: Path) -> np.ndarray:
    _check_finite(x, file)
    with np.errstate(over="ignore"):  # a row too long for float32 has infinite length, and is refused
        return np.linalg.norm(x, axis=1)


def write_weights(network: str | Path, tensors: Mapping[str, Any], card: Mapping[str, Any]) -> None:
    """Write the folder of a network: torch tensors as safetensors in float16, and the JSON card with their sha256."""
    import torch
    from safetensors.torch import save_file

    half = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in tensors.items()}
    assert all(torch.isfinite(v).all() for v in half.values()), "weights beyond the range of float16"
    with output_folder(network) as fresh:
        save_file(half, fresh / WEIGHTS)
        (fresh / WEIGHTS).chmod(0o644)  # safetensors writes 0600
        write_json(fresh / CARD, {**card, "sha256": digest(fresh / WEIGHTS)})


def read_weights(network: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (tensors in float32, card) of a network of ours; raises ValueError when weights and card disagree."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file, card = existing(Path(network, WEIGHTS)), read_mapping(Path(network, CARD))
    if digest(file) != card.get("sha256"):
        raise InputError(file, f"sha256 differs from the one in {CARD}")
    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file}: not a readable safetensors file: {brief(error)}") from error
    return {k: v.to(torch.float32) if v.is_floating_point() else v for k, v in tensors.items()}, card


def weights_of(network: str | Path, *suffixes: str) -> Path:
    """Return the one file with one of these suffixes in the folder of a network trained elsewhere.

    Raises InputError when there are none or several, or no card beside it.
    """
    files = [file for file in Path(network).glob("[!.]*") if file.suffix in suffixes and file.is_file()]
    if len(files) != 1:
        allowed = f"a folder with one {' or '.join(suffixes)}, and {CARD}"
        raise InputError(network, f"{len(files)} files of weights", allowed=allowed)
    if not Path(network, CARD).is_file():
        raise InputError(Path(network, CARD), "no such file", allowed="one of stages/recognisers/cards, copied to it")
    return files[0]


def brief(value: object, width: int = 120) -> str:
    """Return the text of a value or an error in one line of at most `width` characters, as messages quote it."""
    text = " ".join(str(value)[: 8 * width].split())
    return text if len(text) <= width else f"{text[: width - 4]} ..."


def existing(file: str | Path) -> Path:
    """Return `file` as a path; raises ValueError when there is no such file."""
    file = Path(file)
    if not file.is_file():
        raise InputError(file, "no such file; `dvc repro` makes it, `dvc checkout` restores it")
    return file
