"""What `compare` says in words: a sentence for each revision, and what a reader needs to know beside it."""

from collections.abc import Sequence

from stages.metrics import bootstrap, verdicts
from stages.reporting.results import WILD, Contrast
from stages.tools.compare_differences import Comparison, reading
from stages.tools.compare_sheets import named
from stages.tools.revisions import Revision


def statements(comparison: Comparison) -> list[str]:
    """Return what each later revision scores against the first, in words."""
    return [line for other in comparison.revisions[1:] if (line := _statement(comparison, other))]


def _statement(comparison: Comparison, other: Revision) -> str:
    """Return the verdicts on a revision's accuracies, the clear ones first; nothing where none is new."""
    said: dict[str, list[str]] = {"higher": [], "lower": [], "not separated": [], "interval only": []}
    for (name, variant, protocol, _), contrast in comparison.lead.items():
        if name == other.name:
            said[reading(contrast)].append(_named(variant, protocol) + _points(contrast))
    first = comparison.revisions[0]
    both = [name for name in first.variants if name in other.variants]
    paired = {place[1] for place in comparison.lead if place[0] == other.name}
    said["not paired"] = [name for name in both if name not in paired and not comparison.same(other, name)]
    said["equal"] = [name for name in both if comparison.same(other, name) and name not in comparison.equal]
    parts = [f"{verdict.capitalize()}: {', '.join(names)}." for verdict, names in said.items() if names]
    return f"Accuracy of {other.name} against {first.name}. {' '.join(parts)}" if parts else ""


def _named(variant: str, protocol: str) -> str:
    return variant if protocol == WILD else f"{variant} on {named(protocol)}"


def _points(contrast: Contrast) -> str:
    """Return the points of a clear difference; the others are in the tables."""
    difference = contrast.difference
    value, low, high = (f"{100 * x + 0.0:+.1f}" for x in (difference.value, difference.low, difference.high))
    return f" by {value} [{low}, {high}]" if contrast.side else ""


def remarks(comparison: Comparison) -> list[str]:
    """Return what a reader needs to know before the paired differences, a line for each point."""
    first, *others = comparison.names
    lines = []
    if comparison.lead:
        paired = [name for name in others if any(place[0] == name for place in comparison.lead)]
        points = f"Points of accuracy, {', '.join(paired)} minus {first}, on the same pairs."
        level = f"{100 * comparison.settings.confidence:g}"
        told = f"{family(comparison)} {would_show(list(comparison.lead.values()))}".strip()
        lines = [f"{points} {level} % intervals, by identity and training seed. {told}"]
    if comparison.equal and others:
        lines.append(f"Equal at all revisions: {', '.join(comparison.equal)}.")
    return lines + comparison.obstacles


def family(comparison: Comparison) -> str:
    """Say what is bold, and whether so many training seeds suffice for a verdict."""
    seeds, enough = [contrast.difference.seeds for contrast in comparison.lead.values()], bootstrap.SEEDS_FOR_A_VERDICT
    first, all_of_them = len(comparison.lead), len(comparison.contrasts)
    corrected = f"Bold where a difference is clear after correction for their number (Holm): {first} here"
    bold = f"{corrected}, {all_of_them - first} more below." if max(seeds) >= enough else ""
    fewest = "1 training seed gives" if min(seeds) == 1 else f"{min(seeds)} training seeds give"
    few = f"{fewest} no verdict, {enough} do." if min(seeds) < enough else ""
    return f"{bold} {few}".strip()


def would_show(lead: Sequence[Contrast]) -> str:
    """Say how small a difference these people and seeds would show; nothing where none of them varied."""
    points = [100 * contrast.smallest for contrast in lead if contrast.smallest is not None]
    if not points:
        return ""
    ends = " to ".join(dict.fromkeys(f"{point:.1f}" for point in (min(points), max(points))))
    return f"Corrected, {100 * verdicts.POWER:g} of 100 repetitions would show a difference of {ends} points."
