"""What is said of the contrasts: numbers, verdict, evidence."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reporting import project

from stages.common.variants import Variants
from stages.reporting import frame, prose, results
from stages.reporting.blocks import Claim
from stages.reporting.results import Variant
from stages.reporting.sections import claims, differences
from stages.reporting.sections.inputs import Inputs
from stages.settings.report import Figures, Pictures, Question, Report

ACCURACY = {"base": (0.75, 0.9), "wild": (0.835, 0.915), "wide": (0.752, 0.9)}  # on lfw and syn-lfw
ASKED: dict[str, dict[str, Any]] = {
    "better": {"of": "wild", "against": "base", "expected": 1},
    "on-lfw": {"of": "wild", "against": "base", "on": "lfw", "expected": 0},
    "luck": {"of": "wide", "against": "base", "expected": 1},
    "worse": {"of": "base", "against": "wild", "expected": 1},
    "gap": {"of": "wild", "against": "base", "minus": "syn-lfw", "expected": 1, "primary": True},
}


def variant(name: str, seeds: int) -> Variant:
    """Return a variant that scores as in ACCURACY, on people whom all variants share."""
    people, *own = (np.random.default_rng([1, i]).standard_normal(200) for i in (0, *name.encode()[:2]))
    scored = dict(zip(("lfw", "syn-lfw"), ACCURACY[name], strict=True))
    protocols = {
        protocol: {"domain": "wild" if protocol == "lfw" else "studio", "accuracy": {"per_seed": [value] * seeds}}
        for protocol, value in scored.items()
    }
    estimates = {
        protocol: project.accuracy(value, seeds, value + 0.01 * people + 0.002 * sum(own))
        for protocol, value in scored.items()
    }
    return Variant(name, Variants(**project.PLAIN), protocols, {}, {}, estimates)


def made(seeds: int = 5) -> dict[str, Claim]:
    """Return the claims by the key of their question, in order."""
    one = Pictures(identities=1, images=1)
    asked = {key: Question(**question) for key, question in ASKED.items()}
    cfg = Report(figures=Figures(sheet=one, map=one), contrasts=asked)
    variants = [variant(name, seeds) for name in ACCURACY]
    contrasts = results.contrasts(variants, cfg.contrasts.values(), 0.95)
    values = {"variants": dict.fromkeys(ACCURACY, project.PLAIN), "report": {"contrasts": ASKED}}
    inputs = Inputs(variants, contrasts, {}, {}, frame.of({}), {}, values, cfg, {}, Path("figures"))
    found = claims.of_contrasts(inputs)
    keys = ["gap", *(key for key in ASKED if key != "gap")]
    return {key: claim for key, claim in zip(keys, found, strict=True) if isinstance(claim, Claim)}


def test_a_claim_says_what_both_score_and_the_primary_one_stands_first():
    found = made()
    both = {"of": "wild", "against": "base", "on": prose.say("claim on wild")}
    twin = prose.say("claim on", protocol="Syn-LFW")
    assert found["better"].sentence == prose.say("claim difference", **both, after=83.5, before=75)
    assert found["gap"].sentence == prose.say("claim gap", **both, here="+8.5", there="+1.5", minus=twin)
    assert (found["gap"].number.text, found["worse"].number.text) == ("+7.0", "−8.5")
    assert [key for key, claim in found.items() if claim.detail] == ["on-lfw"]


@pytest.mark.parametrize(
    ("key", "verdict", "clear"),
    [
        ("better", "reproduces", True), ("on-lfw", "positive", True), ("worse", "reversed", True),
        ("luck", "not separated", False),
    ],
)  # fmt: skip
def test_a_verdict_is_that_of_its_contrast(key: str, verdict: str, clear: bool):
    claim = made()[key]
    smallest = re.findall(r"[\d.]+", claim.verdict) or [0]
    assert claim.verdict == prose.say(f"verdict {verdict}", smallest=float(smallest[0]), seeds=5, enough=3)
    assert claim.clear == clear


def test_where_nothing_varied_no_size_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(results.Contrast, "smallest", None)
    verdicts = {key: claim.verdict for key, claim in made().items()}
    assert verdicts["luck"] == prose.say("verdict nothing varied")
    assert verdicts["better"] == prose.say("verdict reproduces")


def test_two_seeds_give_no_verdict_and_the_primary_question_is_named():
    few, enough = made(2), made()
    assert not any(claim.clear for claim in few.values())
    assert few["better"].verdict == prose.say("verdict interval only", seeds=2, enough=3, smallest=0)
    assert enough["gap"].verdict == prose.say("verdict primary", verdict=prose.say("verdict reproduces"))


def test_the_evidence_is_the_row_the_figure_the_scores_and_the_faces_of_both():
    claim = made()["better"]
    assert [target for _, target in claim.evidence] == [
        "difference-wild-base-on-wild", Path("figures/phenomena.png"), "results-wild", "results-base",
        Path("figures/faces-wild.jpg"), Path("figures/faces-base.jpg"),
    ]  # fmt: skip
    parameters, command = (block.text for block in claim.again)  # pyright: ignore[reportAttributeAccessIssue]
    assert "better: {of: wild, against: base, expected: 1}" in parameters and "wide" not in parameters
    assert command == "dvc repro -f -s train@wild evaluate@wild train@base evaluate@base report"


def test_whoever_does_not_see_the_figure_reads_which_differences_are_not_clear():
    variants = [variant(name, 5) for name in ACCURACY]
    contrasts = results.contrasts(variants, [Question(**ASKED[key]) for key in ("better", "luck")], 0.95)
    rows = "wild − base, mean of wild, +8.5; wide − base, mean of wild, +0.2 (hollow)"
    assert differences.seen(contrasts) == prose.say("alt differences", rows=rows)
