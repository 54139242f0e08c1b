"""The solver: against its start and the published loop, from hard starts, at its limits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from packing.instances import clustered, gallery
from packing.test_reference import nothing

from stages import pack
from stages.common import sphere
from stages.packing import distant_start, hyperface, reference
from stages.packing.objective import objective
from stages.packing.random_start import start
from stages.packing.solver import State
from stages.settings.pack import Pack
from stages.tools.packing_cells import Drawn

CFG = Pack(
    method="hyperface", identities=150, alpha=0.5, separation="closest", start="random", iterations=300,
    tolerance=1e-4, max_cosine=0.5, crowded_cosine=0.5, seed=0,
)  # fmt: skip
READINGS = ["closest", "mean"]


def value(x: np.ndarray, x_ref: np.ndarray, cfg: Pack = CFG) -> float:
    return objective(x, x_ref, cfg.alpha, cfg.separation).value


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("iterations", [1, 3, 30])
def test_never_ends_worse_than_it_started(reading: str, iterations: int):
    x_ref = gallery(400)
    cfg = replace(CFG, separation=reading, iterations=iterations)
    assert value(pack.pack(x_ref, cfg), x_ref, cfg) <= value(start(x_ref, 150, 0), x_ref, cfg) + 1e-6


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("iterations", [50, 100])
def test_beats_the_published_loop_at_equal_budget(reading: str, iterations: int):
    x_ref = gallery(600, d=64)
    cfg = replace(CFG, separation=reading, iterations=iterations)
    x_start, ref = torch.from_numpy(start(x_ref, 150, 0)), torch.from_numpy(x_ref)
    ends = [
        value(reference.reference(x_start, ref, 0.5, reading, iterations, rate, nothing).numpy(), x_ref, cfg)
        for rate in (0.003, 0.01, 0.03)
    ]
    assert value(pack.pack(x_ref, cfg), x_ref, cfg) < min(ends)


def test_a_selected_start_is_better_than_a_random_one():
    x_ref = gallery(600)
    ends = [value(pack.pack(x_ref, replace(CFG, start=how)), x_ref) for how in ("selected", "random")]
    assert ends[0] < ends[1]


def test_selection_leaves_near_duplicates_for_last():
    x_ref = gallery(300)
    noise = np.random.default_rng(0).standard_normal((3, *x_ref.shape)) * 1e-3
    copies = np.concatenate([x_ref, *(sphere.unit_rows(x_ref + offset) for offset in noise)])
    row = distant_start.select(copies, 40, seed=0)
    assert len(set(row)) == len(set(row % 300)) == 40
    assert set(distant_start.select(x_ref, 300, seed=0)) == set(range(300))


@pytest.mark.parametrize("spread", [0.0, 1e-6, 1e-3, 0.05])
@pytest.mark.parametrize("how", ["selected", "random"])
def test_rows_that_the_gallery_repeats_come_apart(spread: float, how: str):
    x_ref = gallery(75)
    noise = np.random.default_rng(0).standard_normal(x_ref.shape)
    doubled = np.concatenate([x_ref, sphere.unit_rows(x_ref + spread * noise)])
    x = pack.pack(doubled, replace(CFG, start=how))
    assert np.isfinite(x).all() and np.abs(np.linalg.norm(x, axis=1) - 1).max() < 1e-5
    assert sphere.nearest(x)[1].max() < 0.75 < 0.98 < sphere.nearest(doubled)[1].max()


def test_stable_where_all_start_in_few_clusters():
    rng = np.random.default_rng(0)
    x_ref = sphere.unit_rows(
        np.repeat(rng.standard_normal((5, 64)), 80, axis=0) + 0.15 * rng.standard_normal((400, 64))
    )
    x = pack.pack(x_ref, replace(CFG, identities=200))
    assert value(x, x_ref) < 0.75 * value(start(x_ref, 200, 0), x_ref)


# Few tight clusters whose rows are shared: J of a long run as below, and how far above it the default may end
TIGHT = {
    "one cluster": (Drawn(150, 128, 0.75, 1, "falling", 0.1, seed=903), 0.5, 0.30004, 0.018),
    "few directions": (Drawn(240, 128, 0.75, 5, "steep", 0.0, seed=906), 1.0, 0.39735, 0.004),
    "five clusters": (Drawn(150, 128, 0.75, 5, "falling", 0.0, seed=900), 2.0, 0.74420, 0.004),
}


@pytest.mark.parametrize("kind", TIGHT)
def test_stable_where_rows_share_tight_clusters(kind: str):
    drawn, alpha, reference_value, margin = TIGHT[kind]
    x_ref, cfg = drawn.rows(), replace(CFG, identities=300, alpha=alpha, tolerance=2e-4, iterations=600)
    assert value(pack.pack(x_ref, cfg), x_ref, cfg) < reference_value * (1 + margin)


def test_more_identities_than_the_gallery_has_rows():
    x_ref = gallery(60)
    x = pack.pack(x_ref, replace(CFG, identities=100))
    assert x.shape == (100, 24) and value(x, x_ref) < 0.8 * value(start(x_ref, 100, 0), x_ref)


@pytest.mark.parametrize("reading", READINGS)
def test_alpha_trades_separation_for_the_gallery(reading: str):
    x_ref = gallery(600)
    ends = []
    for alpha in (0.0, 0.25, 0.5, 1.0):
        x = pack.pack(x_ref, replace(CFG, alpha=alpha, separation=reading, start="selected"))
        ends.append(objective(x, x_ref, alpha, reading))
    assert (np.diff([end.separation for end in ends]) > 0.005).all()
    assert (np.diff([end.gallery_term for end in ends]) < -0.01).all()


# J of 300 rows, `closest`, from random rows, by `iterations=6000, tolerance=0`; how far above it the default may end
LONG = {
    ("falling", 0.25): (0.18154, 0.0015), ("falling", 1.0): (0.36371, 0.0050),
    ("clustered", 0.25): (0.11277, 0.0050), ("clustered", 1.0): (0.24143, 0.0025),
}  # fmt: skip


def of_300(kind: str, alpha: float, **changed: Any) -> tuple[np.ndarray, Pack]:
    """Return a gallery (1200, d) for 300 rows and the settings."""
    x_ref = gallery(1200, d=64) if kind == "falling" else clustered(1200, d=128)
    return x_ref, replace(CFG, **{"identities": 300, "alpha": alpha, "tolerance": 2e-4, "iterations": 600} | changed)


@pytest.mark.parametrize(("kind", "alpha"), LONG)
def test_ends_where_a_long_run_ends(kind: str, alpha: float):
    x_ref, cfg = of_300(kind, alpha)
    reference_value, margin = LONG[kind, alpha]
    assert value(pack.pack(x_ref, cfg), x_ref, cfg) < reference_value * (1 + margin)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(("kind", "alpha"), LONG)
def test_bfloat16_products_end_there_too(kind: str, alpha: float, split: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stages.packing.operands.products_dtype", lambda m: torch.bfloat16)
    monkeypatch.setattr("stages.packing.operands.splits", lambda: split)
    x_ref, cfg = of_300(kind, alpha)
    reference_value, margin = LONG[kind, alpha]
    assert value(pack.pack(x_ref, cfg), x_ref, cfg) < reference_value * (1 + margin)


@pytest.mark.parametrize(("kind", "alpha", "reached"), [("falling", 0.25, 0.205), ("clustered", 0.25, 0.122)])
def test_few_iterations_end_well(kind: str, alpha: float, reached: float):
    x_ref, cfg = of_300(kind, alpha)
    assert value(pack.pack(x_ref, replace(cfg, iterations=60)), x_ref, cfg) < reached


@pytest.mark.parametrize("reading", READINGS)
def test_ends_below_the_published_loop_from_the_same_rows(reading: str):
    x_ref, cfg = of_300("clustered", 0.5, separation=reading)
    x_start, ref = torch.from_numpy(start(x_ref, 300, 0)), torch.from_numpy(x_ref)
    ends = [
        value(reference.twin(x_start, ref, 0.5, "mean", 1000, rate, nothing).numpy(), x_ref, cfg)
        for rate in (0.003, 0.01, 0.03)
    ]
    assert value(pack.pack(x_ref, cfg), x_ref, cfg) < 0.96 * min(ends)


def course_of(x_ref: np.ndarray, cfg: Pack) -> tuple[State, list[float]]:
    """Return the state of a solver that has run from random rows, and the lag that it allowed in each iteration."""
    x, row = hyperface.start(x_ref, cfg)
    solver = hyperface.Solver(torch.from_numpy(x_ref), torch.from_numpy(row), cfg)
    state, lags = solver.begin(torch.from_numpy(x)), []
    solver.run(state, lambda state: lags.append(state.lag))
    return state, lags


def test_a_smaller_tolerance_buys_rounds_of_less_lag_and_a_lower_j():
    x_ref, cfg = of_300("falling", 1.0)
    states = [course_of(x_ref, replace(cfg, tolerance=tolerance)) for tolerance in (2e-3, 2e-4, 1e-5)]
    assert [sorted(set(lags), reverse=True) for _, lags in states] == [[0.05], [0.05], [0.05, 0.025, 0.0125, 0.00625]]
    ends, steps = [state.best_value for state, _ in states], [state.step for state, _ in states]
    assert ends[0] > ends[1] > ends[2] + 5e-4 and steps[0] < steps[1] < steps[2]


def test_the_slope_waits_for_rows_that_lag_and_obeys_the_cap():
    solver, state = solver_of(gallery(40, d=512), alpha=0.5, iterations=400)
    state.contacts, state.slope = 4.0, 10.0
    left = np.log(2 / (4 * 10 * 2e-5))
    assert solver.rise(state, 0.0) == pytest.approx(np.exp(0.25))
    assert solver.rise(state, 0.025) == pytest.approx(np.exp(0.125))
    assert solver.rise(state, 5.0) == pytest.approx(np.exp(max(0.01, left / 390)))
    state.contacts = 40.0  # overlaps are small: it may go ahead
    assert solver.rise(state, 0.1) == pytest.approx(np.exp(0.125))
    assert solver.rise(state, 5.0) == pytest.approx(np.exp(0.04))
    state.contacts, state.step = 4.0, 290
    assert solver.rise(state, 5.0) == pytest.approx(np.exp(left / 100))
    state.step = 395
    assert solver.rise(state, 5.0) == pytest.approx(np.exp(0.08))
    state.slope = 2 / (4 * 2e-5)
    assert solver.rise(state, 0.0) == pytest.approx(1)


def test_without_a_gallery_the_slope_rises_by_the_clock():
    solver, state = solver_of(gallery(40, d=64), iterations=400)
    slopes = [solver.first]
    for state.step in range(310):
        slopes.append(slopes[-1] * solver.clocked(state))
    last = 2 / (1.5 * 64 * 2e-5)
    assert slopes[300] == slopes[-1] == pytest.approx(last)
    assert np.log(slopes[150] / slopes[0]) == pytest.approx(np.log(last / slopes[0]) / 2**2.5)


def test_rows_are_held_to_the_gallery_row_that_they_come_nearest_to():
    x_ref, cfg = gallery(1200, d=16), replace(CFG, identities=300, alpha=0.05, iterations=26)
    x, row = hyperface.start(x_ref, cfg)
    solver = hyperface.Solver(torch.from_numpy(x_ref), torch.from_numpy(row), cfg)
    state = solver.begin(torch.from_numpy(x))
    course = []
    solver.run(state, lambda state: course.append((state.row, state.x.clone())))
    assert torch.equal(course[24][0], course[0][0]) and not torch.equal(course[25][0], course[0][0])
    x, row = course[24][1].numpy(), course[25][0].numpy()
    assert np.allclose((x * x_ref[row]).sum(1), sphere.nearest(x, x_ref)[1], atol=5e-3)  # found in bfloat16


def test_crowded_rows_go_where_they_disturb_least():
    x_ref = clustered(600, d=64)
    crowded = np.concatenate([np.flatnonzero(x_ref @ x_ref[0] > 0.3), np.arange(600)])[:120]
    ref = torch.from_numpy(x_ref)
    moved = distant_start.exchange(ref, ref[torch.from_numpy(crowded)], torch.from_numpy(crowded)).numpy()
    assert len(set(moved)) == 120 and energy(x_ref[moved]) < 0.7 * energy(x_ref[crowded])
    assert energy(x_ref[moved]) < 1.02 * energy(x_ref[distant_start.select(x_ref, 120, 0)])
    shared = np.arange(30).repeat(4)
    uses = np.bincount(
        distant_start.exchange(ref[:60], ref[torch.from_numpy(shared)], torch.from_numpy(shared)).numpy()
    )
    assert uses.max() < 4 and (uses > 0).sum() >= 58


def test_rows_that_nobody_crowds_are_exchanged_no_more(monkeypatch: pytest.MonkeyPatch):
    """Rounding made their energy negative here, and then every exchange looked like a gain, without end."""
    picks, pick = [], distant_start._pick
    monkeypatch.setattr(distant_start, "_pick", lambda *how: (picks.append(how), pick(*how))[1])
    monkeypatch.setattr(distant_start, "_self_disturbance", lambda rows, floor: torch.full((len(rows),), 1.0))
    ref = torch.eye(8).repeat(8, 1)
    row = torch.arange(5)
    distant_start.exchange(ref, ref[row], row)
    assert not picks


def energy(x: np.ndarray) -> float:
    """Return the sum of max(cos - 0.1, 0)^2 over pairs of rows (m, d)."""
    return float((np.triu(x @ x.T - 0.1, 1).clip(0) ** 2).sum())


def solver_of(x: np.ndarray, **changed: Any) -> tuple[hyperface.Solver, State]:
    """Return a solver of rows that no gallery holds, unless alpha says so, at those rows."""
    rows = torch.from_numpy(x.astype(np.float32))
    solver = hyperface.Solver(rows, torch.arange(len(x)), replace(CFG, **{"alpha": 0.0, "tolerance": 2e-4} | changed))
    return solver, solver.begin(rows)


@pytest.mark.parametrize("m", [2, 3])
def test_first_step_by_hand(m: int):
    """Rows at one mutual cosine, overlapping by 0.05, move by the step in units of 1 / their curvature.

    Two lie in one direction of each other, so that their curvature is twice that of a pair seen from one side; three
    in three dimensions are crowded.
    """
    cos, d = 0.05, 64 if m == 2 else 3
    x = np.linalg.cholesky(np.full((m, m), cos) + (1 - cos) * np.eye(m))  # rows at that cosine
    x = np.pad(x, ((0, 0), (0, d - m)))
    contacts = 4 / 3 * (m - 1)
    curvature = max((1 + np.sqrt(contacts / d)) ** 2, 2 * (1 + (m - 2) * cos))
    pull = x.sum(0) - x
    expected = sphere.unit_rows(x - 1.2 / curvature * 0.05 * (pull - (pull * x).sum(1, keepdims=True) * x))
    solver, state = solver_of(x)
    state.threshold = 0.0
    solver.advance(state)
    assert np.allclose(state.x.numpy(), expected, atol=1e-4)


def test_the_best_iterate_is_returned_and_not_the_last():
    simplex = np.linalg.cholesky(np.eye(5) - (np.ones((5, 5)) - np.eye(5)) / 4 + 1e-9 * np.eye(5))
    solver, state = solver_of(simplex, iterations=1)
    state.x[1] = state.x[0]  # two rows have met since
    x_end = solver.run(state, lambda state: None).numpy()
    assert sphere.nearest(x_end)[1].max() == pytest.approx(-1 / 4, abs=1e-4)
