"""Benchmarks as CVLface keeps them: a `datasets` folder with the columns image, index and is_same, two rows a pair."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.common import artifacts
from stages.common.errors import InputError
from stages.formats import arrow, benchmark_pairs, columns, layouts, parquet
from stages.formats.benchmark_pairs import Benchmark

ROWS_PER_BATCH = 256
COLUMNS = {"index": pa.int64(), "is_same": pa.bool_()}


def read(path: Path) -> Benchmark:
    """Return the benchmark in Arrow or Parquet files, in the order of `index`.

    Raises InputError when a column is missing or the two rows of a pair disagree.
    """
    tables = arrow.Tables(path) if layouts.benchmark(path) == "arrow" else parquet.Tables(path)
    order = np.argsort(columns.numbers(path, tables, "index"), kind="stable")
    same = columns.numbers(path, tables, "is_same", truth=True)[order].astype(bool)
    if len(same) % 2 or (same[::2] != same[1::2]).any():
        raise InputError(path, key="is_same", allowed="equal on both rows of every pair")

    def encoded(row: int) -> bytes:
        return tables.encoded(int(order[row]))

    return benchmark_pairs.by_content(path, len(order), encoded, lambda row: tables.source(int(order[row])), same[::2])


def write(folder: Path, encoded: Callable[[int], bytes], rows: np.ndarray, same: np.ndarray) -> None:
    """Write the images `rows` (2p,), as `encoded` returns them, and labels (p,) as `Dataset.save_to_disk` does."""
    file, schema = folder / "data-00000-of-00001.arrow", columns.schema(**COLUMNS)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for start in range(0, len(rows), ROWS_PER_BATCH):
            part = rows[start : start + ROWS_PER_BATCH].tolist()
            index = np.arange(start, start + len(part))
            image = columns.cells(map(encoded, part), start, str(folder))
            writer.write_table(pa.table({"image": image, "index": index, "is_same": same[index // 2]}, schema))
    artifacts.write_json(folder / "dataset_info.json", {"features": columns.features(**COLUMNS)})
    state = {"_data_files": [{"filename": file.name}], "_fingerprint": artifacts.digest(file)[:16], "_split": None}
    unset = {"_format_columns": None, "_format_kwargs": {}, "_format_type": None, "_output_all_columns": False}
    artifacts.write_json(folder / "state.json", {**state, **unset})
