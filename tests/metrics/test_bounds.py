"""The bounds at arrangements that attain them, against published figures, and under every packing."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common import sphere
from stages.metrics.bounds import capacity, lower_bound
from stages.pack import pack
from stages.settings.pack import Pack

CFG = Pack(
    method="hyperface", identities=24, alpha=0.0, separation="closest", start="selected", iterations=1, tolerance=0,
    max_cosine=0.5, crowded_cosine=0.5, seed=0,
)  # fmt: skip
# Sharp arrangements (Levenshtein 1992; Cohn and Kumar 2007, table 1): rows, dimensions, cosine
SHARP = [
    (12, 3, 1 / math.sqrt(5)), (16, 5, 1 / 5), (27, 6, 1 / 4), (56, 7, 1 / 3), (240, 8, 1 / 2), (112, 21, 1 / 9),
    (162, 21, 1 / 7), (100, 22, 1 / 11), (275, 22, 1 / 6), (891, 22, 1 / 4), (552, 23, 1 / 5), (4600, 23, 1 / 3),
    (196560, 24, 1 / 2),
]  # fmt: skip


@pytest.mark.parametrize(("m", "d", "cosine"), SHARP)
def test_sharp_arrangements_attain_levenshtein_s(m, d, cosine):
    assert lower_bound(m, d) == pytest.approx(cosine, abs=1e-12)
    assert lower_bound(m + 1, d) > cosine + 1e-7


def test_proven_optima_and_rankin_s():
    assert math.degrees(math.acos(lower_bound(24, 3))) == pytest.approx(43.6908, abs=1e-4)
    assert lower_bound(24, 4) == 0.5
    assert lower_bound(120, 4) == pytest.approx(math.cos(math.radians(36)))
    assert [lower_bound(m, 5) for m in (2, 3, 6, 7, 10)] == [-1, -1 / 2, -1 / 5, 0, 0]
    assert lower_bound(7, 2) == pytest.approx(math.cos(2 * math.pi / 7))


@pytest.mark.parametrize(("m", "d"), [(24, 3), (24, 4), (120, 4)])
def test_a_proven_optimum_holds_for_more_rows_too(m: int, d: int):
    assert lower_bound(m + 1, d) == lower_bound(m, d) > lower_bound(m - 1, d)


@pytest.mark.parametrize(
    ("m", "cosine"), [(2048, 0.0039), (5000, 0.0136), (10_000, 0.0238), (100_000, 0.0416), (1_000_000, 0.0530)]
)
def test_values_for_512_dimensions(m, cosine):
    assert lower_bound(m, 512) == pytest.approx(cosine, abs=5e-5)


def test_large_m_on_the_sphere_approaches_the_hexagonal_lattice():
    # Fejes Toth's triangles: m spherical caps of half the angle have the density pi / sqrt(12) of the plane's circles
    m = 10**7
    angle = 2 * math.sqrt(4 / m * math.pi / math.sqrt(12))
    assert 1 - lower_bound(m, 3) == pytest.approx(angle**2 / 2, rel=1e-6)


@given(st.integers(2, 1024), st.integers(2, 10**7))
@settings(deadline=None, max_examples=60)
def test_rises_with_m_and_falls_with_d(d, m):
    assert -1 <= lower_bound(m, d) <= lower_bound(m + 1, d) + 1e-13
    assert lower_bound(m, d + 1) <= lower_bound(m, d) + 1e-13
    assert lower_bound(2 * m, d) < 1


@given(
    st.sampled_from(["hyperface", "code", "gaussian", "gallery", "random"]),
    st.sampled_from([8, 16, 32]),
    st.integers(2, 60),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 2**20),
)
@settings(deadline=None, max_examples=40)
def test_no_packing_is_below(method, d, m, alpha, seed):
    x_ref = sphere.unit_rows(np.random.default_rng(seed).standard_normal((60, d)))
    cfg = replace(CFG, method=method, identities=m, alpha=alpha, iterations=40, max_cosine=1.0, seed=seed)
    closest = sphere.nearest(pack(x_ref, cfg))[1].max()
    assert closest >= lower_bound(m, d) - 1e-6


def test_refuses_one_row_or_one_dimension():
    for m, d in ((1, 3), (5, 1)):
        with pytest.raises(ValueError, match=f"m = {m} rows in d = {d}"):
            lower_bound(m, d)


def test_capacity_at_angles_whose_codes_are_known():
    assert capacity(0.0, 0.0, 512) == pytest.approx((math.log10(1024),) * 2)  # orthoplex
    assert capacity(-1 / 3, 0.0, 3) == pytest.approx((math.log10(4),) * 2)  # tetrahedron
    assert capacity(-0.2, 0.0, 3) == pytest.approx((math.log10(4),) * 2)
    assert capacity(0.5, 0.0, 2) == pytest.approx((math.log10(6),) * 2)  # hexagon
    assert capacity(0.5, 30.0, 2) == pytest.approx((math.log10(3),) * 2)  # 120 degrees apart
    assert capacity(-0.9, 70.0, 64) == (0.0, 0.0)  # no two caps fit
    assert capacity(0.5, 0.0, 8)[1] == pytest.approx(math.log10(240))
    assert capacity(0.5, 0.0, 24)[1] == pytest.approx(math.log10(196560))


def test_capacity_inverts_the_bound():
    for m, d in ((3000, 512), (10**6, 128), (50_000, 1024), (999, 8)):
        assert capacity(lower_bound(m, d), 0.0, d)[1] == pytest.approx(math.log10(m), abs=1e-9)


def test_guaranteed_capacity_is_the_cap_s_share_and_below_the_bound():
    # In 3 dimensions a cap's share is (1 - cos) / 2
    assert capacity(0.9, 0.0, 3)[0] == pytest.approx(-math.log10(0.05))
    for d in (3, 8, 128, 1024):
        for tau in (0.05, 0.3, 0.7, 0.95):
            fewest, most = capacity(tau, 1.0, d)
            assert math.log10(2 * d) <= fewest <= most < math.inf


def test_capacity_refuses_identities_that_do_not_match_themselves():
    with pytest.raises(ValueError, match=r"rho_deg = 31.*30"):
        capacity(0.5, 31.0, 128)
    with pytest.raises(ValueError, match=r"tau = 1"):
        capacity(1.0, 0.0, 128)
