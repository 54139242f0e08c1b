"""What the figures show, read off their axes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from stages.common import images
from stages.metrics.bootstrap import Difference
from stages.reporting import faces, figures, packing_figures
from stages.reporting.results import WILD, Contrast
from stages.reporting.scores import FAR_GRID
from stages.reporting.spread import Embedded

COLOURS = {"a": "#ff0000", "b": "#0000ff"}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Axes]]:
    """Collect the axes of every figure when it is closed."""
    axes: list[Axes] = []
    close = figures.plt.close
    monkeypatch.setattr(figures.plt, "close", lambda figure: axes.extend(figure.axes))
    yield axes
    close("all")


def lines(ax: Axes) -> list[tuple[Any, list, list]]:
    return [
        (line.get_color(), np.array(line.get_xdata()).tolist(), np.array(line.get_ydata()).tolist())
        for line in ax.lines
    ]


def test_an_accuracy_is_a_dot_on_its_interval_with_its_seeds(shown: list[Axes], tmp_path: Path):
    measured = pd.DataFrame({"value": [0.8, 0.75], "low": 0.7, "high": 0.85}, index=["a", "b"])
    per_seed = dict.fromkeys("ab", np.array([0.79, 0.81]))
    figures.accuracy(measured, per_seed, COLOURS, "LFW", tmp_path / "x.png")
    bar, dot, seeds, *_ = lines(shown[0])
    assert bar[1:] == ([pytest.approx(70), pytest.approx(85)], [0, 0]) and dot[1:] == ([pytest.approx(80)], [0])
    assert bar[0] == dot[0] == "#ff0000" and seeds[1] == pytest.approx([79, 81])
    assert [label.get_text() for label in shown[0].get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in shown[0].texts] == ["80.0", "75.0"]


def difference(ends: tuple[float, float], expected: int, seeds: int) -> Contrast:
    """Return a difference with an interval in points, whose p-value says what the interval does."""
    low, high = ends
    interval = Difference((low + high) / 200, low / 100, high / 100, 0.01, 30, seeds)
    return Contrast("a - b", WILD, interval, expected, 0.05, 0.5 if low < 0 < high else 0.01, 1)


def test_a_difference_is_blue_or_orange_by_its_sign_and_hollow_about_zero_or_of_few_seeds(
    shown: list[Axes], tmp_path: Path
):
    cases = [((1, 3), 1), ((1, 3), -1), ((-3, -1), 1), ((-3, -1), -1), ((1, 3), 0), ((-1, 2), 1)]
    contrasts = [difference(*case, 3) for case in cases] + [difference((1, 3), 1, 2)]
    figures.phenomena(contrasts, tmp_path / "x.png")
    dots = shown[0].lines[2::2]
    with_it, against, unclear = figures.GENUINE, figures.AGAINST, figures.NEITHER
    assert [dot.get_color() for dot in dots] == [with_it, against, against, with_it, unclear, unclear, unclear]
    assert [dot.get_fillstyle() for dot in dots] == [*["full"] * 5, "none", "none"]
    marks = {with_it: "o", against: "D", unclear: "s"}
    assert [dot.get_marker() for dot in dots] == [marks[str(dot.get_color())] for dot in dots]
    assert [x for _, (x,), _ in lines(shown[0])[2::2]] == pytest.approx([2, 2, -2, -2, 2, 0.5, 2])


def test_the_nearest_are_marked_at_their_median(shown: list[Axes], tmp_path: Path):
    packing_figures.nearest({"few": np.array([50.0, 60, 80]), "more": np.array([70.0, 71, 72])}, tmp_path / "x.png")
    assert [lines(ax)[0][1][0] for ax in shown] == [60, 71]
    assert [ax.get_title("left") for ax in shown] == ["few, least 50.0°", "more, least 70.0°"]


def test_the_course_names_its_start_and_its_least(shown: list[Axes], tmp_path: Path):
    steps = np.array([0, 25, 50, 75])
    packing_figures.course(steps, np.array([0.9, 0.3, 0.21, 0.22]), tmp_path / "x.png")
    packing_figures.course(steps, np.array([0.25, 0.24, 0.22, 0.21]), tmp_path / "x.png")
    assert [lines(ax)[0][1] for ax in shown] == [steps.tolist()] * 2 and lines(shown[0])[0][2] == [0.9, 0.3, 0.21, 0.22]
    assert [lines(ax)[1][1:] for ax in shown] == [([50], [0.21]), ([75], [0.21])]
    assert [[text.get_text() for text in ax.texts] for ax in shown] == [
        ["0.2100", "start 0.900"], ["0.2100", "start 0.250"]
    ]  # fmt: skip
    assert [ax.get_ylim() for ax in shown] == [(0, pytest.approx(1)), (0, pytest.approx(0.5))]


def test_the_front_is_tied_in_order_and_the_run_marked_above_its_bound(shown: list[Axes], tmp_path: Path):
    ends = {"0": np.array([0.6, 0.04]), ".5": np.array([0.2, 0.1]), "2": np.array([0.05, 0.24])}
    packing_figures.front(ends, packing_figures.Run(".5", ends[".5"], 0.01), "closest", tmp_path / "x.png")
    packing_figures.front(ends, packing_figures.Run("this run", np.array([0.1, 0.5]), None), "mean", tmp_path / "x.png")
    tied, bound, gap, run = lines(shown[0])
    assert tied[1:] == ([0.6, 0.2, 0.05], [0.04, 0.1, 0.24]) and bound[2] == [0.01, 0.01]
    assert gap[1:] == ([0.2, 0.2], [0.01, 0.1]) and run[1:] == ([0.2], [0.1])
    assert [text.get_text() for text in shown[0].texts] == ["0", "2", "bound 0.010", ".5"]
    assert [text.get_text() for text in shown[1].texts] == ["0", ".5", "2", "this run"]
    assert lines(shown[1])[1][1:] == ([0.1], [0.5])


def test_cosines_are_counted_in_bins_that_hold_all(shown: list[Axes], tmp_path: Path):
    genuine, impostor = np.array([0.5, 0.9, 0.9]), np.array([-0.31, 0.0, 0.0])
    packing_figures.cosines([("one", genuine, impostor)], tmp_path / "x.png")
    values, edges, _ = shown[0].patches[0].get_data()  # pyright: ignore[reportAttributeAccessIssue]
    assert edges[0] <= -0.31 and edges[-1] == 1 and values.max() == 1
    assert np.sum(values) == pytest.approx(1.5) and edges[values.argmax()] <= 0 <= edges[values.argmax() + 1]
    assert {text.get_text() for text in shown[0].texts} == {"genuine 0.77", "impostor −0.10"}


def test_confusion_at_the_false_match_rate_is_that_of_independent_pairs(shown: list[Axes], tmp_path: Path):
    share = np.array([[0.01, 0.0, 0.02], [0.02, 0.01, 0.03]])  # of N = 2 and 3
    packing_figures.capacity({"packed": share}, 0.1, 0.05, tmp_path / "x.png")
    chance, allowed, packed = lines(shown[0])
    assert chance[1:] == ([2, 3], pytest.approx([10, 19])) and allowed[2] == [5, 5]
    assert packed[1:] == ([2, 3], pytest.approx([1, 2]))


def test_curves_can_be_told_apart_without_colour(shown: list[Axes], tmp_path: Path):
    names = [str(i) for i in range(20)]
    figures.roc(dict.fromkeys(names, FAR_GRID), dict.fromkeys(names, "#000"), "LFW", tmp_path / "x.png")
    kinds = ("packed", "gallery", "gaussian", "unrelated")
    packing_figures.capacity(dict.fromkeys(kinds, np.full((40, 3), 0.1)), 0.1, 0.05, tmp_path / "x.png")
    for ax, first in zip(shown, (0, 2), strict=True):
        curves = ax.lines[first:]
        looks = {(line.get_marker(), str(vars(line)["_unscaled_dash_pattern"])) for line in curves}
        assert len(looks) == len(curves) > 3 and not any(line.get_marker() == "None" for line in curves)


def test_the_legend_of_roc_curves_is_in_order_of_height(shown: list[Axes], tmp_path: Path):
    low, high = FAR_GRID, np.sqrt(FAR_GRID)
    figures.roc({"a": low, "b": high}, COLOURS, "LFW", tmp_path / "x.png")
    assert [line.get_label() for line in shown[0].lines] == ["b", "a"]
    assert np.array_equal(shown[0].lines[0].get_ydata(), high) and shown[0].get_xscale() == "log"


def test_the_map_ties_a_person_s_images_to_their_middle(shown: list[Axes], tmp_path: Path):
    points = np.array([[0.0, 0], [2, 0], [5, 5], [7, 9]])
    distance = {"value": 0.25, "low": 0.2, "high": 0.3}
    figures.embedding_map({"studio": Embedded(np.array([0, 0, 1, 1]), points, distance, 2)}, tmp_path / "x.png")
    assert [line[1] for line in lines(shown[0])] == [[1, 0], [1, 2], [0, 2], [6, 5], [6, 7], [5, 7]]
    assert shown[0].get_title("left") == "studio: distance 0.25"


def test_what_is_missing_leaves_its_place_on_a_sheet_empty(tmp_path: Path):
    grey = [np.full((16, 16, 3), value, np.uint8) for value in (10, 20, 30)]
    identity, index = np.array([0, 0, 4]), np.array([0, 2, 1])
    images.write_shard(tmp_path / "a.arrow", grey, identity=identity, index=index, seed=index, domain="x")
    sheet = faces.grid(images.Shards(tmp_path), 3, faces.FACE_PX)
    step, middle = faces.FACE_PX + faces.GAP_PX, faces.FACE_PX // 2
    assert sheet.shape == (2 * step - faces.GAP_PX, 3 * step - faces.GAP_PX, 3)
    greys = [[sheet[middle + row * step, middle + column * step, 0] for column in range(3)] for row in range(2)]
    assert np.array(greys) == pytest.approx(np.array([[10, 255, 20], [255, 30, 255]]), abs=1)


def test_two_runs_of_like_numbers_have_the_same_axes(shown: list[Axes], tmp_path: Path):
    def draw(half: float, **percent: float) -> None:
        value = pd.Series(percent)
        measured = pd.DataFrame({"value": value, "low": value - half, "high": value + half}) / 100
        per_seed = {name: np.array([x / 100]) for name, x in percent.items()}
        figures.accuracy(measured, per_seed, COLOURS, "wild", tmp_path / "x.png")

    for low, high in ((73, 83), (67, 88)):
        draw(1, a=low, b=high)
        packing_figures.nearest({"one": np.array([low - 20.0, high - 5.0])}, tmp_path / "x.png")
    draw(0.2, a=97)
    assert [ax.get_xlim() for ax in shown] == [(65, 90), (0, 90), (65, 90), (0, 90), (95, 100)]


def test_what_no_range_holds_fills_its_axis(shown: list[Axes], tmp_path: Path):
    figures.phenomena([difference((120, 180), 1, 3)], tmp_path / "x.png")
    assert shown[0].get_xlim() == pytest.approx((0, 180))


def test_the_map_s_panels_hold_all_points_on_the_same_axes(shown: list[Axes], tmp_path: Path):
    distance, identity = {"value": 0.2, "low": 0.1, "high": 0.3}, np.array([0, 0])
    near, far = np.array([[0.1, 0.0], [0.2, 0.0]]), np.array([[0.0, -0.53], [0.3, 0.0]])
    domains = {name: Embedded(identity, points, distance, 2) for name, points in (("studio", near), ("wild", far))}
    figures.embedding_map(domains, tmp_path / "x.png")
    limits = np.array([(*ax.get_xlim(), *ax.get_ylim()) for ax in shown])
    assert limits == pytest.approx(np.array([(-0.7, 0.7, -0.7, 0.7)] * 2))
