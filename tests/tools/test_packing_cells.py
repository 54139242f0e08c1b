"""The family of galleries: every level of every axis, tuning apart from what is held out, as tight as it says."""

from collections import Counter

import numpy as np
import pytest
from tiny import ROOT

from stages.tools import packing_cells, packing_timing
from stages.tools.packing_cells import Cell, Drawn, World, drawn, tightness, tuning


def test_every_level_of_every_axis_appears_equally_often():
    cells = drawn(512, 1000, 24, range(1, 25))
    galleries = [cell.gallery for cell in cells if isinstance(cell.gallery, Drawn)]
    axes = {
        "alpha": ([cell.alpha for cell in cells], packing_cells.ALPHAS),
        "tightness": ([gallery.tightness for gallery in galleries], packing_cells.HELD_OUT),
        "spectrum": ([gallery.spectrum for gallery in galleries], packing_cells.SPECTRA),
        "duplicates": ([gallery.duplicates for gallery in galleries], packing_cells.DUPLICATES),
        "ratio": ([cell.m / cell.gallery.n for cell in cells], packing_cells.RATIOS),
        "clusters": (
            [round(np.log(gallery.clusters) / np.log(gallery.n), 1) for gallery in galleries],
            packing_cells.CLUSTERED,
        ),
    }
    for values, levels in axes.values():
        assert Counter(values) == dict.fromkeys(levels, 24 // len(levels))
    assert cells == drawn(512, 1000, 24, range(1, 25))
    assert len({gallery.seed for gallery in galleries}) == 24


@pytest.mark.parametrize("cells", [packing_timing.short, packing_timing.full])
def test_the_loop_is_tuned_on_no_held_out_gallery(cells):
    held_out = cells(())
    tuned = [other for cell in held_out for other in tuning(cell)]
    assert {(cell.gallery.d, cell.m, cell.alpha) for cell in held_out} == {
        (cell.gallery.d, cell.m, cell.alpha) for cell in tuned
    }
    for name in ("seed", "tightness"):
        apart = [{getattr(cell.gallery, name, None) for cell in some} - {None} for some in (held_out, tuned)]
        assert apart[0] and apart[1] and not apart[0] & apart[1]


@pytest.mark.parametrize("clusters", [1, 20, 600])
@pytest.mark.parametrize("spectrum", packing_cells.SPECTRA)
@pytest.mark.parametrize("mean_cosine", [0.5, 0.8])
def test_a_gallery_is_as_tight_as_it_says(clusters: int, spectrum: str, mean_cosine: float):
    x = Drawn(600, 64, mean_cosine, clusters, spectrum, 0.0, 3).rows()
    cos = x @ x.T - 3 * np.eye(600)
    assert np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-6)
    assert cos.max(1).mean() == pytest.approx(mean_cosine, abs=0.02)


def test_out_of_reach_the_nearest_is_taken():
    loosest = Drawn(600, 64, 0.0, 20, "flat", 0.0, 3).rows()
    assert 0.3 < tightness(loosest) < 0.45  # rows of no cluster


def test_clusters_are_clusters():
    x = Drawn(600, 64, 0.9, 4, "flat", 0.0, 3).rows()
    assert np.linalg.matrix_rank(x @ x.T > 0.6) == 4


def test_so_many_rows_repeat_another():
    alone, repeated = (Drawn(600, 64, 0.5, 20, "flat", share, 3).rows() for share in (0.0, 0.2))
    cos = repeated @ repeated.T - 3 * np.eye(600)
    assert (alone != repeated).any(1).sum() == 120
    assert (cos.max(1) > 0.999).sum() == 240
    assert cos.max() < 1 - 1e-6  # not the very same
    assert tightness(repeated) == pytest.approx(tightness(alone), abs=0.02)


def test_the_world_has_its_gallery(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    gallery = World(20, 128, 1)
    assert gallery.rows().shape == (20, 128)
    assert Cell(gallery, 10, 0.5).name == "world-20-128-1-10-0.5"
