"""What each embedded protocol controls."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from refusal import refused
from tiny import TINY, params

from stages.common import params as border
from stages.common.world import World
from stages.formats import groups
from stages.protocols import drawn_pairs, embedded, embedded_groups
from stages.settings.benchmarks import Benchmarks
from stages.world import identity, style

VALUES = params(TINY)
CFG = border.check("benchmarks", VALUES["benchmarks"], Benchmarks)
WORLD = border.check("world", VALUES["world"], World)


def columns(name: str, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scenes, table = embedded.make(name, CFG, WORLD)
    value = scenes.album(slice(None)).style[:, style.column(column)].numpy()
    return value[table["a"].to_numpy()], value[table["b"].to_numpy()], table["same"].to_numpy()


def test_cfp_fp_compares_frontal_with_more_than_50_degrees():
    a, b, _ = columns("cfp-fp", "yaw_deg")
    assert np.abs(a).max() <= 10 and np.abs(b).min() > 50


def test_cplfw_turns_the_head():
    a, b, _ = columns("cplfw", "yaw_deg")
    assert np.abs(a).max() <= 10 and np.abs(b).min() >= 25 and np.abs(b).max() <= 55


@pytest.mark.parametrize("name", ["agedb", "calfw"])
def test_ages_lie_30_years_apart(name: str):
    a, b, same = columns(name, "age_offset_years")
    assert np.allclose((b - a)[same], 30, atol=1e-3)


def mismatch(name: str) -> np.ndarray:
    """Return how far apart sex, skin and age of the two people of impostor pairs lie, in standard deviations."""
    scenes, table = embedded.make(name, CFG, WORLD)
    traits = np.stack([v.numpy() for v in identity.attributes(scenes.album(slice(None)).z).values()], 1)
    impostor = ~table["same"].to_numpy()
    a, b = (traits[table[c].to_numpy()[impostor]] for c in ("a", "b"))
    return (np.abs(a - b) / traits.std(0)).mean(0)


@pytest.mark.parametrize("name", ["calfw", "cplfw"])
def test_impostors_are_matched_first_of_all_in_sex(name: str):
    sex, *skin_and_age = mismatch(name) / mismatch("agedb")
    assert max(skin_and_age) < 0.75 and sex < 0.6 * min(skin_and_age)


def test_no_two_protocols_show_the_same_people():
    identities = [embedded.make(name, CFG, WORLD)[0].album(slice(None)).z.numpy() for name in embedded.PROTOCOLS]
    people = [set(map(bytes, np.unique(z, axis=0))) for z in identities]
    assert [len(z) for z in people] == [CFG.identities] * len(people)
    assert len(set.union(*people)) == CFG.identities * len(people)


def test_in_the_studio_people_pose_expression_and_light_stay():
    scenes, _ = embedded.make("lfw", CFG, WORLD)
    album, studio = scenes.album(slice(None)), embedded.in_studio(scenes, WORLD, slice(None))
    assert studio.z.equal(album.z) and studio.rows.domain == "studio"
    for group in ("pose", "expression", "illumination", "age", "hair", "glasses", "beard"):
        assert (studio.style[:, style.GROUPS[group]] == album.style[:, style.GROUPS[group]]).all(), group
    sampled = style.sample(album.rows.seed, "studio", WORLD.spread.studio)
    for group in ("camera", "background"):
        assert (studio.style[:, style.GROUPS[group]] == sampled[:, style.GROUPS[group]]).all(), group
        assert (studio.style[:, style.GROUPS[group]] != album.style[:, style.GROUPS[group]]).any(1).all(), group


@pytest.mark.parametrize("name", ["lfw", "agedb", "cplfw"])
def test_a_slice_of_a_protocol_is_that_of_the_whole(name: str):
    scenes, _ = embedded.make(name, CFG, WORLD)
    part = slice(37, 61)
    for album_of in (scenes.album, partial(embedded.in_studio, scenes, WORLD)):
        whole, own = album_of(slice(None)), album_of(part)
        assert own.z.equal(whole.z[part]) and own.style.equal(whole.style[part])
        assert np.array_equal(own.rows.seed, whole.rows.seed[part])


def test_too_few_people_for_the_pairs_are_refused():
    with refused(key="genuine pairs a fold", value=150, allowed="at least 300"):
        drawn_pairs.draw(100, 6, drawn_pairs.any_two(6), [0])


@pytest.mark.parametrize("matched", [False, True])
@pytest.mark.parametrize("combos", [drawn_pairs.any_two(8), drawn_pairs.across(4), [(i, i) for i in range(8)]])
def test_impostor_pairs_show_two_people_and_genuine_ones_one(combos: drawn_pairs.Combos, matched: bool):
    traits = np.random.default_rng(0).normal(size=(600, 3)) if matched else None
    table = drawn_pairs.draw(600, 8, combos, [0], traits)
    a, b, same = (table[column].to_numpy() for column in ("a", "b", "same"))
    assert np.array_equal(a // 8 == b // 8, same)


def test_pairs_depend_on_the_seed_alone():
    pairs, again, other_seed = (drawn_pairs.draw(200, 8, drawn_pairs.across(4), [seed]) for seed in (0, 0, 1))
    assert pairs.equals(again) and not pairs.equals(other_seed)


def test_groups_are_those_of_the_people_and_of_the_pose():
    scenes, pairs = embedded.make("lfw", CFG, WORLD)
    table, who = embedded_groups.of_pairs(scenes, pairs), scenes.people.who(slice(None))[0]
    a, b = (pairs[side].to_numpy() for side in ("a", "b"))
    about, yaw = embedded.traits(scenes.people), scenes.album(slice(None)).style[:, style.column("yaw_deg")].numpy()
    sex = np.where(about["sex"] > 0, "male", "female")[who]
    assert table["sex"].to_pylist() == np.where(sex[a] == sex[b], sex[a], "").tolist()
    turned = (np.abs(yaw[a]) > 20) | (np.abs(yaw[b]) > 20)
    assert table["pose"].to_pylist() == np.where(turned, "turned", "frontal").tolist()
    age, old = about["age_years"][who], np.array(table["age"].to_pylist()) == "46 and over"
    assert (age[a][old] >= 46).all() and (age[b][old] >= 46).all() and old.any()
    for name in table.column_names:
        groups.check(Path("lfw"), name, np.array(table[name].to_pylist()), pairs)
