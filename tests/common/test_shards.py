"""What is to be drawn is known for a slice at a time, and takes no memory before."""

import tracemalloc

import numpy as np
import pytest

from stages.common import shards
from stages.common.shards import Provenance, Roster

DEPTH = np.array([3, 0, 1, 4, 0, 2, 0])
PEOPLE = Roster("generate", 7, "studio", DEPTH, frame_px=112)


def whole() -> Provenance:
    """Return the rows of PEOPLE, made at once and by hand."""
    identity = np.repeat(np.arange(len(DEPTH)), DEPTH)
    index = np.concatenate([np.arange(depth) for depth in DEPTH])
    return Provenance("studio", identity, index, shards.image_seeds("generate", 7, identity, index), frame_px=112)


@pytest.mark.parametrize("part", [slice(None), slice(0, 3), slice(2, 5), slice(3, 9), slice(8, 99), slice(4, 4)])
def test_a_slice_of_a_roster_is_that_of_all_its_rows(part: slice):
    assert len(PEOPLE) == len(whole()) == 10
    for rows in (PEOPLE[part], whole()[part]):
        assert (rows.domain, rows.frame_px, rows.partner) == ("studio", 112, None)
        for name in ("identity", "index", "seed"):
            assert getattr(rows, name).tolist() == getattr(whole(), name)[part].tolist(), name


def test_a_roster_of_15_million_images_takes_the_memory_of_its_people():
    tracemalloc.start()
    people = Roster("generate", 0, "studio", np.full(1000, 15_000))
    rows = people[slice(14_999_990, 15_000_000)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(people) == 15_000_000 and peak < 200_000
    assert rows.identity.tolist() == [999] * 10 and rows.index[-1] == 14_999


def test_the_slices_of_shards_are_all_rows_once():
    for count in (1, 31, 600, 4200, 100_001):
        parts = shards.slices(count)
        assert [row for part in parts for row in (part.start, part.stop)][1:-1:2] == [part.start for part in parts[1:]]
        assert parts[0].start == 0 and parts[-1].stop == count
