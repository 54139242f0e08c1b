"""The table of results: a row for each variant, protocol and metric that was measured.

Its index is variant, protocol and metric, in the order of params.yaml and of evaluation; its columns are value, low and
high (the interval), seeds (how many) and the protocol's domain. Protocol `wild` is the mean of
all protocols of that domain. A baseline on the user's own sets stands among the variants as baselines/NAME.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from stages.common import artifacts
from stages.settings.report import WILD

FILE = Path("reports/results.csv")
KEYS, ENDS = ["variant", "protocol", "metric"], ["value", "low", "high"]
BASELINES = "baselines/"
UNITS = ("d_prime", "fdr")  # metrics that are no shares, and not given in percent
ERRORS = ("eer",)  # metrics of which less is better


def with_mean(protocols: Mapping[str, Any], wild_mean: Mapping[str, Any]) -> dict[str, Any]:
    """Return a variant's metrics on each protocol and, last, on the mean of the wild ones."""
    return {**protocols, WILD: {"domain": WILD, **wild_mean}}


def baselines(report: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the metrics in reports/baselines.json, under names that no variant can have."""
    return {
        BASELINES + name: {protocol: {"domain": "external", **metrics} for protocol, metrics in scored.items()}
        for name, scored in report.items()
    }


def of(scored: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> pd.DataFrame:
    """Return the table of metrics by variant and then by protocol, as `with_mean` returns them.

    Raises KeyError when an entry has no interval or no seeds, or a protocol no domain.
    """
    rows = [
        (variant, protocol, metric, *(entry[key] for key in ENDS), len(entry["per_seed"]), metrics["domain"])
        for variant, protocols in scored.items()
        for protocol, metrics in protocols.items()
        for metric, entry in metrics.items()
        if isinstance(entry, Mapping)  # null where it could not be measured
    ]
    return pd.DataFrame(rows, columns=[*KEYS, *ENDS, "seeds", "domain"]).set_index(KEYS)


def write(measured: pd.DataFrame) -> None:
    """Write the table of results with numbers of at most six significant digits."""
    with artifacts.output_file(FILE) as fresh:
        measured.to_csv(fresh, float_format="%.6g", lineterminator="\n")


def read() -> pd.DataFrame:
    """Return the table of results; raises ValueError when stage `report` has not written it."""
    return pd.read_csv(artifacts.existing(FILE), index_col=KEYS)


def level(measured: pd.DataFrame, key: str) -> list[str]:
    """Return all variants, protocols or metrics, in their order."""
    return [str(name) for name in measured.index.unique(key)]


def names(measured: pd.DataFrame, domain: str) -> list[str]:
    """Return the protocols of a domain, in the order in which they were evaluated."""
    domains = dict(zip(measured.index.get_level_values("protocol"), measured["domain"], strict=True))
    return [name for name, of in domains.items() if of == domain and name != WILD]  # WILD is their mean


def column(measured: pd.DataFrame, variants: Iterable[str], protocol: str, metric: str = "accuracy") -> pd.DataFrame:
    """Return the row of each variant in one metric on one protocol, NaN where it was not measured."""
    return measured.reindex([(v, protocol, metric) for v in variants]).droplevel(["protocol", "metric"])


def entry(measured: pd.DataFrame, variant: str, protocol: str, metric: str = "accuracy") -> dict[str, Any] | None:
    """Return {value, low, high, ...} of a variant in one metric on one protocol, None where it was not measured."""
    key = (variant, protocol, metric)
    return measured.loc[key].to_dict() if key in measured.index else None
