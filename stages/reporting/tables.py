"""The report's tables, each built once; `page` writes them as Markdown and as HTML."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from stages.metrics import bootstrap
from stages.reporting import frame
from stages.reporting.results import TWIN, WILD, Contrast, Variant, digits, minus_sign, title

WOULD_SHOW = "would show"
BASELINES = {
    "pixels": "few grey pixels, no network",
    "untrained": "the recogniser's network, untrained",
    "recogniser": "the pretrained recogniser",
    "judge": "the judge",
}


@dataclass(frozen=True)
class Cell:
    """One field of a table: a text, the interval beside it, whether it is bold, and a variant's colour.

    anchor: the name by which links find the row, if this is its first cell.
    """

    text: str
    interval: str = ""
    strong: bool = False
    colour: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Table:
    """A header and rows of cells; the first `labels` columns are text, the others numbers.

    name: of its file for LaTeX, reports/tables/NAME.tex; a table without a name has none.
    """

    header: list[str]
    rows: list[list[Cell]] = field(default_factory=list)
    labels: int = 1
    name: str = ""


def anchor(text: str) -> str:
    """Return a name for links and files: small letters and digits, with hyphens between."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def number(entry: Mapping[str, Any] | None, *, scale: float = 100, places: int = 1, strong: bool = False) -> Cell:
    """Return the cell of a {value, low, high}; a dash for what cannot be measured, no interval where nothing varied."""
    if entry is None:
        return Cell("–")
    value, low, high = (digits(entry[key] * scale, places) for key in ("value", "low", "high"))
    return Cell(value, f"{low} to {high}" if entry["low"] < entry["high"] else "", strong)


def difference(c: Contrast, places: int) -> Cell:
    """Return the cell of a paired difference, in points."""
    return number({key: getattr(c.difference, key) for key in frame.ENDS}, places=places)


def results(measured: pd.DataFrame, colours: Mapping[str, str], metric: str, scale: float = 100) -> Table:
    """Return one metric of every variant on the wild protocols, their mean, and the studio ones."""
    protocols = [*frame.names(measured, WILD), WILD, *frame.names(measured, "studio")]
    sign = -1 if metric in frame.ERRORS else 1
    best = {name: _clear_winner(frame.column(measured, colours, name, metric), sign) for name in protocols}
    table = Table(["training set", *map(title, protocols)])
    for variant, colour in colours.items():
        cells = [
            number(
                frame.entry(measured, variant, name, metric),
                scale=scale,
                places=1 if scale == 100 else 2,
                strong=variant == best[name],
            )
            for name in protocols
        ]
        name = anchor(f"results {variant}") if metric == "accuracy" else ""
        table.rows.append([Cell(variant, colour=colour, anchor=name), *cells])
    return table


def _clear_winner(scored: pd.DataFrame, sign: int) -> str | None:
    """Return the variant whose interval lies above all others, with sign -1 below; None without one, or few seeds."""
    value, *ends = (sign * scored[name].to_numpy() for name in frame.ENDS)
    low, high, seeds = np.minimum(*ends), np.maximum(*ends), scored["seeds"].to_numpy()
    if len(scored) < 2 or not (seeds >= bootstrap.SEEDS_FOR_A_VERDICT).all():  # NaN: one was not measured
        return None
    top = int(value.argmax())
    return str(scored.index[top]) if low[top] > np.delete(high, top).max() else None


def width_depth(variants: Sequence[Variant], measured: pd.DataFrame, colours: Mapping[str, str]) -> Table:
    """Return the unmixed variants by width and depth, as SynFace's rows (a) to (i)."""
    table = Table(["training set", "domain", "width", "depth", "images", "LFW", title(WILD), "Syn-LFW"], labels=2)
    plain = [v for v in variants if not (v.training.mixup or v.training.augment or v.training.mixed)]
    for v in sorted(plain, key=lambda v: (domain_of(v.training.source), v.training.width)):
        width, depth = v.training.width, v.training.depth
        table.rows.append(
            [
                Cell(v.name, colour=colours[v.name]),
                Cell(domain_of(v.training.source)),
                *(Cell(f"{count:,}") for count in (width, depth, width * depth)),
                *(number(frame.entry(measured, v.name, protocol)) for protocol in (TWIN[0], WILD, TWIN[1])),
            ]
        )
    return table


def domain_of(source: str) -> str:
    """Return the domain of a variant's source: the generator's is studio, a set has its own name."""
    return "studio" if source == "audit" else source.removeprefix("sets/")


