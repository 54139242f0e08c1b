"""Stand-ins: what is written is read, and embeds and draws."""

from pathlib import Path

import numpy as np
import pytest

from stages import recognisers
from stages.tools import standin

CARD = Path("stages/recognisers/cards/insightface.json").resolve()


def test_recognisers_embed_faces_and_tell_them_apart(tmp_path: Path):
    standin.recognisers(tmp_path, "tiny")
    faces = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    for backend, file in (("onnx", "arcface.onnx"), ("iresnet", "backbone.pth")):
        rows = recognisers.load(backend, tmp_path / file, CARD).embed(faces)
        assert rows.shape == (3, 512) and len(np.unique(rows.round(3), axis=0)) == 3


@pytest.mark.parametrize("what", standin.KINDS)
def test_weights_that_lie_there_are_not_overwritten(tmp_path: Path, what: str):
    assert standin.main([what, str(tmp_path)]).endswith(f"in the layout of {what}")
    assert {path.name for path in tmp_path.iterdir()} == set(standin.WRITTEN[what])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="exists already; allowed: a folder without it"):
        standin.main([what, str(tmp_path)])
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
