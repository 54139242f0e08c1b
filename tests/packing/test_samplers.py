"""Each sampler: what all of them promise, and what is particular to one."""

from dataclasses import replace
from typing import get_type_hints

import numpy as np
import pytest
from tiny import ROOT

from stages.common import params, sphere
from stages.common.errors import InputError
from stages.packing import load
from stages.settings.pack import Pack

METHODS = get_type_hints(Pack)["method"].__args__
CFG = Pack(
    method="hyperface", identities=40, alpha=0.5, separation="closest", start="selected", iterations=200,
    tolerance=1e-4, max_cosine=0.5, crowded_cosine=0.5, seed=0,
)  # fmt: skip


def gallery(n: int, d: int = 24, spread: float = 0.3, rate: float = 10) -> tuple[np.ndarray, np.ndarray]:
    """Return native rows that crowd into some directions, as embeddings of faces do: unit rows and norms."""
    rng = np.random.default_rng(5)
    native = rng.standard_normal((n, d)) * np.exp(-np.arange(d) / rate) * 5 + spread
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


@pytest.mark.parametrize("method", METHODS)
def test_every_sampler_works_at_the_defaults(method):
    """A gallery that crowds as the default one does, its spectrum and its mean alike; .4 held 165 Gaussian rows."""
    x_ref, norms = gallery(1500, d=128, rate=40, spread=1.1)
    cfg = replace(params.load("pack", Pack, ROOT / "params.yaml"), method=method, iterations=2)
    x, _ = load(method).sample(x_ref, norms, cfg)
    assert len(x) == cfg.identities == 420


def test_gallery_rows_are_distinct_rows_with_their_own_norms():
    x_ref, norms = gallery(50)
    x, lengths = load("gallery").sample(x_ref, norms, CFG)
    row, cosine = sphere.nearest(x, x_ref)
    assert len(set(row)) == 40 and cosine.min() > 1 - 1e-5
    assert np.array_equal(lengths, norms[row])
    with pytest.raises(InputError, match="at most 50, the size of the gallery") as error:
        load("gallery").sample(x_ref, norms, replace(CFG, identities=51))
    assert (error.value.key, error.value.value) == ("pack.identities", 51)


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
    with pytest.raises(InputError, match=r"pack.identities = 40 gave only \d+; allowed: more, or fewer") as error:
        load("gaussian").sample(x_ref, norms, replace(CFG, max_cosine=-0.5))
    assert (error.value.key, error.value.value) == ("pack.max_cosine", -0.5)


def test_random_ignores_the_gallery_s_directions():
    x_ref, norms = gallery(120, spread=4)
    x, lengths = load("random").sample(x_ref, norms, replace(CFG, identities=3000))
    assert np.linalg.norm(x.mean(axis=0)) < 0.06 < 0.5 < np.linalg.norm(x_ref.mean(axis=0))
    assert (lengths == np.median(norms)).all()