def gap(variants: Sequence[Variant], measured: pd.DataFrame, colours: Mapping[str, str]) -> Table:
    """Return SynFace's table of the domain gap: trained on one domain (rows), tested on one (columns)."""
    table = Table(["trained on", "LFW (wild)", "Syn-LFW (studio)"])
    for v in variants:
        if set(TWIN) <= set(v.protocols):
            name = Cell(f"{domain_of(v.training.source)} ({v.name})", colour=colours[v.name])
            table.rows.append([name, *(number(frame.entry(measured, v.name, protocol)) for protocol in TWIN)])
    return table


def phenomena(contrasts: Sequence[Contrast]) -> Table:
    """Return the paired differences in points of accuracy, with what each could show and the verdict on each."""
    table = Table(["difference", "on", "points", WOULD_SHOW, "expected", "reading"], labels=2)
    for c in contrasts:
        sign = {1: "+", -1: "−", 0: ""}[c.expected]
        names = [Cell(minus_sign(c.name), anchor=c.anchor), Cell(title(c.protocol))]
        table.rows.append([*names, difference(c, places=2), size(c.smallest), Cell(sign), Cell(c.reading)])
    return table


def size(value: float | None, scale: float = 100, places: int = 1) -> Cell:
    """Return the cell of a difference that would show; a dash where none is known."""
    return Cell("–" if value is None else digits(scale * value, places))


def add_smallest(table: Table, sizes: Sequence[Cell]) -> Table:
    """Return the table with a last row: for each of its last columns, the difference that would show there."""
    between = [Cell("")] * (len(table.header) - 1 - len(sizes))
    return replace(table, rows=[*table.rows, [Cell(WOULD_SHOW), *between, *sizes]])


def capacity(report: Mapping[str, Any], witness: Mapping[str, Any] | None = None) -> Table:
    """Return how many identities of each kind of row fit, how many were drawn, and how many caps would fit.

    witness: the same by another network, of which the numbers that fit stand beside the judge's.
    """
    fit = ["identities that fit"] if witness is None else ["identities that fit, by the judge", "by the witness"]
    table = Table(["rows", *fit, "drawn", "spread, degrees", "caps that fit"])
    for name, entry in report.items():
        if isinstance(entry, Mapping):
            said = [entry] if witness is None else [entry, witness[name]]
            fits, caps = [number(x["identities"], scale=1, places=0) for x in said], entry["caps"]
            ends = [caps["fewest_log10"], caps["most_log10"]]
            room = "–" if None in ends else " to ".join(map(_count, ends))
            table.rows.append(
                [
                    Cell(name, anchor=anchor(f"identity capacity {name}")),
                    *fits,
                    Cell(str(entry["drawn"])),
                    Cell(digits(caps["rho_deg"], 1)),
                    Cell(room),
                ]
            )
    return table


def _count(log10: float) -> str:
    """Return the number that has this log10, which is known to six digits; a large one as a power of ten."""
    return f"{math.floor(10**log10 * (1 + 1.2e-5))}" if log10 < 4 else f"10^{digits(log10, 1)}"


def tree(report: Mapping[str, Any]) -> Table:
    """Return nested figures, whatever their names, as rows of label, value and interval."""
    table = Table(["measure", "of", "value"], labels=2)
    previous = ""
    for path, leaf in _leaves(report):
        first, rest = path[0], " · ".join(path[1:])
        label = "" if first == previous else _words(first)
        previous = first
        table.rows.append([Cell(label), Cell(_words(rest)), _leaf(leaf)])
    return table


def _leaves(node: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    leaves = []
    for key, value in node.items():
        if isinstance(value, Mapping) and not {"value", "low", "high"} <= set(value):
            leaves += _leaves(value, (*path, key))
        else:
            leaves.append(((*path, key), value))
    return leaves


def _words(key: str) -> str:
    return key.replace("_", " ")


def _leaf(leaf: Any) -> Cell:
    match leaf:
        case Mapping():
            return number(leaf, scale=1, places=3)
        case bool() | str() | None:
            return Cell("–" if leaf is None else str(leaf))
        case int():
            return Cell(f"{leaf:,}")
        case float():
            return Cell(digits(leaf, 3) if abs(leaf) >= 0.01 or leaf == 0 else f"{leaf:.2g}")
        case _:
            return Cell(", ".join(_leaf(item).text for item in leaf))


def external(measured: pd.DataFrame, colours: Mapping[str, str]) -> Table:
    """Return the accuracy on the user's own sets, raw and centred: of the baselines, then of the variants."""
    protocols = frame.names(measured, "external")
    baselines = [name for name in frame.level(measured, "variant") if name.startswith(frame.BASELINES)]
    table = Table(["embedded by", *map(title, protocols)])
    for name in [*baselines, *colours]:
        label = name.removeprefix(frame.BASELINES)
        cell = Cell(name, colour=colours[name]) if name in colours else Cell(BASELINES.get(label, label))
        table.rows.append([cell, *(number(frame.entry(measured, name, protocol)) for protocol in protocols)])
    return table
