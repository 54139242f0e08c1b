"""RFW (Wang et al., ICCV 2019): txts/GROUP/GROUP_pairs.txt, in LFW's form, beside data/GROUP/PERSON/PERSON_0001.jpg.

One benchmark of all groups, whose pairs are of one group each; a fold takes the same fold of every group.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.common import tables
from stages.common.errors import InputError
from stages.formats import layouts, pair_lists
from stages.formats.benchmark_pairs import Benchmark

GROUPING = "group"


def read(folder: Path) -> Benchmark:
    """Return the benchmark in a folder; raises InputError when a list is broken or a group's images are missing."""
    parts = {}
    for file in layouts.rfw_lists(folder):
        root = folder / "data" / file.parent.name
        if not root.is_dir():
            raise InputError(root, f"no such folder, {file} needs its images")
        parts[file.parent.name] = pair_lists.read_list(file, root)
    starts = np.cumsum([0, *(len(part.identity) for part in parts.values())])
    people = np.cumsum([0, *(part.identity.max() + 1 for part in parts.values())])
    pairs = [_shifted(part.pairs, start) for part, start in zip(parts.values(), starts[:-1].tolist(), strict=True)]
    group = np.repeat(list(parts), list(map(len, pairs)))
    of, all_parts = np.repeat(np.arange(len(parts)), np.diff(starts)), list(parts.values())

    def within(row: int) -> tuple[Benchmark, int]:
        return all_parts[of[row]], row - int(starts[of[row]])

    def encoded(row: int) -> bytes:
        part, i = within(row)
        return part.encoded(i)

    def source(row: int) -> str:
        part, i = within(row)
        return part.source(i)

    identity = np.concatenate([part.identity + first for part, first in zip(all_parts, people[:-1], strict=True)])
    index = np.concatenate([part.index for part in all_parts])
    return Benchmark(encoded, source, identity, index, pa.concat_tables(pairs), pa.table({GROUPING: group}))


def _shifted(pairs: pa.Table, start: int) -> pa.Table:
    a, b, same, fold = (pairs[name].to_numpy() for name in ("a", "b", "same", "fold"))
    return tables.pairs(a + start, b + start, same, fold)
