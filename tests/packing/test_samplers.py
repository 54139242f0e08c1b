"""Each sampler: what all of them promise, and what is particular to one."""

from dataclasses import replace
from typing import get_type_hints

import numpy as np
import pytest

from stages.common import sphere
from stages.packing import hyperface, load
from stages.packing.objective import objective
from stages.packing.start import start
from stages.settings.pack import Pack

METHODS = get_type_hints(Pack)["method"].__args__
CFG = Pack(
    method="hyperface", identities=40, alpha=0.5, separation="closest", iterations=200, learning_rate=0.02,
    max_cosine=0.5, crowded_cosine=0.5, seed=0,
)  # fmt: skip


def gallery(n: int, d: int = 24, spread: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Return native rows that crowd into some directions, as embeddings of faces do: unit rows and norms."""
    rng = np.random.default_rng(5)
    native = rng.standard_normal((n, d)) * np.exp(-np.arange(d) / 10) * 5 + spread
    return sphere.unit_rows(native), np.linalg.norm(native, axis=1).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_every_sampler_returns_unit_rows_the_same_each_time(method):
    x_ref, norms = gallery(120, d=32)  # a power of two, for `code`
    before = x_ref.copy()
    cfg = replace(CFG, method=method, iterations=5)
    x, lengths = load(method).sample(x_ref, norms, cfg)
    again, _ = load(method).sample(x_ref, norms, cfg)
    other, _ = load(method).sample(x_ref, norms, replace(cfg, seed=1))
    assert x.shape == (40, 32) and x.dtype == np.float32 and lengths.shape == (40,) and lengths.dtype == np.float32
    assert np.abs(np.linalg.norm(x, axis=1) - 1).max() < 1e-5
    assert np.array_equal(x, again) and not np.array_equal(x, other)
    assert norms.min() * 0.5 < lengths.min() and lengths.max() < norms.max() * 2
    assert np.array_equal(x_ref, before)


def test_gallery_rows_are_distinct_rows_with_their_own_norms():
    x_ref, norms = gallery(50)
    x, lengths = load("gallery").sample(x_ref, norms, CFG)
    row, cosine = sphere.nearest(x, x_ref)
    assert len(set(row)) == 40 and cosine.min() > 1 - 1e-5
    assert np.array_equal(lengths, norms[row])
    with pytest.raises(ValueError, match=r"pack.identities = 51.*50"):
        load("gallery").sample(x_ref, norms, replace(CFG, identities=51))


def test_gaussian_keeps_its_threshold_and_the_gallery_s_statistics():
    x_ref, norms = gallery(4000)
    x, lengths = load("gaussian").sample(x_ref, norms, replace(CFG, identities=60))
    assert sphere.nearest(x)[1].max() <= 0.5 + 1e-6
    x, lengths = load("gaussian").sample(x_ref, norms, replace(CFG, identities=4000, max_cosine=1.0))
    native, drawn = x_ref * norms[:, None], x * lengths[:, None]
    assert np.abs(drawn.mean(axis=0) - native.mean(axis=0)).max() < 0.5
    assert np.abs(np.cov(drawn.T) - np.cov(native.T)).max() < 2.5


def test_gaussian_fits_fewer_rows_than_dimensions():
    x_ref, norms = gallery(10)
    x, lengths = load("gaussian").sample(x_ref, norms, replace(CFG, identities=8, max_cosine=0.9))
    native = x_ref * norms[:, None]
    basis = np.linalg.svd(native - native.mean(axis=0), full_matrices=False)[2][:9]
    centred = x * lengths[:, None] - native.mean(axis=0)
    assert np.abs(centred - centred @ basis.T @ basis).max() < 1e-3


def test_gaussian_gives_up_in_one_line():
    x_ref, norms = gallery(120)
    with pytest.raises(ValueError, match=r"reached \d+ of pack.identities = 40 at pack.max_cosine = -0.5.*raise"):
        load("gaussian").sample(x_ref, norms, replace(CFG, max_cosine=-0.5))


def test_random_ignores_the_gallery_s_directions():
    x_ref, norms = gallery(120, spread=4)
    x, lengths = load("random").sample(x_ref, norms, replace(CFG, identities=3000))
    assert np.linalg.norm(x.mean(axis=0)) < 0.06 < 0.5 < np.linalg.norm(x_ref.mean(axis=0))
    assert (lengths == np.median(norms)).all()


@pytest.mark.parametrize("reading", ["closest", "mean"])
def test_gradient_equals_finite_differences(reading, monkeypatch):
    monkeypatch.setattr(sphere, "TILE", 5)
    rng = np.random.default_rng(0)
    x, direction = rng.standard_normal((2, 12, 4)) * 0.5
    beta, step = 7.0, 1e-5

    def surrogate(x: np.ndarray) -> float:
        cos = x @ x.T
        np.fill_diagonal(cos, -np.inf)
        rows = np.log(np.exp(beta * cos).sum(axis=1)) / beta
        return float(np.mean(rows) if reading == "mean" else np.log(np.exp(beta * rows).sum()) / beta)

    slope = (surrogate(x + step * direction) - surrogate(x - step * direction)) / (2 * step)
    _, gradient = hyperface.smooth_maximum(x, reading, beta)
    assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-4)


def test_six_rows_in_three_dimensions_become_an_octahedron():
    rng = np.random.default_rng(0)
    cfg = replace(CFG, identities=6, alpha=0.0, iterations=400)
    x = hyperface.optimise(sphere.unit_rows(rng.standard_normal((6, 3))), np.eye(3, dtype=np.float32), cfg)
    assert sphere.angle_deg(sphere.nearest(x)[1]).min() == pytest.approx(90, abs=0.5)


def closest_pair_loop(x: np.ndarray, x_ref: np.ndarray, cfg: Pack, rate: float) -> float:
    """Run the paper's loop, plain: Adam on the rows, gradient of the closest pair and of the gallery term."""
    first, second, best = np.zeros_like(x), np.zeros_like(x), np.inf
    for step in range(1, cfg.iterations + 1):
        cos = x @ x.T - 3 * np.eye(len(x), dtype=np.float32)
        i, j = np.unravel_index(cos.argmax(), cos.shape)
        gradient = -cfg.alpha / len(x) * x_ref[(x @ x_ref.T).argmax(axis=1)]
        gradient[i] += x[j]
        gradient[j] += x[i]
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        x = x - rate * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        x = sphere.unit_rows(x)
        best = min(best, objective(x, x_ref, cfg.alpha, "closest").value)
    return best


def test_hyperface_beats_its_start_and_the_closest_pair_loop():
    x_ref, norms = gallery(150)
    begun = start(x_ref, CFG.identities, CFG.seed)
    x, _ = load("hyperface").sample(x_ref, norms, CFG)
    found = objective(x, x_ref, CFG.alpha, "closest").value
    assert found < 0.6 * objective(begun, x_ref, CFG.alpha, "closest").value
    assert found < min(closest_pair_loop(begun, x_ref, CFG, rate) for rate in (0.001, 0.003, 0.01, 0.03))


@pytest.mark.parametrize("reading", ["closest", "mean"])
def test_alpha_trades_separation_for_the_gallery(reading):
    x_ref, norms = gallery(150)
    found = []
    for alpha in (0.0, 0.25, 0.5, 1.0):
        x, _ = load("hyperface").sample(x_ref, norms, replace(CFG, alpha=alpha, separation=reading))
        found.append(objective(x, x_ref, alpha, reading))
    assert (np.diff([one.separation for one in found]) > 0.01).all()
    assert (np.diff([one.gallery.mean() for one in found]) > 0.01).all()


def test_hyperface_never_ends_worse_than_it_started():
    x_ref, norms = gallery(150)
    cfg = replace(CFG, iterations=3, learning_rate=50.0)
    x, _ = load("hyperface").sample(x_ref, norms, cfg)
    begun = objective(start(x_ref, 40, 0), x_ref, 0.5, "closest").value
    assert objective(x, x_ref, 0.5, "closest").value <= begun


def test_hyperface_parts_rows_that_the_gallery_repeats():
    x_ref, norms = gallery(20)
    x, _ = load("hyperface").sample(np.concatenate([x_ref, x_ref]), np.concatenate([norms, norms]), CFG)
    assert sphere.nearest(x)[1].max() < 0.8
