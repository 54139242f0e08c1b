"""The tiny pipeline from end to end."""

from pathlib import Path


def test_every_stage_leaves_its_outputs(chain: Path):
    for name in ("validate", "pretrain", "gallery", "embed", "pack", "generate", "audit", "benchmarks"):
        assert (chain / "data" / name).exists(), name
    assert (chain / "reports" / "report.md").exists()
