"""The code: its maximum cosine to the last bit, whole and in parts, and where it ends."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import hadamard

from stages.common import sphere
from stages.packing import code
from stages.settings.pack import Pack

CFG = Pack(
    method="code", identities=24, alpha=0.0, separation="closest", start="selected", iterations=1, tolerance=0,
    max_cosine=0.5, crowded_cosine=0.5, seed=0,
)  # fmt: skip


def closest(x: np.ndarray) -> float:
    return float(sphere.nearest(x)[1].max())


@pytest.mark.parametrize(
    ("d", "rows", "cosine"), [(8, 144, 1 / 2), (16, 544, 1 / 2), (32, 2112, 1 / 4), (64, 8320, 1 / 4)]
)
def test_whole_code(d, rows, cosine):
    x = code.rows(rows, d, seed=3)
    assert code.size(d) == rows and code.max_cosine(rows, d) == cosine
    assert closest(x) == pytest.approx(cosine, abs=1e-6)
    assert np.abs(np.linalg.norm(x, axis=1) - 1).max() < 1e-6


@pytest.mark.parametrize(("m", "cosine"), [(600, 0), (1024, 0), (1025, 512**-0.5), (2048, 512**-0.5), (5000, 1 / 16)])
def test_first_rows_in_512_dimensions(m, cosine):
    assert code.max_cosine(m, 512) == cosine
    assert closest(code.rows(m, 512, seed=0)) == pytest.approx(cosine, abs=1e-6)


@pytest.mark.parametrize(("d", "largest"), [(128, 16), (256, 32), (512, 32), (1024, 64)])
def test_walsh_spectrum_of_every_coset(d, largest):
    # the code is linear: the inner products of two cosets, times d, are the sums of all linear forms times one cubic
    forms = hadamard(d)
    spectrum = np.abs(forms @ forms[1:, code._cubes(d)].T.astype(float))  # (a, b), all b but 0
    assert (spectrum.max(axis=0) <= largest).all() and spectrum.max() == largest
    assert code.max_cosine(code.size(d), d) == largest / d


def test_every_field_has_inverses():
    # a reducible polynomial of degree r has a factor, and so a zero divisor, of degree r / 2 at most
    for r in code.FIELDS:
        x = np.arange(1, 2**r)
        for y in range(1, 2 ** (r // 2 + 1)):
            assert code._product(x, np.full_like(x, y), 2**r).all()


def test_refuses_other_sizes_and_more_rows():
    for d in (4, 24, 8192):
        with pytest.raises(ValueError, match=f"size {d}; allowed: powers of two from 8 to 4096"):
            code.sample(np.eye(d, dtype=np.float32)[:3], np.ones(3), CFG)
    with pytest.raises(ValueError, match=r"pack.identities = 145.*at most 144"):
        code.sample(np.eye(8, dtype=np.float32), np.ones(8), replace(CFG, identities=145))
