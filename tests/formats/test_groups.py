"""groups.csv beside the pairs."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from refusal import refused

from stages.common import tables
from stages.formats import groups

SAME, FOLD = np.tile([True, False], 4), np.repeat([0, 1], 4)
PAIRS = tables.pairs(np.arange(8), np.arange(8), SAME, FOLD)
HALF = ["a", "a", "b", "b"] * 2


def written(folder: Path, lines: list[str]) -> Path:
    (folder / "groups.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_column_for_each_grouping_a_row_for_each_pair(tmp_path: Path):
    folder = written(
        tmp_path, ["sex, skin tone", *(f"{group}, {'x y'[i % 4 // 2 * 2]}" for i, group in enumerate(HALF))]
    )
    table = groups.read(folder, PAIRS)
    assert table is not None and table.column_names == ["sex", "skin tone"]
    assert table["sex"].to_pylist() == HALF and table["skin tone"].to_pylist() == ["x", "x", "y", "y"] * 2


def test_a_pair_may_be_in_no_group(tmp_path: Path):
    pairs = pa.concat_tables([PAIRS, PAIRS.slice(0, 1)])
    table = groups.read(written(tmp_path, ["sex", *HALF, ""]), pairs)
    assert table is not None and table["sex"].to_pylist()[-1] == ""


def test_a_benchmark_in_one_file_has_its_list_beside_it(tmp_path: Path):
    (tmp_path / "lfw.bin").touch()
    assert groups.read(tmp_path / "lfw.bin", PAIRS) is None
    (tmp_path / "lfw.groups.csv").write_text("\n".join(["sex", *HALF]))
    assert groups.read(tmp_path / "lfw.bin", PAIRS) is not None


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        (["sex", *HALF[:7]], {"key": "lines after the first", "value": 7, "allowed": "8, one a pair"}),
        (["sex,sex", *HALF], {"key": "line 1", "allowed": "names of groupings, each once"}),
        (["sex", *HALF[:7], "a,b"], {"key": "line 9", "value": "a,b"}),
        (["sex", *HALF[:7], "../b"], {"key": "line 9", "value": "../b"}),
        (["sex", *["a"] * 8], {"key": "groups of sex", "value": 1, "allowed": "2 to 100"}),
        (["sex", '"a', *["b" * 99] * 1400], {"problem": "field larger than field limit"}),
        (["sex", "b", *["a"] * 7], {"key": "sex", "value": "b", "problem": "too few pairs"}),  # one genuine pair
    ],
)
def test_a_list_that_cannot_be_right_is_refused(tmp_path: Path, lines: list[str], fields: dict):
    with refused("groups.csv", **fields):
        groups.read(written(tmp_path, lines), PAIRS)
