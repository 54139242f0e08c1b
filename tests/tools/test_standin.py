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
    ("kind", "embed", "name"),
    [("arc2face", "onnx", "arcface"), ("vec2face", "iresnet", "arcface"), ("vec2face", "iresnet", "magface")],
)
def test_a_generator_comes_with_the_recogniser_whose_rows_it_draws(tmp_path: Path, kind: str, embed: Any, name: str):
    standin.main([kind, str(tmp_path / kind)])
    network = {"recogniser": embed, "network": f"{kind}/{name}"}
    values = params({"embed": network, "generate.backend": kind, "generate.weights": kind})
    (tmp_path / "pretrain").symlink_to(ROOT / "data/pretrain")
    with data_at(tmp_path):
        assert recognisers.load(Network(**network)).embedding_size == 512
        networks.check(Path("params.yaml"), values)
        values["embed"] = {"recogniser": "embedded", "network": "pretrain/recogniser"}
        with pytest.raises(InputError) as error:
            networks.check(Path("params.yaml"), values)
    assert (error.value.key, error.value.problem) == ("embed.network", "rows of 128")
    assert f"a network of 512, which generate.backend {kind} takes" in error.value.allowed


@pytest.mark.parametrize("kind", standin.KINDS)
def test_existing_weights_are_not_overwritten(tmp_path: Path, kind: str):
    assert standin.main([kind, str(tmp_path)]).endswith(f"in the layout of {kind}")
    assert {path.name for path in tmp_path.iterdir()} == set(standin.WRITTEN[kind])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="exists already") as refused:
        standin.main([kind, str(tmp_path)])
    assert refused.value.file == str(tmp_path / standin.WRITTEN[kind][0])
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
