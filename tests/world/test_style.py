"""Styles: one generator per seed, spread scales everything, bad input."""

import math

import numpy as np
import pytest
import torch

from stages.common.errors import InputError
from stages.world import style


def test_a_row_depends_on_its_seed_alone() -> None:
    """Neither batch nor order changes a row."""
    many = style.sample(np.arange(6), "wild", 0.7)
    assert torch.equal(style.sample(np.array([4, 1]), "wild", 0.7), many[[4, 1]])
    assert not torch.equal(many[0], many[1])


def test_spread_scales_down_to_neutral() -> None:
    """Spread 0 is exactly neutral; a small spread is proportional."""
    seeds = np.arange(50)
    assert torch.equal(style.sample(seeds, "wild", 0.0), style.neutral(50))
    a, b = style.sample(seeds, "studio", 0.1), style.sample(seeds, "studio", 0.2)
    torch.testing.assert_close(2 * a, b)


def test_yaw_of_the_wild_domain_is_wide_but_limited() -> None:
    """At spread .7 yaw has an sd of 25 to 30 deg and stays within 75."""
    yaw = style.sample(np.arange(2000), "wild", 0.7)[:, style.column("yaw_deg")]
    assert 25 < yaw.std() < 30
    assert style.sample(np.arange(2000), "wild", 2.0)[:, 0].abs().max() == 75


def test_groups_cover_every_column_once() -> None:
    """The groups partition the columns and hold the promised names."""
    assert sorted(i for columns in style.GROUPS.values() for i in columns) == list(range(style.STYLE_DIM))
    assert set(style.GROUPS) >= {"pose", "expression", "illumination", "background", "age", "hair",
                                 "glasses", "beard", "camera"}  # fmt: skip
    assert style.GROUPS["pose"] == [style.column(f"{n}_deg") for n in ("yaw", "pitch", "roll")]


@pytest.mark.parametrize(
    ("domain", "spread", "named"),
    [("lab", 0.5, "domain"), ("wild", -0.1, "spread"), ("wild", 2.1, "spread"),
     ("studio", math.nan, "spread"), ("studio", math.inf, "spread")],
)  # fmt: skip
def test_bad_input_is_named(domain: str, spread: float, named: str) -> None:
    with pytest.raises(InputError) as error:
        style.sample(np.arange(2), domain, spread)
    assert error.value.key == named and error.value.value in (domain, spread)
