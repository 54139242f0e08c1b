"""Contrasts and curves on scores whose answer is known."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from refusal import refused
from reporting import project

from stages.common.variants import Variants
from stages.reporting import results, tables
from stages.reporting.results import TWIN, WILD, Variant
from stages.settings.report import Figures, Pictures, Question, Report
from stages.tools import compare_words

PLAIN = Variants(**project.PLAIN)
R = 200


def variant(name: str, accuracy: dict[str, float], seeds: int = 5, spread: float = 0.01) -> Variant:
    """Return a variant with these accuracies; all variants share the draws of people."""
    people = np.random.default_rng(1).standard_normal(R)
    own = np.random.default_rng([2, len(name)]).standard_normal(R)
    protocols, estimates = {}, {}
    for protocol, value in accuracy.items():
        domain = "studio" if protocol == TWIN[1] else "wild"
        protocols[protocol] = {"domain": domain, "accuracy": {"per_seed": [value] * seeds}}
        estimates[protocol] = project.accuracy(value, seeds, value + spread * (people + 0.1 * own))
    return Variant(name, PLAIN, protocols, {}, {}, estimates)


def trio(seeds: int = 5, more: dict[str, float] | None = None) -> list[Variant]:
    accuracy = {"base": 0.8, "wild": 0.9, **(more or {})}
    return [variant(name, {"lfw": value, "agedb": value, "syn-lfw": 0.9}, seeds) for name, value in accuracy.items()]


def question(of: str, against: str = "base", on: str = WILD, expected: Literal[-1, 0, 1] = 1, **more: Any) -> Question:
    return Question(of=of, against=against, on=on, expected=expected, **more)


def contrast(variants: list[Variant], question: Question) -> results.Contrast:
    (answer,) = results.contrasts(variants, [question], 0.95)
    return answer


def test_people_drawn_together_cancel_in_a_difference():
    c = contrast(trio(), question("wild"))
    assert c.difference.value == pytest.approx(0.1)
    assert (
        0.1 - c.difference.low < 0.005 and c.difference.high - 0.1 < 0.005
    )  # alone, each interval is 0.02 to either side
    assert c.reading == "reproduces"


def test_a_variant_is_not_separated_from_its_twin():
    c = contrast(trio(more={"wider": 0.8}), question("wider", expected=0))
    assert c.difference.low < 0 < c.difference.high
    assert c.expected == 0 and c.reading == "not separated"


@pytest.mark.parametrize(("wide", "reading"), [(0.85, "reproduces"), (0.75, "reversed"), (0.8, "not separated")])
def test_a_verdict_compares_the_interval_with_the_expected_sign(wide: float, reading: str):
    assert contrast(trio(more={"wide": wide}), question("wide")).reading == reading


def test_fewer_than_three_seeds_give_no_verdict():
    contrasts = results.contrasts(trio(2, {"wide": 0.85}), [question("wide"), question("wild", expected=0)], 0.95)
    assert all(c.difference.low > 0 for c in contrasts)
    assert {(c.side, c.reading) for c in contrasts} == {(0, "interval only")}


@pytest.mark.parametrize("few", ["base", "wild"])
def test_the_side_with_fewer_seeds_decides(few: str):
    accuracy = {"lfw": 0.8, "agedb": 0.8, "syn-lfw": 0.9}
    c = contrast([variant(name, accuracy, 2 if name == few else 6) for name in ("base", "wild")], question("wild"))
    assert c.difference.seeds == 2 and c.reading == "interval only"


def test_the_gap_of_two_domains_is_compared_pair_by_pair():
    gap = question("wild", on=TWIN[0], minus=TWIN[1])
    c = contrast(trio(), gap)
    assert (c.name, c.protocol) == ("wild - base", "lfw - syn-lfw") and c.difference.value == pytest.approx(0.1)
    same = [variant(n, {"lfw": v, "syn-lfw": v}) for n, v in (("base", 0.8), ("wild", 0.9))]
    c = contrast(same, gap)
    assert (c.difference.low, c.difference.value, c.difference.high) == pytest.approx((0, 0, 0), abs=1e-12)


def test_each_question_has_its_answer_in_order():
    questions = [question("own", "wild", expected=-1), question("wild", on="lfw"), question("base", "own", expected=0)]
    contrasts = results.contrasts(trio(more={"own": 0.7}), questions, 0.95)
    assert [(c.name, c.protocol, c.expected) for c in contrasts] == [
        ("own - wild", WILD, -1), ("wild - base", "lfw", 1), ("base - own", WILD, 0),
    ]  # fmt: skip
    assert [c.difference.value for c in contrasts] == pytest.approx([-0.2, 0.1, 0.1])


def test_all_but_the_primary_contrast_pay_for_their_number():
    variants = trio(more={"wider": 0.8003, "larger": 0.802})
    asked = [question("wider"), question("larger"), replace(question("wider", on="lfw"), primary=True)]
    wider, larger, primary = results.contrasts(variants, asked, 0.95)
    assert (wider.among, larger.among, primary.among) == (2, 2, 1) and primary.primary
    assert primary.p == primary.difference.p and 0 < wider.difference.p < 1
    assert wider.p == pytest.approx(wider.difference.p)  # the greater of the two: Holm's last step
    assert larger.p == pytest.approx(2 * larger.difference.p)
    assert 0 < (results.contrasts(variants, asked[:1], 0.95)[0].smallest or 0) < (wider.smallest or 0)
    still = replace(wider, p=1.0, difference=replace(wider.difference, value=0.0, error=0.0))
    assert still.smallest is None and still.reading == "not separated"
    assert [cell.text for cell in tables.phenomena([still]).rows[0][3:]] == ["–", "+", "not separated"]
    assert compare_words.would_show([still]) == "" != compare_words.would_show([still, wider])


def test_two_primary_contrasts_are_refused():
    asked = replace(question("wide"), primary=True)
    shown = Pictures(identities=1, images=1)
    with pytest.raises(ValueError, match="contrasts = 'one, two': several are primary; allowed: one at most"):
        Report(figures=Figures(sheet=shown, map=shown), contrasts={"one": asked, "two": asked})


def test_a_benchmark_on_which_nothing_could_be_measured_has_an_estimate_of_nothing():
    replicates = pa.table({"ijb/tar_at_far_0.01": np.ones(2 * R)})
    unresolved = {"domain": "wild", "pairs": {"a": 9}, "tar_at_far_0.0001": None}
    found = results.estimated("ijb", unresolved, replicates, "replicates.arrow")
    assert found.names == () and found.replicates.shape == (R, 0) and found.only([]).names == ()


def test_a_metric_without_replicates_or_with_half_of_one_is_named():
    scored = {"tar_at_far_0.01": {"per_seed": [0.5, 0.6]}, "rank_1": {"per_seed": [0.7, 0.8]}}
    replicates = pa.table({"ijb/tar_at_far_0.01": np.append(np.full(R, 0.5), np.zeros(R))})
    with refused("replicates.arrow", key="ijb/rank_1", allowed="one for each metric"):
        results.estimated("ijb", scored, replicates, "replicates.arrow")
    with refused("replicates.arrow", key="rows", value=2 * R - 1, allowed="two for each replicate"):
        results.estimated("ijb", scored, replicates[1:], "replicates.arrow")
    del scored["rank_1"]
    found = results.estimated("ijb", scored, replicates, "replicates.arrow")
    assert found.value == pytest.approx(0.55) and found.replicates[:, 0].tolist() == [0.5] * R


def test_the_mean_is_over_wild_protocols_only():
    v = variant("base", {"lfw": 0.7, "agedb": 0.9, "syn-lfw": 0.1})
    assert v.accuracy(WILD).value[0] == pytest.approx(0.8)
