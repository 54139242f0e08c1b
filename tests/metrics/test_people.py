"""Draws of people with replacement, and the weights of pairs that follow."""

import numpy as np

from stages.metrics import people
from stages.metrics.replicates import Pairs


def test_an_impostor_pair_weighs_with_both_its_people() -> None:
    # pair 0, 1, 2: persons 7, 8, 9 alone; 3: 7 against 8; 4: 8 against 9
    a, b = np.array([7, 8, 9, 7, 8]), np.array([7, 8, 9, 8, 9])
    w = people.pair_weights(Pairs(a == b, np.arange(5), a, b), 200, 0)
    assert (w[:, :3].sum(axis=1) == 3).all()  # three draws among three people
    np.testing.assert_array_equal(w[:, 3], w[:, 0] * w[:, 1])
    np.testing.assert_array_equal(w[:, 4], w[:, 1] * w[:, 2])


def test_draws_depend_on_people_and_seed_alone() -> None:
    first = people.weights(np.arange(9), 50, 0)
    np.testing.assert_array_equal(first, people.weights(np.arange(9), 50, 0))
    assert (first != people.weights(np.arange(9), 50, 1)).any()
    assert (first != people.weights(np.arange(1, 10), 50, 0)).any()
