"""The page of a study, on reports and scores written as the stages write them."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image
from reporting import project
from tiny import ROOT, working_in

from stages.common import artifacts, params
from stages.common.errors import InputError
from stages.common.variants import Variants
from stages.reporting import page, results, study, study_figure
from stages.reporting.study import Arm, Found
from stages.settings.report import Question

NAMES = {"base": "3-drawn", "domain-mixup": "9-drawn", "wild": "9-wild"}  # of arms


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Return a study of three training sets with five seeds, of which `wild` is far better."""
    folder = tmp_path_factory.mktemp("project")
    project.write_project(folder, seeds=range(5), replicates=100)
    arms = []
    with working_in(folder):
        values = params.read()
        reports = [artifacts.read_json(f"reports/{name}.json") for name in ("pack", "audit")]
        for name, label in NAMES.items():
            loaded = results.load(name, params.load(f"variants.{name}", Variants))
            scored = results.Variant(**{**vars(loaded), "name": label})
            arms.append(Arm(label, scored, values, *reports, seconds={"train": 300.0 * len(arms), "pack": 60.0}))
    better = Question(of="9-wild", against="3-drawn", expected=1, primary=True)
    worse = Question(of="9-drawn", against="9-wild", expected=0)
    contrasts = results.contrasts([arm.variant for arm in arms], [better, worse], 0.95)
    seconds = {"a": {"train@base": 90.0, "pack": 30.0}, "b": {"train@base": 180.0}}
    published = [("HSFace10K", "92.00 %", "its README")]
    commands = ["dvc exp run -n a"]
    return Found("Why?", "Small.", None, published, ["Photographs."], arms, contrasts, 0.95, seconds, commands)


def test_the_page_answers_first(found: Found):
    text = page.markdown(study.blocks(found, Path("figures/own.png"), "python -m stages.tools.study own"), "Study: own")
    order = ["Why?", "## Answer", "9-wild − 3-drawn", "![own](figures/own.png)", "## Accuracy", "| 9-wild |", "92.00 %"]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert "5.0 minutes" not in text and "5 minutes of stages" in text and "train 4.5, pack 0.5" in text
    assert "5 seeds" in text


def headers(markdown: str) -> list[str]:
    """Return the headings, and the headers of tables."""
    lines = markdown.splitlines()
    tables = {line for line, below in pairwise(lines) if below.startswith("| ---")}
    return [line for line in lines if line.startswith("## ") or line in tables]


@pytest.mark.parametrize("file", sorted((ROOT / "reports/studies").glob("*.md")), ids=lambda file: file.stem)
def test_a_committed_page_has_the_parts_that_one_has_now(found: Found, file: Path):
    blocks = study.blocks(found, Path("figures/own.png"), "python -m stages.tools.study own")
    assert headers(file.read_text()) == headers(page.markdown(blocks, "Study: own"))


def test_verdicts_say_what_the_contrasts_say(found: Found):
    better, worse = found.contrasts
    assert better.reading == "reproduces" and worse.reading == "negative"
    first, count, second = study.verdicts(found.contrasts)
    assert ": 9-wild − 3-drawn" in first and first.endswith("], reproduces.") and count.startswith("1 other")
    assert second.startswith("Negative: 9-drawn − 9-wild −") and f"{100 * better.difference.low:.1f}" in first


def test_only_drawn_sets_are_described_and_equal_ones_once(found: Found):
    (row,) = study.drawn_sets(found.arms).rows  # both drawn arms are of one experiment
    audit = found.arms[0].audit
    assert row[0].text == "3-drawn" and row[4].text == f"{audit['spread']['judge']['value']:.3f}"
    assert len(study.accuracies(found).rows) == 3


def test_what_ran_is_what_it_cost(found: Found):
    first, *others = found.arms
    arms = [replace(first, seconds={"evaluate": 90.0, "report": 60.0}), *others]
    rows = [[cell.text for cell in row] for row in study.costs(arms).rows]
    samples = f"{first.values['train']['samples']:,}"
    passes = replace(first, values={"train": {"samples": 9, "epochs": 2.5}})
    assert study.costs([passes]).rows[0][1].text == "60"  # of 24 images
    assert rows[0] == ["3-drawn", samples, "–", "–", "1.5"] and rows[2] == ["9-wild", samples, "1.0", "10.0", "–"]
    minutes = [(place, value) for place, value, *_ in study_figure.lines("identities", arms, study.COST.of)["all"]]
    assert minutes == [(study_figure.place("identities", arm), m) for arm, m in zip(others, (6, 11), strict=True)]


