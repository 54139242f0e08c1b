"""Curves of a training: DVC reads them, and a crash leaves neither a gap nor a point twice."""

import subprocess
from pathlib import Path

import pandas as pd
import pytest
import trainings
from dvc.repo import Repo
from tiny import git_and_dvc, working_in
from trainings import StopError

from stages.training import fit, selection
from stages.training.curves import Curves
from stages.training.learner import Learner

NAMES = {"loss", "learning_rate", "norm", "images_s", "held_out"}


def test_a_killed_training_goes_on_with_its_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # DVCLive looks for a repository, and leaves its files open
    rest, judges = selection.hold_out(trainings.noise(4, 6), 2)
    changes = {"input.size_px": 16, "runs.checkpoint_s": 0.0, "monitor.curves": 2, "monitor.times": 4}
    cfg = trainings.cfg(samples=12 * 8, batch=8, **changes)

    def train(stop_at: int | None) -> None:
        curves = Curves(tmp_path / "curves", cfg.monitor.curves, cfg.batch, 12)

        def after(learner: Learner) -> None:
            curves.follow(learner)
            if learner.step == stop_at:
                raise StopError

        fit.fit(rest, cfg, 0, tmp_path / "checkpoints", selection=judges, after_step=after)

    def killed(stop_at: int) -> Path:
        with pytest.raises(StopError):
            train(stop_at)
        return tmp_path / "curves"

    half = killed(5) / "plots/metrics/norm.tsv"  # a file and a point that were not written to their ends
    half.write_bytes(half.read_bytes()[:-3])
    (tmp_path / "curves/plots/metrics/images_s.tsv").write_bytes(b"")
    (killed(10) / "metrics.json").write_bytes(b"{")
    train(None)
    files = {file.stem: pd.read_csv(file, sep="\t") for file in (tmp_path / "curves/plots/metrics").glob("*.tsv")}
    assert set(files) == NAMES
    assert files["held_out"]["step"].tolist() == [3, 6, 9, 12]
    assert all(files[name]["step"].tolist() == [2, 4, 6, 8, 10, 12] for name in ("loss", "learning_rate"))
    assert files["norm"]["step"].tolist() == [2, 6, 8, 10, 12]
    assert files["images_s"]["step"].tolist() == [6, 8, 10, 12]
    assert files["learning_rate"]["learning_rate"].to_numpy().argmax() == 1
    assert (files["images_s"]["images_s"].to_numpy() > 0).all()


def test_dvc_shows_what_is_drawn(tmp_path: Path):
    git_and_dvc(tmp_path)
    subprocess.run(["git", "commit", "-qm", "begun", "--allow-empty"], cwd=tmp_path, check=True)
    with working_in(tmp_path):
        curves = Curves(tmp_path / "curves", 2, 8, 3)
        cfg = trainings.cfg(samples=3 * 8, batch=8, **{"input.size_px": 16})
        fit.fit(trainings.noise(4, 6), cfg, 0, after_step=curves.follow)
        shown = Repo(".").plots.show(["curves/plots/metrics/loss.tsv"])
    points = shown["workspace"]["sources"]["data"]["curves/plots/metrics/loss.tsv"]["data"]
    assert [int(point["step"]) for point in points] == [2, 3]
