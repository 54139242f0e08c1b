"""The solver: against its start and the published loop, from hard starts, at its limits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from packing.instances import gallery
from packing.test_reference import nothing

from stages import pack
from stages.common import sphere
from stages.packing import hyperface, reference, select
from stages.packing.objective import objective
from stages.packing.solver import State
from stages.packing.start import start
from stages.settings.pack import Pack

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
    begun, ref = torch.from_numpy(start(x_ref, 150, 0)), torch.from_numpy(x_ref)
    ends = [
        value(reference.reference(begun, ref, 0.5, reading, iterations, rate, nothing).numpy(), x_ref, cfg)
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
    copies = np.concatenate([x_ref, *(sphere.unit_rows(x_ref + one) for one in noise)])
    row = select.select(copies, 40, seed=0)
    assert len(set(row)) == len(set(row % 300)) == 40
    assert set(select.select(x_ref, 300, seed=0)) == set(range(300))


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


def test_more_identities_than_the_gallery_has_rows():
    x_ref = gallery(60)
    x = pack.pack(x_ref, replace(CFG, identities=100))
    assert x.shape == (100, 24) and value(x, x_ref) < 0.8 * value(start(x_ref, 100, 0), x_ref)


@pytest.mark.parametrize("reading", READINGS)
def test_alpha_trades_separation_for_the_gallery(reading: str):
    x_ref = gallery(600)
    found = []
    for alpha in (0.0, 0.25, 0.5, 1.0):
        x = pack.pack(x_ref, replace(CFG, alpha=alpha, separation=reading, start="selected"))
        found.append(objective(x, x_ref, alpha, reading))
    assert (np.diff([one.separation for one in found]) > 0.005).all()
    assert (np.diff([one.gallery_term for one in found]) < -0.01).all()


def test_stops_once_a_window_gains_less_than_the_tolerance():
    x_ref = gallery(400, d=128)
    steps = []
    for tolerance in (1.0, 1e-3, 0.0):
        cfg = replace(CFG, tolerance=tolerance, iterations=600)
        solver = hyperface.Solver(torch.from_numpy(x_ref), torch.arange(150), cfg)
        state = solver.begin(torch.from_numpy(x_ref[:150]))
        solver.run(state, lambda state: None)
        steps.append(state.step)
    assert solver.anneal < steps[0] <= solver.anneal + 25
    assert steps[0] <= steps[1] < steps[2] <= 600


def solver_of(x: np.ndarray, **changed: Any) -> tuple[hyperface.Solver, State]:
    """Return a solver of rows that no gallery holds, at those rows."""
    rows = torch.from_numpy(x.astype(np.float32))
    solver = hyperface.Solver(rows, torch.arange(len(x)), replace(CFG, alpha=0.0, **changed))
    return solver, solver.begin(rows)


@pytest.mark.parametrize("m", [2, 3])
def test_first_step_by_hand(m: int):
    """Rows at one mutual cosine, overlapping by 0.1, move by the step in units of 1 / their curvature.

    Two lie in one direction of each other, so that their curvature is twice that of a pair seen from one side; three
    in three dimensions are crowded.
    """
    cos, d = 0.1, 64 if m == 2 else 3
    x = np.linalg.cholesky(np.full((m, m), cos) + (1 - cos) * np.eye(m))  # rows at that cosine
    x = np.pad(x, ((0, 0), (0, d - m)))
    contacts = 4 / 3 * (m - 1)
    curvature = max((1 + np.sqrt(contacts / d)) ** 2, 2 * (1 + (m - 2) * cos))
    pull = x.sum(0) - x
    expected = sphere.unit_rows(x - 0.7 / curvature * 0.1 * (pull - (pull * x).sum(1, keepdims=True) * x))
    solver, state = solver_of(x)
    state.threshold = 0.0
    solver.advance(state)
    assert np.allclose(state.x.numpy(), expected, atol=1e-4)


def test_the_best_iterate_is_returned_and_not_the_last():
    simplex = np.linalg.cholesky(np.eye(5) - (np.ones((5, 5)) - np.eye(5)) / 4 + 1e-9 * np.eye(5))
    solver, state = solver_of(simplex, iterations=1)
    state.x[1] = state.x[0]  # two rows have met since
    found = solver.run(state, lambda state: None).numpy()
    assert sphere.nearest(found)[1].max() == pytest.approx(-1 / 4, abs=1e-4)


def test_the_slope_rises_to_its_depth_and_then_sharpens():
    alpha = 0.5
    solver, state = solver_of(gallery(40, d=512), identities=40, iterations=400)
    solver.cfg = replace(solver.cfg, alpha=alpha)
    state.contacts = 4.0
    slopes = []
    for state.step in range(400):
        slopes.append(solver.slope(state))
    rise, last = np.log(slopes[: solver.anneal]), 2 / (4 * 3e-5)
    assert slopes[0] == pytest.approx(alpha) and slopes[solver.anneal - 1] == pytest.approx(last)
    assert np.diff(rise) == pytest.approx(np.full(len(rise) - 1, np.diff(rise).mean()))
    assert slopes[solver.anneal + 10] == pytest.approx(1.03**10 * last)
    assert slopes[-1] == pytest.approx(3 * last) and (np.diff(slopes) >= 0).all()


def test_both_precisions_end_alike(monkeypatch: pytest.MonkeyPatch):
    x_ref, found = gallery(400, d=64), []
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr("stages.packing.products.fast_dtype", lambda m, dtype=dtype: dtype)
        found.append(value(pack.pack(x_ref, CFG), x_ref))
    assert found[0] == pytest.approx(found[1], abs=5e-4)
