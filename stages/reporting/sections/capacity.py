"""How many identities fit before one is taken for another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.common import artifacts
from stages.reporting import figures, tables
from stages.reporting.page import Block, Figures, Heading, Text
from stages.reporting.prose import say
from stages.reporting.sections.inputs import DATA, Inputs
from stages.reporting.tables import Cell


def capacities(inputs: Inputs) -> list[Block]:
    """Show how many identities fit before one is taken for another."""
    report, witness = inputs.audit["capacity"], inputs.audit.get("witness")
    text = say(
        "capacity",
        threshold=report["threshold"],
        false_match=100 * report["false_match_rate"],
        true_match=100 * report["true_match_rate"],
        allowed=100 * report["confused"],
    )
    caps = say("capacity caps", d=report["unrelated"]["caps"]["d"], inside=100 * (1 - report["confused"]))
    pictures = [(_confused(report, "judge", inputs.folder / "capacity.png"), say("capacity curves"))]
    heading = [Heading("Identity capacity"), Text(text)]
    if witness is None:
        return [*heading, tables.capacity(report), Text(caps), Figures(pictures)]
    pictures.append((_confused(witness["capacity"], "witness", inputs.folder / "capacity-witness.png"), ""))
    table = tables.capacity(report, witness["capacity"])
    return [*heading, Text(witnessed(witness)), table, Text(caps), Figures(pictures)]


def _confused(report: Mapping[str, Any], by: str, file: Path) -> Path:
    """Draw the share of confused probes among more and more identities, by the judge or by the witness."""
    kinds = [name for name, entry in report.items() if isinstance(entry, dict)]
    prefix = "" if by == "judge" else f"{by}-"
    curves = {name: artifacts.read_array(DATA / "audit" / f"{prefix}confused-{name}.npy") for name in kinds}
    return figures.capacity(curves, report["false_match_rate"], report["confused"], file, by)


def witnessed(witness: Mapping[str, Any]) -> str:
    """Say who the witness is, and how well it tells people of this world."""
    capacity, usual = witness["capacity"], witness.get("usual_threshold")
    accepted = {"threshold": capacity["threshold"], "true_match": 100 * capacity["true_match_rate"]}
    text = say("witness", recogniser=witness["recogniser"], **accepted)
    if usual is None:
        return text
    return f"{text} {say('witness usual', distance=usual['distance'], taken=100 * usual['taken_for_one'])}"


def fitting(entry: Mapping[str, Any]) -> Cell:
    """Return how many identities fit: at least so many, where all that were drawn fit."""
    fits = tables.number(entry["identities"], scale=1, places=0)
    return Cell(f"≥ {fits.text}") if entry["identities"]["value"] == entry["drawn"] else fits


def in_words(cell: Cell) -> str:
    """Return a number and its interval."""
    return f"{cell.text} [{cell.interval}]" if cell.interval else cell.text
