"""What alpha trades, the closest pair against the distance to the gallery, by the solver and by the published loop."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from packing.instances import gallery
from packing.test_reference import nothing

from stages import pack
from stages.packing import front, reference
from stages.packing.objective import Objective, objective
from stages.packing.random_start import start
from stages.settings.pack import Pack

ALPHAS = np.geomspace(0.125, 2, 9)  # of the solver; the loop takes every second
NOISE = 2e-3  # of a cosine, between neighbouring alphas
CFG = Pack(
    method="hyperface", identities=80, alpha=0.0, separation="closest", start="random", iterations=300,
    tolerance=1e-4, max_cosine=0.5, crowded_cosine=0.5, seed=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def fronts() -> dict[str, np.ndarray]:
    """Return closest pair and gallery term (alphas, 2) of the loop at its best rate and of the solver, by its start."""
    x_ref = gallery(320, d=64)
    x_start, ref = torch.from_numpy(start(x_ref, 80, 0)), torch.from_numpy(x_ref)
    ends: dict[str, list[Objective]] = {"loop": [], "random": [], "selected": []}
    for alpha in map(float, ALPHAS[::2]):
        loops = [  # of `mean`: the loop of the closest pair ends far worse
            reference.reference(x_start, ref, alpha, "mean", 200, rate, nothing) for rate in (0.01, 0.03, 0.1)
        ]
        judged = [objective(x.numpy(), x_ref, alpha, "closest") for x in loops]
        ends["loop"].append(min(judged, key=lambda end: end.value))
    for how, alpha in product(("random", "selected"), map(float, ALPHAS)):
        x = pack.pack(x_ref, replace(CFG, alpha=alpha, start=how))
        ends[how].append(objective(x, x_ref, alpha, "closest"))
    return {
        name: np.array([[end.separation, end.gallery_term] for end in objectives]) for name, objectives in ends.items()
    }


@pytest.mark.parametrize("how", ["random", "selected"])
def test_as_alpha_grows_the_pair_closes_and_the_gallery_comes_near(fronts: dict[str, np.ndarray], how: str):
    pair, distance = fronts[how].T
    assert (np.diff(pair) > -NOISE).all() and pair[-1] > pair[0] + 0.1
    assert (np.diff(distance) < NOISE).all() and distance[-1] < distance[0] - 0.1


@pytest.mark.parametrize("how", ["random", "selected"])
def test_the_front_lies_outside_the_loop_s(fronts: dict[str, np.ndarray], how: str):
    solver, loop = fronts[how], fronts["loop"]
    weights = np.stack([np.ones(9), ALPHAS])
    assert ((solver @ weights).min(0) <= (loop @ weights).min(0)).all()
    pair = np.interp(loop[:, 1], solver[::-1, 1], solver[::-1, 0])  # at the loop's distances, where they are reached
    reached = (loop[:, 1] >= solver[:, 1].min()) & (loop[:, 1] <= solver[:, 1].max())
    assert reached.sum() >= 3 and (pair <= loop[:, 0])[reached].all()


@pytest.mark.parametrize("reading", ["closest", "mean"])
def test_a_large_run_is_shown_by_fewer_rows_beside_as_large_a_part_of_its_gallery(
    reading: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(front, "ROWS", 80)
    x_ref = gallery(640, d=64)
    cfg = replace(CFG, identities=160, alpha=0.3, separation=reading, start="selected")
    measured = front.front(x_ref[:160], x_ref, cfg)
    assert (measured["identities"], measured["gallery"]) == (80, 320)
    alpha, separation, distance = np.array([(p["alpha"], p[reading], p["gallery_term"]) for p in measured["points"]]).T
    assert 0.3 in alpha and (np.diff(alpha) > 0).all()
    assert separation[0] == pytest.approx(0, abs=1e-6)  # as so few rows can be, and no more than 2 d
    assert (np.diff(separation) > -NOISE).all() and separation[-1] > separation[0] + 0.1
    assert (np.diff(distance) < NOISE).all() and distance[-1] < distance[0] - 0.1
