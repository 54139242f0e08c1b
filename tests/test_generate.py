"""Perturbation, mixup and what the chain's images say of themselves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import ROOT, TINY, run, write_params

from stages import generate
from stages.common import artifacts, images, params, shards, sphere, tables
from stages.common.images import Shards
from stages.common.params import Spreads
from stages.common.shards import Roster
from stages.common.world import World
from stages.generators import embedded
from stages.settings.generate import Generate, Noise
from stages.world.album import portraits

NOISE = Noise(beta=0, sigma=[0.3, 0.5, 0.7], share=[0.4, 0.4, 0.2])


def test_the_mixture_is_shared_out_within_every_prefix():
    sigma = generate.sigmas(50, NOISE)
    for depth in (5, 14, 42, 50):
        for level, share in zip(NOISE.sigma, NOISE.share, strict=True):
            assert abs((sigma[:depth] == level).sum() - share * depth) <= 1


@pytest.mark.parametrize(("d", "sigma", "expected"), [(512, 0.3, 0.958), (128, 0.3, 0.958), (128, 0.7, 0.819)])
def test_sigma_has_the_cosine_that_it_has_at_native_norm(d: int, sigma: float, expected: float):
    x = sphere.unit_rows(np.random.default_rng(0).standard_normal((400, d)))
    moved = generate.perturb(x, np.arange(400), np.full(400, sigma / np.sqrt(d)))
    assert np.einsum("bd,bd->b", x, moved).mean() == pytest.approx(expected, abs=0.005)


def test_beta_has_the_cosine_of_hyperface_and_none_changes_nothing(chain: Path):
    x = sphere.unit_rows(np.random.default_rng(0).standard_normal((400, 512)))
    moved = generate.perturb(x, np.arange(400), np.full(400, 0.01))
    assert np.einsum("bd,bd->b", x, moved).mean() == pytest.approx(0.975, abs=0.003)
    assert np.allclose(generate.perturb(x, np.arange(400), np.zeros(400)), x)


def test_noise_of_an_image_depends_on_its_seed_alone():
    x = np.repeat(sphere.unit_rows(np.ones((1, 8))), 3, 0)
    scale = np.full(3, 0.1)
    assert np.array_equal(
        generate.perturb(x, np.array([5, 6, 7]), scale)[2], generate.perturb(x[:1], np.array([7]), scale[:1])[0]
    )


def test_partners_are_others_without_repetition_and_ratios_on_the_grid():
    partner, ratio = generate.partners(np.arange(30), 30, 20, seed=1)
    assert all(len(set(row)) == 20 and i not in row for i, row in enumerate(partner.tolist()))
    assert partner.min() == 0 and partner.max() == 29
    assert np.allclose(ratio * 20, np.round(ratio * 20), atol=1e-5) and ratio.min() == 0 and ratio.max() == 1


def test_partner_and_ratio_of_a_slice_are_those_of_all_mixed_images():
    mixed = generate.Mixed(Roster("mixup", 1, "studio", np.full(9, 4)))
    whole, part = mixed[slice(None)], mixed[slice(6, 23)]
    partner, ratio = generate.partners(np.arange(9), 9, 4, 1)
    assert len(mixed) == 36 and whole.partner is not None and whole.ratio is not None
    assert whole.partner.tolist() == partner.ravel().tolist() and whole.ratio.tolist() == ratio.ravel().tolist()
    for name in ("identity", "index", "seed", "partner", "ratio"):
        assert getattr(part, name).tolist() == getattr(whole, name)[6:23].tolist()


def test_a_listing_that_is_written_in_parts_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    people = Roster("generate", 0, "studio", np.array([150, 7, 143]))
    drawn = {"plain": (people, None), "mixup": (Roster("mixup", 0, "studio", np.full(50, 3)), 50)}
    for part in shards.slices(300):
        artifacts.write_array(
            generate.cosines(tmp_path, part.start), np.arange(part.start, part.stop) / np.float32(300)
        )
    rows = []
    for at_once in (tables.ROWS_PER_BATCH, 200):
        monkeypatch.setattr(tables, "ROWS_PER_BATCH", at_once)
        generate.write_listing(tmp_path, drawn)
        table = tables.read(tmp_path / "images.feather", tables.DRAWN, nullable=("width", "cosine"))
        rows.append((table["prefix"].num_chunks, table.to_pylist()))
    assert [chunks for chunks, _ in rows] == [2, 3] and rows[0][1] == rows[1][1]
    assert rows[0][1][157] == {
        "prefix": "plain", "identity": 2, "index": 0, "width": None, "cosine": pytest.approx(157 / 300),
    }  # fmt: skip
    assert rows[0][1][-1] == {"prefix": "mixup", "identity": 49, "index": 2, "width": 50, "cosine": None}


def test_conditions_are_those_of_each_row_and_lie_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    generator = embedded.load(replace(params.load("generate", Generate), refine_steps=0), params.load("world", World))
    x = sphere.unit_rows(np.random.default_rng(0).standard_normal((2 * generate.CHUNK + 3, 128)))
    condition = generate.conditions(generator, "packed", (x, np.ones(len(x))), 0, tmp_path)
    assert isinstance(condition, np.memmap)
    assert np.array_equal(condition, generator.condition(x, np.ones(len(x)), np.arange(len(x))))


def test_images_have_the_depths_that_were_asked_for(chain: Path):
    plain = Shards(chain / "data/generate", "plain-*.arrow")
    count = np.bincount(plain.column("identity"))
    assert count.tolist() == [6] * 4 + [3] * 8
    mixup = Shards(chain / "data/generate", "mixup-*.arrow")
    assert (mixup.column("identity") != mixup.column("partner")).all() and len(mixup) == 30
    assert (plain.column("ratio") == 1).all() and set(plain.column("domain").tolist()) == {"studio"}


def test_the_cosine_of_an_image_is_that_of_its_own_row_and_mixed_ones_know_their_width(
    chain: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(chain)
    table = tables.read("data/generate/images.feather", tables.DRAWN, nullable=("width", "cosine"))
    listed = {
        (row["prefix"], row["identity"], row["index"]): (row["cosine"], row["width"]) for row in table.to_pylist()
    }
    plain, mixed = (Shards("data/generate", f"{prefix}-*.arrow") for prefix in ("plain", "mixup"))
    who, index, seed = (plain.column(name) for name in ("identity", "index", "seed"))
    x = artifacts.read_rows("data/pack", "x_id")[0][who]
    moved = generate.perturb(x, seed, generate.noise_scale(params.load("generate", Generate), index, x.shape[1]))
    cosine = np.einsum("bd,bd->b", x, moved)
    assert 0.6 < cosine.min() < cosine.max() < 0.98
    assert listed == {
        **{("plain", i, j): (pytest.approx(c), None) for i, j, c in zip(who, index, cosine, strict=True)},
        **{("mixup", i, j): (None, 10) for i, j in zip(mixed.column("identity"), mixed.column("index"), strict=True)},
    }


def test_an_image_does_not_depend_on_the_images_around_it(chain: Path, monkeypatch: pytest.MonkeyPatch):
    """Any image of the set comes out again when it is drawn alone, from its row and its seed."""
    monkeypatch.chdir(chain)
    cfg = params.load("generate", Generate)
    generator = embedded.load(cfg, params.load("world", World))
    x_id = artifacts.read_rows("data/pack", "x_id")[0]
    seeds = shards.image_seeds("condition-packed", cfg.seed, np.arange(12), np.zeros(12, np.int64))
    rows = np.minimum(np.arange(generate.CHUNK), 11)
    condition = generator.condition(x_id[rows], np.ones(len(rows)), seeds[rows])
    plain = Shards("data/generate", "plain-*.arrow")
    scale = generate.noise_scale(cfg, plain.column("index"), x_id.shape[1])
    for row in (0, 17, 40):
        who, seed = plain.column("identity")[row], plain.column("seed")[row : row + 1]
        x = generate.perturb(x_id[who : who + 1], seed, scale[row : row + 1])
        face = generator.generate(generator.perturbed(condition[who : who + 1], x_id[who : who + 1], x), seed)[0]
        assert images.encode(face) == plain.encoded(row)


def test_images_of_a_packed_identity_stay_when_others_are_added(copy: Path):
    """Image i depends on its own row and seed; a smaller set is a prefix of a larger one, chunk by chunk."""
    before = Shards(copy / "data/generate", "control-gallery-*.arrow").faces()
    write_params(
        copy,
        {
            **TINY,
            "generate.depths": {"identities": [3], "images": [2]},
            "generate.mixup": {"identities": 0, "images": 1},
        },
    )
    run("generate")
    assert not list((copy / "data/generate").glob("mixup-*"))
    assert np.array_equal(before, Shards(copy / "data/generate", "control-gallery-*.arrow").faces())
    assert np.bincount(Shards(copy / "data/generate", "plain-*.arrow").column("identity")).tolist() == [2, 2, 2]


def test_refinement_brings_the_faces_nearer_to_their_rows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)  # the committed networks: the chain's tiny ones hardly tell people apart
    fit, cfg = [], params.load("generate", Generate)
    world = replace(params.load("world", World), spread=Spreads(studio=0.2, wild=0))
    for steps in (0, 12):
        generator = embedded.load(replace(cfg, refine_steps=steps), world)
        gallery = portraits("test-refine", 0, 6, 1, "studio", 0.2).faces(slice(None), 64)
        x = sphere.unit_rows(generator.recogniser.embed(gallery))
        faces = generator.generate(np.repeat(generator.condition(x, np.ones(6), np.arange(6)), 4, 0), np.arange(24))
        rows = sphere.unit_rows(generator.recogniser.embed(faces))
        fit.append(np.einsum("bd,bd->b", rows, np.repeat(x, 4, 0)).mean())
    assert fit[1] > fit[0] + 0.02


def test_the_settings_know_how_many_images_an_identity_has():
    values = params.read()["generate"] | {"depths": {"identities": [2, 4], "images": [5, 3]}}
    cfg = params.check("generate", values, Generate)
    assert [cfg.images_of(i) for i in range(5)] == [5, 5, 3, 3, 0] and cfg.identities() == 4
