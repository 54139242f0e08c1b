"""The curves of a training, for `dvc plots show`, and their last points, for `dvc exp show`: DVCLive writes them.

FOLDER/plots/metrics/{loss,learning_rate,norm,images_s,held_out}.tsv   step, value
FOLDER/metrics.json                                                    the last point
"""

import time
from pathlib import Path

from dvclive.live import Live

from stages.common import artifacts
from stages.training.learner import Learner


class Curves:
    """A point every so many steps, and at the end: mean loss since the last one, learning rate, norm, images/s.

    The norm is the mean of a batch's embeddings. Where people are held out, their accuracy has points of its own.
    """

    def __init__(self, folder: Path, every: int, batch: int, steps: int) -> None:
        """Hold where the curves are and how far apart their points; `follow` goes on with what is there."""
        self.folder, self.every, self.batch, self.steps = folder, every, batch, steps
        self.live: Live | None = None
        self.began, self.last = 0.0, 0

    def follow(self, learner: Learner) -> None:
        """Add the points of a step; the first call tells after which step the training begins."""
        if self.live is None:
            self.live = self._begin(learner.step)
            return
        self.live.step = learner.step
        if learner.step in learner.scores:
            self.live.log_metric("held_out", learner.scores[learner.step])
        if learner.step % self.every == 0 or learner.step == self.steps:
            steps, now = learner.step - self.last, time.monotonic()
            self.live.log_metric("loss", sum(learner.losses[-steps:]) / steps)
            self.live.log_metric("learning_rate", learner.optimiser.param_groups[0]["lr"])
            self.live.log_metric("norm", learner.norm.item())
            self.live.log_metric("images_s", steps * self.batch / (now - self.began))
            self.live.make_summary()
            self.began, self.last = now, learner.step

    def _begin(self, step: int) -> Live:
        """Drop the points of later steps, and halves of points and files, which a training that was killed has left."""
        (self.folder / "metrics.json").unlink(missing_ok=True)
        for file in self.folder.glob("plots/metrics/*.tsv"):
            header, *points = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")] or [
                ""
            ]
            with artifacts.output_file(file) as fresh:
                fresh.write_text("".join([header, *(p for p in points if int(p.partition("\t")[0]) <= step)]))
            if not header:
                file.unlink()
        self.began, self.last = time.monotonic(), step
        return Live(str(self.folder), resume=True, report=None, save_dvc_exp=False, dvcyaml=None, monitor_system=False)
