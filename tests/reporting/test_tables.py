"""Tables, the page and the sheet of faces."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from reporting import project

from stages.common import images
from stages.common.variants import Variants
from stages.reporting import faces, frame, page, tables
from stages.reporting.page import Figures, Folded, Heading, Text
from stages.reporting.results import Variant
from stages.reporting.tables import Cell, Table

PLAIN = Variants(**project.PLAIN)


def scored(name: str, low: float, high: float, seeds: int = 5, **more: object) -> Variant:
    entry = {"accuracy": {"value": (low + high) / 2, "low": low, "high": high, "per_seed": [0.7] * seeds}}
    protocols = {"lfw": {"domain": "wild", **entry}, "syn-lfw": {"domain": "studio", **entry}}
    return Variant(name, Variants(**{**project.PLAIN, **more}), protocols, entry, {}, {})


def measured(variants: Sequence[Variant]) -> pd.DataFrame:
    return frame.of({v.name: v.scored for v in variants})


@pytest.mark.parametrize(
    ("low", "seeds", "bold"),
    [(0.81, 3, True), (0.79, 3, False), (0.81, 2, False)],
    ids=["apart", "overlap", "few seeds"],
)
def test_bold_needs_an_interval_above_all_others_and_three_seeds(low: float, seeds: int, bold: bool):
    variants = [scored("a", 0.6, 0.8), scored("b", low, 0.9, seeds), scored("c", 0.5, 0.7)]
    rows = tables.results(measured(variants), dict.fromkeys("abc", "#000"), "accuracy").rows
    assert [row[1].strong for row in rows] == [False, bold, False]


def test_the_lowest_error_is_bold():
    variants = [scored("a", 0.6, 0.8), scored("b", 0.1, 0.3), scored("c", 0.85, 0.9)]
    for variant in variants:
        for entry in (variant.wild_mean, *variant.protocols.values()):
            entry["eer"] = entry["accuracy"]
    rows = tables.results(measured(variants), dict.fromkeys("abc", "#000"), "eer").rows
    assert [[cell.strong for cell in row[1:]] for row in rows] == [[False] * 3, [True] * 3, [False] * 3]


def test_width_and_depth_leaves_out_what_is_mixed():
    mixed = {"mix": "sets/wild", "mixed": 1, "mix_depth": 1}
    variants = [scored("a", 0.6, 0.8, width=9), scored("b", 0.6, 0.8), scored("c", 0.6, 0.8, **mixed)]
    rows = tables.width_depth(variants, measured(variants), dict.fromkeys("abc", "#000")).rows
    assert [[cell.text for cell in row[:5]] for row in rows] == [
        ["b", "studio", "6", "4", "24"],
        ["a", "studio", "9", "4", "36"],
    ]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"value": -0.0004, "low": -0.01, "high": 0.01}, "0.0 −1.0 to 1.0"),
        ({"value": 0.5, "low": 0.25, "high": 0.75}, "50.0 25.0 to 75.0"),
        ({"value": 1.0, "low": 1.0, "high": 1.0}, "100.0 "),
        (None, "– "),
    ],
)
def test_numbers_keep_their_interval(entry: dict | None, text: str):
    cell = tables.number(entry)
    assert f"{cell.text} {cell.interval}" == text


def test_caps_stand_beside_the_capacity_that_was_measured():
    report = project.audit_report()["capacity"]
    report["packed"]["caps"] = {**project.CAPS, "fewest_log10": 0.0, "most_log10": 1.41497}
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in tables.capacity(report).rows}
    assert rows["packed"] == ["4", "6", "9.9", "1 to 26"]
    assert rows["gallery"] == ["4", "6", "9.9", "100 to 10^12.3"]
    assert rows["gaussian"] == ["4", "6", "33.3", "–"]


def test_a_tree_of_any_shape_becomes_rows():
    leaf = {"value": 0.5, "low": 0.4, "high": 0.6}
    report = {"a": {"b": {"c": leaf, "d": 3}, "e": None}, "f": [0.25, 1], "g": "word"}
    rows = [[cell.text for cell in row] for row in tables.tree(report).rows]
    assert rows == [
        ["a", "b · c", "0.500"],
        ["", "b · d", "3"],
        ["", "e", "–"],
        ["f", "", "0.250, 1"],
        ["g", "", "word"],
    ]


def test_text_is_not_markup(tmp_path: Path):
    file = tmp_path / "x.png"
    file.write_bytes(b"p")
    table = Table(["a|b"], [[Cell("<i>1</i>"), Cell("c|d", "<0>")]])
    html = page.html([Heading("<b>"), Text("a < b & c"), table, Folded("{{body}}", [Figures([(file, "<u>")])])], "T")
    assert not any(tag in html for tag in ("<b>", "<u>", "<0>", "<i>1"))
    assert "a &lt; b &amp; c" in html and "{{body}}" in html
    assert "c\\|d" in page.markdown([table], "T")


def test_a_parameter_s_name_breaks_at_its_dots_and_no_number_does():
    table = Table(["parameter", "value"], [[Cell("generate.depths.images"), Cell("0.98")]])
    shown = page.html([table], "t")
    assert "<span>generate.<wbr>depths.<wbr>images</span>" in shown and "<span>0.98</span>" in shown


def test_the_last_row_of_faces_shows_who_was_mixed_in():
    label, joins = np.array([0, 0, 1, 1, 2, 2, 3, 3]), np.arange(8) > 5
    chosen = faces.choose(label, joins, 3, 1)
    assert [row.tolist() for row in chosen] == [[0], [4], [6]]
    assert [label[row].tolist() for row in faces.choose(label, np.zeros(8, bool), 2, 2)] == [[0, 0], [3, 3]]


def test_the_sheet_shows_the_images_that_the_manifest_names(tmp_path: Path):
    grey = [np.full((16, 16, 3), 20 * i, np.uint8) for i in range(6)]
    rows = np.arange(6)
    images.write_shard(tmp_path / "s" / "a-0.arrow", grey, identity=rows // 3, index=rows, seed=rows, domain="studio")
    picked = [5, 3, 1]
    columns = {
        "set": ["s"] * 3,
        "shard": ["a-0.arrow"] * 3,
        "row": picked,
        "label_a": [0, 0, 0],
        "domain": ["main"] * 3,
    }
    sheet = faces.rows(pa.table(columns), tmp_path, people=1, depth=4, augment=False)
    assert sheet.shape == (faces.FACE_PX, 4 * faces.FACE_PX + 3 * faces.GAP_PX, 3)
    shown = [sheet[5, 5 + place * (faces.FACE_PX + faces.GAP_PX), 0] for place in range(4)]
    assert shown == pytest.approx([100, 60, 20, 255], abs=2)


def test_a_manifest_without_its_columns_is_refused(tmp_path: Path):
    project.write_arrow(tmp_path / "m.arrow", pa.table({"set": ["s"], "shard": ["a"]}))
    with pytest.raises(ValueError, match="columns .*set.*shard"):
        faces.manifest(tmp_path / "m.arrow")
