"""The tiny pipeline from end to end."""

from pathlib import Path

from tiny import CHAIN, TINY

from stages.common import artifacts


def test_every_stage_leaves_its_outputs(chain: Path):
    for stage in CHAIN:
        assert (chain / "data" / "/".join(stage.split())).exists() or stage == "report", stage
    metrics = artifacts.read_json(chain / "reports" / "metrics.json")
    assert set(TINY["variants"]) <= set(metrics)
    for name in TINY["variants"]:
        assert 0.3 < metrics[name]["wild_accuracy"] < 0.9  # barely trained, but measured
    page = (chain / "reports" / "index.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page


def test_nothing_is_left_over(chain: Path):
    assert not list((chain / ".scratch").iterdir())
    assert not [file for folder in ("data", "reports") for file in (chain / folder).rglob(".tmp-*")]
