"""Stand-ins: what is written is read, and embeds and draws."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import ROOT, data_at, params

from stages.common import recognisers
from stages.common.errors import InputError
from stages.common.params import Network
from stages.tools import standin
from stages.validation import networks


def test_recognisers_embed_faces_and_tell_them_apart(tmp_path: Path):
    standin.recognisers(tmp_path, "tiny")
    faces = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    for network in (Network(recogniser="onnx", network="arcface"), Network(recogniser="iresnet", network="backbone")):
        with data_at(tmp_path):
            rows = recognisers.load(network).embed(faces)
        assert rows.shape == (3, 512) and len(np.unique(rows.round(3), axis=0)) == 3


@pytest.mark.parametrize(
    ("what", "embed", "name"),
    [("arc2face", "onnx", "arcface"), ("vec2face", "iresnet", "arcface"), ("vec2face", "iresnet", "magface")],
)
def test_a_generator_comes_with_the_recogniser_whose_rows_it_draws(tmp_path: Path, what: str, embed: Any, name: str):
    standin.main([what, str(tmp_path / what)])
    network = {"recogniser": embed, "network": f"{what}/{name}"}
    values = params({"embed": network, "generate.backend": what, "generate.weights": what})
    (tmp_path / "pretrain").symlink_to(ROOT / "data/pretrain")
    with data_at(tmp_path):
        assert recognisers.load(Network(**network)).embedding_size == 512
        networks.check(Path("params.yaml"), values)
        values["embed"] = {"recogniser": "embedded", "network": "pretrain/recogniser"}
        with pytest.raises(InputError) as error:
            networks.check(Path("params.yaml"), values)
    assert (error.value.key, error.value.problem) == ("embed.network", "rows of 128")
    assert f"a network of 512, which generate.backend {what} takes" in error.value.allowed


@pytest.mark.parametrize("what", standin.KINDS)
def test_weights_that_lie_there_are_not_overwritten(tmp_path: Path, what: str):
    assert standin.main([what, str(tmp_path)]).endswith(f"in the layout of {what}")
    assert {path.name for path in tmp_path.iterdir()} == set(standin.WRITTEN[what])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="exists already; allowed: a folder without it"):
        standin.main([what, str(tmp_path)])
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
