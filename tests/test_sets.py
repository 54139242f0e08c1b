"""Sets and benchmarks: who is in them, and the user's own files."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny import TINY, run, write_params

from stages.common.images import Shards

OWN = {"backend": "folder", "path": "external/sets/own", "identities": 2, "images": 2, "seed": 0}


def own_set(folder: Path) -> None:
    for person, colour in (("anna", 60), ("bert", 180), ("carl", 120)):
        root = folder / "data/external/sets/own" / person
        root.mkdir(parents=True)
        for i in range(3):
            cv2.imwrite(str(root / f"{i}.png"), np.full((40, 30, 3), colour + 10 * i, np.uint8))


def test_the_wild_set_has_the_people_and_images_asked_for(chain: Path):
    shards = Shards(chain / "data/sets/wild")
    assert np.bincount(shards.column("identity")).tolist() == [3] * 10
    assert set(shards.column("domain").tolist()) == {"wild"}


def test_a_folder_of_ones_own_is_read_in_the_order_of_names(copy: Path):
    own_set(copy)
    write_params(copy, {**TINY, "sets.own": OWN})
    (copy / "data/external/sets/own/anna/notes.txt").touch()
    assert run("sets own").startswith("sets own: 2 identities, at most 2 images each, files skipped: 1 -> ")
    shards = Shards(copy / "data/sets/own")
    assert shards.column("identity").tolist() == [0, 0, 1, 1]
    assert np.allclose(shards.faces().mean((1, 2, 3)), [60, 70, 180, 190], atol=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "external/sets/none"}, "data/external/sets/none: no folder of images in it"),
        ({"identities": 9}, "sets.own.identities = 9; allowed: at most 3, the people in external/sets/own"),
    ],
)
def test_a_folder_that_is_not_there_or_too_small_is_refused(copy: Path, change: dict, message: str):
    own_set(copy)
    write_params(copy, {**TINY, "sets.own": OWN | change})
    with pytest.raises(ValueError) as error:
        run("sets own")
    assert message in str(error.value)


def test_a_broken_image_and_an_unknown_set_are_refused(copy: Path):
    own_set(copy)
    write_params(copy, {**TINY, "sets.own": OWN})
    (copy / "data/external/sets/own/bert/0.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match="bert/0.png: not a readable image"):
        run("sets own")
    with pytest.raises(ValueError, match="params.yaml: sets.other: missing"):
        run("sets other")
    with pytest.raises(ValueError, match="expected one argument"):
        run("sets")


def test_a_killed_render_resumes(copy: Path):
    shutil.rmtree(copy / "data/sets/wild")
    run("sets wild")
    first = {file.name: file.read_bytes() for file in (copy / "data/sets/wild").iterdir()}
    run("sets wild")
    assert first == {file.name: file.read_bytes() for file in (copy / "data/sets/wild").iterdir()}
