"""The record of AttrOP: what was asked for every row that it moved, and what was reached."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.common import tables

NAME = "attributes.feather"  # Arrow IPC by its other name: .arrow is for shards of images
SCHEMA = pa.schema(
    [
        ("kind", pa.string()),  # centre | pose
        ("row", pa.int32()),  # of data/pack
        ("index", pa.int32()),  # of the image at a designated pose; 0 for centres
        ("asked_yaw_deg", pa.float32()),  # null for centres
        ("asked_pitch_deg", pa.float32()),
        ("cosine", pa.float32()),  # to the row
        ("norm", pa.float32()),
        ("yaw_deg", pa.float32()),
        ("pitch_deg", pa.float32()),
        ("steps", pa.int32()),
        ("accepted", pa.bool_()),
    ]
)


def table(kind: str, row: np.ndarray, index: np.ndarray, pose_deg: np.ndarray | None, reached: np.ndarray) -> pa.Table:
    """Return the table of m rows; pose_deg (m, 2): None for any pose; reached: as `descend` returns it."""
    asked_deg = [[None] * len(row)] * 2 if pose_deg is None else pose_deg.T
    *attributes, steps, accepted = reached.T
    values = ([kind] * len(row), row, index, *asked_deg, *attributes, steps.astype(int), accepted == 1)
    return tables.of(SCHEMA, dict(zip(SCHEMA.names, values, strict=True)))


def write(folder: Path, parts: list[pa.Table]) -> None:
    """Write the tables of all kinds as one."""
    tables.write(folder / NAME, pa.concat_tables([SCHEMA.empty_table(), *parts]))


def read(folder: str | Path = "data/generate") -> pa.Table:
    """Return the record; raises InputError when it is missing or broken."""
    return tables.read(Path(folder) / NAME, SCHEMA, nullable=("asked_yaw_deg", "asked_pitch_deg"))


def of_kind(reached: pa.Table, kind: str) -> pa.Table:
    """Return the part of one kind."""
    return reached.filter(pa.array(reached["kind"].to_numpy(zero_copy_only=False) == kind))
