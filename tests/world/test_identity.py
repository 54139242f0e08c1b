"""Identities: keyed draws, disjoint splits, population axes, limits."""

import numpy as np
import torch

from stages.world import identity


def test_an_identity_depends_on_its_key_alone() -> None:
    """Neither count nor order changes a draw."""
    many = identity.sample("gallery", 3, range(9))
    selected = identity.sample("gallery", 3, np.array([7, 2]))
    assert torch.equal(selected, many[[7, 2]])


def test_splits_and_seeds_are_disjoint_populations() -> None:
    """No identity of one (split, seed) comes near one of another."""
    parts = [identity.sample(s, seed, range(40)) for s in ("a", "b") for seed in (0, 1)]
    distance = torch.cdist(torch.cat(parts), torch.cat(parts)) + 99 * torch.eye(160)
    assert distance.min() > 0.5 * identity.IDENTITY_DIM**0.5


def test_coordinates_are_standardised_and_follow_the_axes() -> None:
    """Mean 0, sd 1; a loading of a on the dimorphism axis is a correlation of a with sex."""
    z = identity.sample("stats", 0, range(3000))
    assert z.mean(0).abs().max() < 0.09
    assert (z.std(0) - 1).abs().max() < 0.09
    sex = z[:, identity.column("sex")]
    for name, expected in (("beard", 0.8), ("hair_length", -0.8), ("mole_x", 0.0)):
        correlation = float(torch.corrcoef(torch.stack([sex, z[:, identity.column(name)]]))[0, 1])
        assert abs(correlation - expected) < 0.07, name


def test_bounded_is_near_identity_inside_and_limits_outside() -> None:
    """|z| stays below 3.2 however far it is pushed, and ordinary z are left alone."""
    z = torch.linspace(-2, 2, 41)
    assert (identity.bounded(z) - z).abs().max() < 0.03
    far = identity.bounded(torch.tensor([5.0, -1e2, 1e6, -1e30]))
    assert far.abs().max() <= 3.2001
    assert torch.equal(far.sign(), torch.tensor([1.0, -1.0, 1.0, -1.0]))
    assert (identity.bounded(torch.linspace(-9, 9, 400)).diff() >= 0).all()


def test_attributes_read_the_named_coordinates() -> None:
    """Sex and skin are their coordinates; the base age rises with its own."""
    z = torch.zeros(2, identity.IDENTITY_DIM)
    for name in ("sex", "skin_tone", "age"):
        z[1, identity.column(name)] = 1.0
    attributes = identity.attributes(z)
    assert attributes["age_years"][0] == 38 and attributes["age_years"][1] > 50
    assert attributes["sex"].tolist() == attributes["skin"].tolist()
    assert attributes["sex"][1] > 0.99
