"""The curves of a training under way, for `dvc plots` and `dvc exp show`: DVCLive writes them, a file a curve.

FOLDER/plots/metrics/{loss,learning_rate,norm,images_s,held_out}.tsv   step, value
FOLDER/metrics.json                                                    the last point
"""

import time
from pathlib import Path

import pandas as pd
from dvclive.live import Live

from stages.training.learner import Learner


class Curves:
    """A point every so many steps: mean loss since the last, learning rate, mean norm of the embeddings, images/s.

    Where people are held out, their accuracy has points of its own.
    """

    def __init__(self, folder: Path, every: int, batch: int) -> None:
        """Hold where the curves are and how far apart their points; `follow` goes on with what is there."""
        self.folder, self.every, self.batch = folder, every, batch
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
        if learner.step % self.every == 0:
            steps, now = learner.step - self.last, time.monotonic()
            self.live.log_metric("loss", sum(learner.losses[-steps:]) / steps)
            self.live.log_metric("learning_rate", learner.optimiser.param_groups[0]["lr"])
            self.live.log_metric("norm", learner.norm.item())
            self.live.log_metric("images_s", steps * self.batch / (now - self.began))
            self.live.make_summary()
            self.began, self.last = now, learner.step

    def _begin(self, step: int) -> Live:
        """Drop the points of later steps, which a training that was killed has left."""
        for file in self.folder.glob("plots/metrics/*.tsv"):
            points = pd.read_csv(file, sep="\t")
            points[points["step"] <= step].to_csv(file, sep="\t", index=False)
        self.began, self.last = time.monotonic(), step
        return Live(str(self.folder), resume=True, report=None, save_dvc_exp=False, dvcyaml=None, monitor_system=False)
