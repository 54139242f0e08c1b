"""Stand-ins: what is written is read, and embeds and draws."""

from pathlib import Path

import numpy as np
import pytest
from tiny import ROOT, params

from stages.common import recognisers
from stages.tools import standin
from stages.validation import networks

CARD = Path("stages/recognisers/cards/insightface.json").resolve()


def test_recognisers_embed_faces_and_tell_them_apart(tmp_path: Path):
    standin.recognisers(tmp_path, "tiny")
    faces = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    for backend, file in (("onnx", "arcface.onnx"), ("iresnet", "backbone.pth")):
        rows = recognisers.load(backend, tmp_path / file, CARD).embed(faces)
        assert rows.shape == (3, 512) and len(np.unique(rows.round(3), axis=0)) == 3


@pytest.mark.parametrize(
    ("what", "embed", "file"),
    [
        ("arc2face", "onnx", "antelopev2/arcface.onnx"),
        ("vec2face", "iresnet", "arcface-r100-glint360k.pth"),
        ("vec2face", "iresnet", "magface-r100-glint360k.pth"),
    ],
)
def test_a_generator_comes_with_the_recogniser_whose_rows_it_draws(tmp_path: Path, what: str, embed: str, file: str):
    standin.main([what, str(tmp_path)])
    assert recognisers.load(embed, tmp_path / file, CARD).embedding_size == 512
    values = params({
        "embed": {"recogniser": embed, "weights": str(tmp_path / file), "card": str(CARD)},
        "generate.backend": what, "generate.weights": str(tmp_path),
    })  # fmt: skip
    networks.check(Path("params.yaml"), values)
    values["embed"] = {"recogniser": "embedded", "weights": "x", "card": str(ROOT / "data/pretrain/recogniser.json")}
    with pytest.raises(ValueError, match=f"rows of size 128; allowed by generate.backend = '{what}' .*: 512"):
        networks.check(Path("params.yaml"), values)


@pytest.mark.parametrize("what", standin.KINDS)
def test_weights_that_lie_there_are_not_overwritten(tmp_path: Path, what: str):
    assert standin.main([what, str(tmp_path)]).endswith(f"in the layout of {what}")
    assert {path.name for path in tmp_path.iterdir()} == set(standin.WRITTEN[what])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="exists already; allowed: a folder without it"):
        standin.main([what, str(tmp_path)])
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
