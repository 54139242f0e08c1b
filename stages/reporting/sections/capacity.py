"""How many identities fit before one is taken for another."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stages.common import artifacts
from stages.reporting import packing_figures, tables
from stages.reporting.blocks import Block, Claim, Figures, Heading, Picture, Text
from stages.reporting.prose import say
from stages.reporting.sections.domains import side_of
from stages.reporting.sections.inputs import DATA, Inputs
from stages.reporting.sections.parameters import again

BESIDE = ("gallery", "gaussian")  # rows beside which the packed ones are set
SIDES = {1: "more", 0: "alike", -1: "fewer"}


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
    by = {"judge": report} if witness is None else {"judge": report, "witness": witness["capacity"]}
    captions = [say("capacity curves"), ""]
    pictures = [
        _confused(inputs.folder, name, each, text) for (name, each), text in zip(by.items(), captions, strict=False)
    ]
    return [
        claim(inputs),
        Heading("Identity capacity"),
        Text(text),
        *([] if witness is None else [Text(witnessed(witness))]),
        replace(tables.capacity(report, by.get("witness")), name="identity-capacity"),
        Text(caps),
        Figures(pictures),
    ]


def claim(inputs: Inputs) -> Claim:
    """Say how many packed identities fit beside rows of the gallery and Gaussian ones."""
    audit, capacity = inputs.audit, inputs.audit["capacity"]
    packed = capacity["packed"]
    sides = {side_of(packed["identities"], capacity[kind]["identities"]) for kind in BESIDE}
    side = sides.pop() if len(sides) == 1 else 0
    fits = {kind: _fitting(capacity[kind]) for kind in BESIDE}
    sentence = say("claim capacity", allowed=100 * capacity["confused"], **fits)
    if "witness" in audit:
        others = {kind: _fitting(audit["witness"]["capacity"][kind]) for kind in ("packed", *BESIDE)}
        sentence += f" {say('claim capacity witness', recogniser=audit['witness']['recogniser'], **others)}"
    evidence = [
        ("the numbers", tables.anchor("identity capacity packed")),
        ("confused images by number of identities", inputs.folder / "capacity.png"),
    ]
    asked = {key: capacity[key] for key in ("false_match_rate", "confused")}
    return Claim(
        tables.number(packed["identities"], scale=1, places=0),
        say("claim capacity unit", drawn=packed["drawn"]),
        sentence,
        say(f"verdict capacity {SIDES[side]}"),
        side != 0,
        evidence,
        again({"audit": {"capacity": asked}}, "dvc repro -f -s audit report"),
    )


def _fitting(entry: Mapping[str, Any]) -> str:
    """Say how many identities fit, with the interval."""
    fits = tables.number(entry["identities"], scale=1, places=0)
    return f"{fits.text} [{fits.interval}]"


def _confused(folder: Path, by: str, report: Mapping[str, Any], caption: str) -> Picture:
    """Draw the share of confused probes among more and more identities, by the judge or by the witness."""
    kinds = [name for name, entry in report.items() if isinstance(entry, dict)]
    prefix, suffix = ("", "") if by == "judge" else (f"{by}-", f"-{by}")
    curves = {name: artifacts.read_array(DATA / "judged" / f"{prefix}confused-{name}.npy") for name in kinds}
    file = packing_figures.capacity(
        curves, report["false_match_rate"], report["confused"], folder / f"capacity{suffix}.png", by
    )
    rows = "; ".join(f"{name} {100 * curve[-1, 0]:.1f} % of {len(curve) + 1}" for name, curve in curves.items())
    return Picture(file, caption, say("alt capacity", by=by, rows=rows))


def witnessed(witness: Mapping[str, Any]) -> str:
    """Say who the witness is, and how well it tells people of this world."""
    capacity, usual = witness["capacity"], witness.get("usual_threshold")
    accepted = {"threshold": capacity["threshold"], "true_match": 100 * capacity["true_match_rate"]}
    text = say("witness", recogniser=witness["recogniser"], **accepted)
    if usual is None:
        return text
    return f"{text} {say('witness usual', distance=usual['distance'], taken=100 * usual['taken_for_one'])}"
