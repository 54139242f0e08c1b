"""Random streams: the table keeps names apart, and draws what it always drew."""

import numpy as np
import pytest

from stages.common.streams import STREAMS, stream


@pytest.mark.parametrize(
    ("name", "keys", "entropy"),
    [
        ("packing", [7], [7]),
        ("perturb", [2**61 + 3], [2**61 + 3, 1]),
        ("mixup partners", [7, 5], [7, 5, 2]),
        ("order", [7, 0, 3], [1, 7, 0, 3]),
        ("resampled people", [7, 200, 9], [7, 1, 200, 9]),
    ],
)
def test_a_stream_draws_what_its_number_drew_before_it_had_a_name(
    name: str, keys: list[int], entropy: list[int]
) -> None:
    assert np.array_equal(stream(name, *keys).random(4), np.random.default_rng(entropy).random(4))


@pytest.mark.parametrize("family", sorted({line.family for line in STREAMS.values()}))
def test_names_of_one_family_draw_different_numbers(family: str) -> None:
    names = [name for name, line in STREAMS.items() if line.family == family]
    draws = {stream(name, 3, 5).random() for name in names}
    assert len(draws) == len(names)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError, match="perturbed"):
        stream("perturbed", 0)
