"""Curves, and the smallest difference that shows, on scores whose answer is known."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from reporting import project
from tiny import working_in

from stages.common import params
from stages.common.evaluate import Evaluate
from stages.common.variants import Variants
from stages.metrics import bootstrap, verdicts
from stages.metrics.bootstrap import Estimate
from stages.reporting import results, scores
from stages.reporting.results import WILD, Variant
from stages.reporting.scores import FAR_GRID

Trained = tuple[Path, list[Variant], Evaluate]


def curve(tmp_path: Path, *scored: np.ndarray) -> np.ndarray:
    files = []
    for i, score in enumerate(scored):
        n = len(score)
        columns = {
            "same": np.arange(n) < n // 2,
            "fold": np.zeros(n),
            "identity_a": np.zeros(n),
            "identity_b": np.ones(n),
        }
        files.append(tmp_path / f"{i}.arrow")
        project.write_arrow(files[-1], pa.table({**columns, "seed_0": score}))
    return scores.mean_roc(files)


def test_roc_of_perfect_scores_is_one_and_a_mean_is_taken_at_equal_far(tmp_path: Path):
    perfect, useless = np.repeat([1.0, 0.0], 2000), np.tile(np.arange(2000.0), 2)
    assert curve(tmp_path, perfect) == pytest.approx(np.ones(len(FAR_GRID)))
    assert curve(tmp_path, useless) == pytest.approx(FAR_GRID, abs=1 / 2000)
    assert curve(tmp_path, perfect, useless) == pytest.approx((1 + FAR_GRID) / 2, abs=1 / 2000)


def test_roc_counts_the_threshold_that_keeps_to_the_rate(tmp_path: Path):
    impostors = np.arange(1000.0)
    genuine = np.full(1000, 989.5)  # ten impostors, a rate of exactly 0.01, score above
    tar = curve(tmp_path, np.concatenate([genuine, impostors]))
    assert tar[FAR_GRID < 0.0099].max() == 0
    assert tar[FAR_GRID > 0.0099].min() == 1


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a project of three training sets with three seeds each, and its settings."""
    folder = tmp_path_factory.mktemp("project")
    names = ("base", "augmented", "wild")
    project.write_project(folder, seeds=range(3), replicates=100, variants={n: project.VARIANTS[n] for n in names})
    with working_in(folder):
        variants = [results.load(name, params.load(f"variants.{name}", Variants)) for name in names]
        return folder, variants, params.load("evaluate", Evaluate)


def median(estimates: Sequence[Estimate], metric: str) -> float:
    differences = [bootstrap.paired_difference(a, b, metric, 0.95) for a, b in combinations(estimates, 2)]
    return float(np.median([verdicts.smallest(d.error, d.df, 0.05) for d in differences]))


def test_what_would_show_is_the_median_over_all_twos(trained: Trained):
    folder, variants, cfg = trained
    with working_in(folder):
        shows = scores.smallest(variants, cfg.confidence)
        lfw = [scores.read(Path(f"data/evaluate/{v.name}/lfw.arrow")) for v in variants]
    verified = [bootstrap.estimate(*scored, cfg.rates.fars, cfg.replicates, cfg.seed) for scored in lfw]
    assert shows["lfw", "auc"] == pytest.approx(median(verified, "auc"), rel=1e-4)
    assert shows[WILD, "accuracy"] == pytest.approx(median([v.accuracy(WILD) for v in variants], "accuracy"))
    metrics = {"accuracy", "auc", "d_prime", "eer", "fdr", *(f"tar_at_far_{far:g}" for far in cfg.rates.fars)}
    assert {metric for protocol, metric in shows if protocol == "lfw"} <= metrics
    assert {metric for protocol, metric in shows if protocol == WILD} >= metrics - {"tar_at_far_0.001"}


def test_where_nothing_varies_it_is_unknown_what_would_show(trained: Trained):
    _, (base, wild, _), cfg = trained
    perfect = Estimate(("rank_1",), np.ones((3, 1)), np.ones((100, 1)))
    faultless = [replace(v, estimates={**v.estimates, "ijb-1n": perfect}) for v in (base, wild)]
    shows = scores.smallest(faultless, cfg.confidence)
    assert shows and ("ijb-1n", "rank_1") not in shows


def test_two_seeds_give_no_verdict_and_show_no_difference(trained: Trained):
    _, variants, cfg = trained
    few = [
        replace(v, estimates={name: replace(e, per_seed=e.per_seed[:2]) for name, e in v.estimates.items()})
        for v in variants
    ]
    assert scores.smallest(variants, cfg.confidence) and scores.smallest(few, cfg.confidence) == {}


def test_one_training_set_alone_shows_no_difference(trained: Trained):
    folder, variants, cfg = trained
    with working_in(folder):
        assert scores.smallest(variants[:1], cfg.confidence) == {}
