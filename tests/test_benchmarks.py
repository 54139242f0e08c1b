"""The chain's protocols, and a set of the user's own."""

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from refusal import refused
from tiny import ROOT, run

from stages import validate
from stages.common import artifacts, params, shards, tables
from stages.common.images import Shards, decode
from stages.formats.benchmark_pairs import Benchmark
from stages.pretrain import RECIPES
from stages.protocols import embedded, embedded_templates, external
from stages.settings.benchmarks import Crop
from stages.world import identity, trace


def pairs_of(folder: Path, name: str) -> pa.Table:
    return pa.ipc.open_file(str(folder / "data/benchmarks" / name / "pairs.arrow")).read_all()


def test_validate_knows_every_embedded_protocol_by_name():
    assert set(validate.EMBEDDED) == {*embedded.PROTOCOLS, "syn-lfw"}


@pytest.mark.parametrize("name", [*embedded.PROTOCOLS, "syn-lfw"])
def test_every_protocol_has_6000_pairs_in_ten_folds_without_common_people(chain: Path, name: str):
    table = pairs_of(chain, name)
    who = Shards(chain / "data/benchmarks" / name, "faces-*.arrow").column("identity")
    a, b, same, fold = (table[c].to_numpy() for c in ("a", "b", "same", "fold"))
    assert len(table) == 6000 and np.array_equal(who[a] == who[b], same) and (a != b).all()
    assert len(set(zip(a.tolist(), b.tolist(), strict=True))) == 6000
    people = [set(who[a[fold == f]]) | set(who[b[fold == f]]) for f in range(10)]
    assert all((same[fold == f].sum(), (~same[fold == f]).sum()) == (300, 300) for f in range(10))
    assert sum(map(len, people)) == len(set.union(*people)) == 200


def test_syn_lfw_is_lfw_image_for_image_in_the_studio(chain: Path):
    assert pairs_of(chain, "lfw").equals(pairs_of(chain, "syn-lfw"))
    lfw, syn = (Shards(chain / "data/benchmarks" / name, "faces-*.arrow") for name in ("lfw", "syn-lfw"))
    assert np.array_equal(lfw.column("seed"), syn.column("seed"))
    assert set(lfw.column("domain").tolist()) == {"wild"} and set(syn.column("domain").tolist()) == {"studio"}
    assert (lfw.faces() != syn.faces()).any((1, 2, 3)).all()


def test_the_index_lists_what_lies_there(chain: Path):
    index = artifacts.read_json(chain / "data/benchmarks/index.json")["protocols"]
    pairs = [entry["name"] for entry in index if entry["kind"] == "pairs"]
    assert pairs == ["lfw", "syn-lfw", "cfp-fp", "agedb", "calfw", "cplfw", "own"]
    rest = {entry["name"]: entry["kind"] for entry in index if entry["name"] not in pairs}
    assert rest == {"lfw-groups": "groups", "ijb": "templates", "ijb-1n": "open_set"}


def test_no_two_parts_of_the_project_share_a_person():
    splits = ["gallery", "sets-wild", "unseen", "calibration", "inverter", *(r.population for r in RECIPES.values())]
    splits += [f"benchmarks-{name}" for name in (*embedded.PROTOCOLS, embedded_templates.NAME)]
    z = np.concatenate([identity.sample(split, 0, range(300)).numpy() for split in splits])
    assert len(np.unique(z, axis=0)) == len(z) == 300 * len(splits)
    source = "\n".join(file.read_text() for file in (ROOT / "stages").rglob("*.py"))
    for split in ("gallery", "unseen", "calibration", "inverter", "pretrain", "judge"):
        assert f'"{split}"' in source, f"{split} is not a population any more"


def test_a_set_of_ones_own_joins_in(chain: Path):
    table = pairs_of(chain, "own")
    assert table["fold"].to_pylist() == [0] * 4 + [1] * 4
    assert table["same"].to_pylist() == [True, True, False, False] * 2
    faces = Shards(chain / "data/benchmarks/own", "faces-*.arrow")
    assert abs(int(faces.faces()[table["b"].to_pylist()[0]].mean()) - 20) <= 2  # p0, second image
    assert {"own", "own-centred"} <= set(artifacts.read_json(chain / "reports/evaluate/base.json")["protocols"])


def test_a_set_of_ones_own_is_refused_before_anything_is_drawn(copy: Path):
    before = (copy / "data/benchmarks/index.json").read_bytes()
    for text, line, fields in (
        ("", 1, {"problem": "no pair"}),
        ("2 3\np0 1 2\n", 1, {"value": "2 3"}),
        ("1 1\np0 1 2\np0 x p1 2\n", 3, {"value": "p0 x p1 2", "allowed": "NAME 1 OTHER 2"}),
        ("1 1\np0 1 2\np0 1 p9 2\n", 3, {"problem": "no image p9/p9_0002.png"}),
    ):
        (copy / "data/external/benchmarks/own/pairs.txt").write_text(text)
        with refused("own/pairs.txt", key=f"line {line}", **fields):
            external.read(external.ROOT / "own")
    (copy / "data/external/benchmarks/own/pairs.txt").unlink()
    start = time.process_time()
    with refused("benchmarks/own", "no benchmark in it", allowed="NAME.bin"):
        run("benchmarks")
    assert time.process_time() - start < 5  # the embedded protocols take 30 s
    assert (copy / "data/benchmarks/index.json").read_bytes() == before


def test_rows_of_a_set_of_ones_own_have_the_seeds_of_their_images_whatever_the_slice():
    identity, index = np.arange(8) // 2, np.arange(8)
    pairs = tables.pairs(index[:4], index[4:], index[:4] > 1, index[:4])
    rows = external.Rows("own", Benchmark(lambda row: b"", str, identity, index, pairs), 112)
    part = rows[slice(3, 6)]
    assert len(rows) == 8
    assert part.seed.tolist() == shards.image_seeds("own", 0, identity, index)[3:6].tolist()
    assert (part.identity.tolist(), part.index.tolist()) == ([1, 2, 2], [3, 4, 5])
    assert (part.domain, part.frame_px) == ("external", 112)


def test_a_crop_replicates_the_edge():
    photograph = np.arange(6, dtype=np.uint8).reshape(2, 3)[..., None].repeat(3, 2)
    crop = external.cut(photograph, Crop(side_px=2.0, x_px=0.0, y_px=1.0), 112)[..., 0]
    assert crop.tolist() == [[0, 0], [3, 3]]


def test_an_aligned_face_is_widened_to_the_frame_that_the_world_renders():
    aligned = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    whole = external.cut(aligned, None, trace.FRAME)
    assert whole.shape == (trace.FRAME, trace.FRAME, 3)
    inner = slice(int(trace.MARGIN), int(trace.MARGIN) + 112)
    assert params.read()["world"]["photo_frame_px"] == trace.FRAME
    np.testing.assert_array_equal(whole[inner, inner], aligned)
    np.testing.assert_array_equal(
        external.cut(aligned[:, 10:102], None, trace.FRAME)[inner, inner][:, 10:102], aligned[:, 10:102]
    )


def test_the_real_set_beside_the_project_is_read_when_it_is_there():
    folder = ROOT.parent / "shared" / "real"
    if not folder.is_dir():
        pytest.skip("no real photographs beside the project")
    found = external.read(folder / "orl")
    people = len(np.unique(found.identity))
    assert people > 10 and len(found.pairs) == 90 * people
    faces = np.stack([decode(face) for face in external.faces(found, slice(3), None, 136, 64)])
    assert faces.shape == (3, 64, 64, 3) and faces.std() > 20