def test_sizes_count_the_people_that_join_by_mixup(found: Found):
    sizes = {row[0].text: (row[1].text, row[2].text) for row in study.accuracies(found).rows}
    assert sizes["3-drawn"] == ("6", "24") and sizes["9-drawn"] == ("8", "32")


@pytest.mark.parametrize(("x", "panels"), [(None, None), ("spread", 3), ("identities", 4), ("pack.alpha", 4)])
def test_the_figure_is_drawn_over_any_x(found: Found, x: str | None, panels: int | None, tmp_path: Path):
    arms = found.arms if x in (None, "identities", "pack.alpha") else found.arms[:2]
    file = study_figure.figure(replace(found, x=x, arms=arms), tmp_path / "own.png")
    pixels = np.asarray(Image.open(file).convert("L"))
    assert pixels.min() < 60 and (pixels < 200).mean() > 0.005
    width = pixels.shape[1] / pixels.shape[0]
    assert width < 3 if panels is None else width == panels  # rows, or panels in a row


@pytest.mark.parametrize("lost", ["seconds", "drawn"])
def test_a_panel_of_what_is_not_known_stays_empty(found: Found, lost: str, tmp_path: Path):
    arms = [replace(arm, seconds={}) for arm in found.arms] if lost == "seconds" else found.arms[2:]
    assert study_figure.lines("identities", arms[:0], study.COST.of) == {}
    file = study_figure.figure(replace(found, x="identities", arms=arms), tmp_path / "own.png")
    assert (np.asarray(Image.open(file).convert("L")) < 200).mean() > 0.005


def test_where_an_arm_lies(found: Found):
    first = found.arms[0]
    assert study_figure.place("identities", first) == 6
    assert study_figure.place("pack.alpha", first) == 0.5
    assert study_figure.place("spread", first) == first.audit["spread"]["judge"]["value"]
    with pytest.raises(InputError) as refused:
        study_figure.place("pack.method", first)
    assert (refused.value.key, refused.value.value) == ("x", "pack.method")


def test_a_series_looks_the_same_where_others_are_missing(
    found: Found, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    drawn: list[tuple[str, str]] = []
    errorbar = Axes.errorbar

    def seen(ax: Axes, *args: Any, **kwargs: Any) -> Any:
        drawn.append((kwargs["label"], kwargs["color"] + kwargs["fmt"]))
        return errorbar(ax, *args, **kwargs)

    monkeypatch.setattr(Axes, "errorbar", seen)
    first, _, wild = found.arms
    names = {"1-drawn": first, "3-drawn": first, "3-wild": wild, "9-wild": wild, "3-long": first, "9-long": first}
    arms = [replace(arm, name=name) for name, arm in names.items()]
    study_figure.figure(replace(found, x="identities", arms=arms), tmp_path / "own.png")
    assert len(set(drawn)) == 3 and len(drawn) > 6  # of wild sets there is nothing in two panels


def test_a_series_is_what_is_left_of_a_name_without_its_numbers():
    names = {"beta-1": "beta", "beta-12": "beta", "30-drawn": "drawn", "none": "none", "x3-a-2": "x3-a"}
    assert {name: study_figure.series(name) for name in names} == names


def test_arms_with_a_word_each_are_one_line_in_the_order_of_x(found: Found):
    def arms(**alphas: float) -> list[Arm]:
        return [replace(found.arms[0], name=name, values={"pack": {"alpha": x}}) for name, x in alphas.items()]

    def drawn(arms: list[Arm]) -> dict[str, list[float]]:
        lines = study_figure.lines("pack.alpha", arms, lambda arm: {"value": 3, "low": 2, "high": 5})
        assert all(point[1:] == (3, 2, 5) for points in lines.values() for point in points)
        return {label: [point[0] for point in points] for label, points in lines.items()}

    assert drawn(arms(two=2, none=0, half=0.5)) == {"all": [0, 0.5, 2]}
    assert drawn(arms(**{"a-1": 1, "a-0": 0, "b": 2})) == {"a": [0, 1], "b": [2]}
