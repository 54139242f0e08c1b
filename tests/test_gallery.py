from pathlib import Path

import numpy as np
import pytest
from tiny import run

from stages.common import artifacts
from stages.common.images import Shards


def test_the_gallery_holds_one_studio_face_of_each_person(chain: Path):
    shards = Shards(chain / "data/gallery")
    assert shards.column("identity").tolist() == list(range(40))
    assert set(shards.column("domain").tolist()) == {"studio"}
    faces = shards.faces()
    assert faces.shape == (40, 16, 16, 3)
    assert len(np.unique(faces.reshape(40, -1), axis=0)) == 40


def test_embedding_gives_a_unit_row_and_a_norm_per_face(chain: Path):
    x, norms = artifacts.read_rows(chain / "data/embed", "x_ref", d=128)
    assert x.shape == (40, 128) and norms.std() > 0


def test_embedding_a_truncated_gallery_is_refused_and_loses_nothing(copy: Path):
    before = (copy / "data/embed/x_ref.npy").read_bytes()
    file = copy / "data/gallery/faces-00000.arrow"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="faces-00000.arrow: truncated"):
        run("embed")
    assert (copy / "data/embed/x_ref.npy").read_bytes() == before


def test_embedding_without_weights_says_which_file(copy: Path):
    (copy / "data/pretrain/recogniser/weights.safetensors").unlink()
    with pytest.raises(ValueError, match="data/pretrain/recogniser/weights.safetensors: no such file"):
        run("embed")
