"""Baselines on the user's own sets: by the protocol of evaluate, and only there."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tiny import TINY, run, write_params

from stages import baselines
from stages.common import artifacts, networks
from stages.common.images import Shards

CARD = {"architecture": "compact", "widths": [16] * 4, "embedding_size": 32, "size_px": 32, "colour": "rgb"}


def faces(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)


def test_pixels_see_neither_brightness_nor_contrast_nor_colour():
    x = faces(4) // 2
    rows = baselines.Pixels(8).embed(x)
    assert rows.shape == (4, 64)
    np.testing.assert_allclose(rows, baselines.Pixels(8).embed(x + 50), atol=0.05)
    assert np.isfinite(baselines.Pixels(8).embed(np.zeros((1, 32, 32, 3), np.uint8))).all()


def test_an_untrained_network_takes_its_statistics_from_others_and_differs_by_seed():
    a, b = (baselines.untrained(CARD, seed, faces(64)).embed(faces(8, 1)) for seed in (0, 1))
    assert np.abs(a - b).max() > 0.1
    np.testing.assert_array_equal(a, baselines.untrained(CARD, 0, faces(64)).embed(faces(8, 1)))
    fresh = networks.Embedded(networks.build(CARD), CARD).embed(faces(8, 1))
    assert np.abs(a).mean() > 2 * np.abs(fresh).mean()  # batch statistics bring embeddings to unit variance


def test_the_scores_are_those_of_the_rows_named(chain: Path):
    report = artifacts.read_json(chain / "reports/baselines.json")
    assert list(report)[:2] == ["pixels", "untrained"] and set(report) == {"pixels", "untrained", "recogniser", "judge"}
    assert all(list(found) == ["own", "own-centred"] for found in report.values())
    table = pa.ipc.open_file(str(chain / "data/baselines/pixels/own.arrow")).read_all()
    photographs = Shards(chain / "data/benchmarks/own", "*-[0-9]*.arrow").faces()
    x = baselines.Pixels(16).embed(photographs) + baselines.Pixels(16).embed(photographs[:, :, ::-1])
    a, b = (x[table[name].to_numpy()] for name in ("a", "b"))
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(table["seed_0"].to_numpy(), cosine, atol=1e-5)


def test_the_closing_lines_name_what_every_set_was_scored_with():
    scores = {"pixels": (0.61, 0.5), "untrained": (0.625, 0.7004)}
    report = {
        name: {each: {"accuracy": {"value": value}} for each, value in zip(["own", "own-centred"], found, strict=True)}
        for name, found in scores.items()
    }
    assert baselines.closing_lines(report).splitlines() == [
        "own: pixels 61.0, untrained 62.5",
        "own-centred: pixels 50.0, untrained 70.0",
        "baselines: accuracy in % -> reports/baselines.json",
    ]


def test_without_sets_of_the_user_nothing_is_scored(copy: Path):
    write_params(copy, TINY)
    file = copy / "data/benchmarks/index.json"
    index = artifacts.read_json(file)
    index["protocols"] = [p for p in index["protocols"] if p["domain"] != "external"]
    artifacts.write_json(file, index)
    assert "no sets of your own" in run("baselines")
    assert set(map(len, artifacts.read_json(copy / "reports/baselines.json").values())) == {0}


@pytest.mark.parametrize("missing", ["data/benchmarks/index.json", "data/pretrain/judge/weights.safetensors"])
def test_what_is_missing_is_named_and_the_earlier_report_stays(copy: Path, missing: str):
    before = (copy / "reports/baselines.json").read_bytes()
    (copy / missing).unlink()
    with pytest.raises(ValueError, match=missing):
        run("baselines")
    assert (copy / "reports/baselines.json").read_bytes() == before
