"""Faces and curves of revisions, side by side, for `compare`: read from git and DVC's cache, nothing is checked out."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from stages.metrics import bootstrap
from stages.reporting import figures, frame, revision_figure, scores
from stages.reporting.page import Block, Figures, Folded, Heading, Text
from stages.reporting.results import WILD
from stages.tools.compare_differences import Comparison
from stages.tools.compare_sheets import named
from stages.tools.revisions import Revision

SHEETS = "reports/figures"
MOST_PX = 1000  # width and height of a sheet of faces on the page
LOGGED = {"loss": "loss", "held_out": "accuracy on held-out people"}  # what is drawn of a training


class Album:
    """The pictures of a comparison: files in a folder, and blocks that show them."""

    def __init__(self, comparison: Comparison, folder: Path) -> None:
        """Hold what is compared, and where the files go."""
        self.comparison, self.folder = comparison, folder
        self.look = revision_figure.looks(comparison.names)
        self.enough = min(2, len(comparison.revisions))  # curves on the same axes that are worth a figure
        single = len(comparison.revisions) == 1
        self.variants = [name for name in comparison.variants if single or name not in comparison.equal]

    def answer(self) -> list[Block]:
        """Draw accuracies and paired differences on the mean of the wild protocols."""
        pictures = [*self._accuracies(), *self._differences()]
        return [Figures(pictures)] if pictures else []

    def _differences(self) -> list[tuple[Path, str]]:
        contrasts = [contrast for (_, _, protocol, _), contrast in self.comparison.lead.items() if protocol == WILD]
        if not contrasts:
            return []
        file = figures.phenomena(contrasts, self.folder / "differences.png", revision_figure.WIDTH_IN)
        caption = "Dot: the difference; bar: its interval. Blue: higher; orange: lower; hollow: no verdict."
        return [(file, caption)]

    def _accuracies(self) -> list[tuple[Path, str]]:
        scored = {r.name: frame.column(r.results, self.variants, WILD) for r in self.comparison.revisions}
        if len(scored) < 2 or not self.variants:
            return []
        file = revision_figure.accuracy(scored, self.look, "Mean of the wild protocols", self.folder / "accuracy.png")
        return [(file, "Marker: the accuracy at a revision; bar: its interval.")]

    def curves(self) -> list[Block]:
        """Draw the ROC curves of every training set, a line for each revision; other protocols than wild are folded."""
        wild, *others = self.comparison.leading
        shown = self._roc(wild)
        folded = [Folded(f"ROC curves on {named(p)}", blocks) for p in others if (blocks := self._roc(p))]
        text = "Mean over protocols and training seeds; each revision on its own pairs."
        return [Heading("ROC curves"), Text(text), *shown, *folded] if shown or folded else []

    def _roc(self, protocol: str) -> list[Block]:
        pictures, missing = [], []
        for variant in self.variants:
            having = [r for r in self.comparison.revisions if variant in r.variants]
            wild = [name for name in frame.names(having[0].results, WILD) if all(name in _scored(r) for r in having)]
            curves = {r.name: roc(r, variant, wild if protocol == WILD else [protocol]) for r in having}
            missing += [f"{variant} at {name}" for name, curve in curves.items() if curve is None]
            found = {name: curve for name, curve in curves.items() if curve is not None}
            if len(found) >= self.enough:
                file = self.folder / f"roc-{protocol}-{variant}.png"
                pictures.append((revision_figure.roc(found, self.look, f"{variant}, {named(protocol)}", file), ""))
        lines = [Text(f"No scores: {', '.join(missing)}.")] if missing and pictures else []
        return [Figures(pictures), *lines] if pictures else []

    def trainings(self) -> list[Block]:
        """Draw what trainings logged, of the training sets of which two revisions have it."""
        pictures = []
        for name, measure in LOGGED.items():
            for variant in self.comparison.variants:
                curves = {r.name: logged(r, variant, name) for r in self.comparison.revisions}
                found = {name: curve for name, curve in curves.items() if curve is not None}
                if len(found) >= self.enough:
                    file = self.folder / f"{name}-{variant}.png"
                    pictures.append((revision_figure.training(found, self.look, variant, measure, file), ""))
        text = "Mean over training seeds."
        return [Heading("Training curves"), Text(text), Figures(pictures)] if pictures else []

    def faces(self) -> list[Block]:
        """Show the faces of every training set, and at designated poses, at each revision that has another picture."""
        differ, alike = [], []
        for name in [*(f"faces-{variant}" for variant in self.comparison.variants), "poses"]:
            pictures = self._sheets(name)
            (alike if len(pictures) == 1 else differ).extend(pictures)
        blocks: list[Block] = [Figures(differ, photos=True)] if differ else []
        if alike:
            blocks.append(Folded("Faces that no two revisions show otherwise", [Figures(alike, photos=True)]))
        return [Heading("Faces"), *blocks] if blocks else []

    def _sheets(self, name: str) -> list[tuple[Path, str]]:
        """Return the different pictures of a name, each with the revisions that have it."""
        having: dict[bytes, list[str]] = {}
        for revision in self.comparison.revisions:
            content = revision.content(f"{SHEETS}/{name}.jpg")
            if content is not None:
                having.setdefault(content, []).append(revision.name)
        pictures = []
        for i, (content, names) in enumerate(having.items()):
            file = self.folder / f"{name}-{i}.jpg"
            file.write_bytes(bounded(content))
            pictures.append((file, f"{name.removeprefix('faces-')} at {', '.join(names)}"))
        return pictures


def _scored(revision: Revision) -> list[str]:
    return frame.level(revision.results, "protocol")


def roc(revision: Revision, variant: str, protocols: Sequence[str]) -> np.ndarray | None:
    """Return the true accept rate at `FAR_GRID`, the mean over protocols and seeds; None when scores are missing."""
    tables = [revision.scores(variant, protocol) for protocol in protocols]
    scored = [bootstrap.scored_pairs(table) for table in tables if table is not None]
    whole = scored and len(scored) == len(tables)
    return scores.mean_curve(scored) if whole else None


def logged(revision: Revision, variant: str, name: str) -> pd.Series | None:
    """Return what a training logged by step, the mean over its seeds; None when it logged nothing."""
    files = revision.listed(f"data/curves/{variant}", f"seed-*/plots/metrics/{name}.tsv")
    contents = [content for file in files if (content := revision.content(file)) is not None]
    points = [pd.read_csv(BytesIO(content), sep="\t") for content in contents]
    return pd.Series(pd.concat(points).groupby("step")[name].mean()) if points else None


def bounded(content: bytes) -> bytes:
    """Return a JPEG of at most `MOST_PX` a side: as it is, or smaller."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    scale = MOST_PX / max(image.shape[:2])
    if scale >= 1:
        return content
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, figures.JPEG_QUALITY])[1].tobytes()
