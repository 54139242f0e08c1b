"""Stand-ins: what is written is read, and embeds and draws."""

from pathlib import Path

import numpy as np

from stages import recognisers
from stages.tools import standin

CARD = Path("stages/recognisers/cards/insightface.json").resolve()


def test_recognisers_embed_faces_and_tell_them_apart(tmp_path: Path):
    standin.recognisers(tmp_path, "tiny")
    faces = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    for backend, file in (("onnx", "arcface.onnx"), ("iresnet", "backbone.pth")):
        rows = recognisers.load(backend, tmp_path / file, CARD).embed(faces)
        assert rows.shape == (3, 512) and len(np.unique(rows.round(3), axis=0)) == 3
