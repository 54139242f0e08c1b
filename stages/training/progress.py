"""How far the trainings of a variant are, all seeds together, in whichever ranks they run."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm


class Progress:
    """A bar of samples on rank 0: a hidden file for each seed has a byte for every step, so that it can count all."""

    def __init__(self, folder: Path, seeds: Sequence[int], steps: int, batch: int) -> None:
        """Hold where the files are; each training has so many steps of a batch."""
        self.folder, self.seeds, self.batch = folder, seeds, batch
        self.total = len(seeds) * steps * batch
        self.bar: Any = None

    def file(self, seed: int) -> Path:
        """Return the file that has a byte for every step of a seed's training."""
        return self.folder / f".steps-{seed}"

    def seen(self) -> int:
        """Return how many samples the trainings of all seeds have seen."""
        files = [self.file(seed) for seed in self.seeds]
        return sum(file.stat().st_size for file in files if file.exists()) * self.batch

    def show(self, title: str) -> Any:
        """Return the bar, a context; it begins with what has been done."""
        self.bar = tqdm(
            desc=title, total=self.total, initial=self.seen(), unit="img", unit_scale=True, mininterval=1, ncols=80,
            file=sys.stdout,
        )  # fmt: skip
        return self.bar

    def count(self, seed: int, step: int) -> None:
        """Say that a training has made so many steps."""
        self.file(seed).touch()
        os.truncate(self.file(seed), step)
        self.update()

    def update(self) -> None:
        """Move the bar, where there is one, to what all ranks have seen."""
        if self.bar is not None:
            self.bar.update(self.seen() - self.bar.n)
