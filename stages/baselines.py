"""Score, on the user's own sets, the baselines that a trained recogniser has to beat, under the same protocol.

reads    data/benchmarks/, data/pretrain/, the networks of baselines.networks; params baselines, evaluate
writes   data/baselines/NAME/PROTOCOL.arrow   pairs and scores, as evaluate keeps them
         reports/baselines.json   {NAME: {PROTOCOL: metrics with intervals}}; without sets of the user, no protocols
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from stages import evaluators
from stages.common import artifacts, images, networks, params, ranks, recognisers, stage, tables
from stages.common.evaluate import Evaluate
from stages.common.networks import Recogniser
from stages.metrics import scoring
from stages.settings.baselines import Baselines

BLANK = 1e-4  # added to every row, so that the row of a blank face has a direction
STATISTICS = 512  # faces from which an untrained network takes its batch statistics
UNTRAINED = Path("data/pretrain/recogniser")  # the untrained network has the architecture of its card


class Pixels:
    """A face as side_px x side_px grey levels, of mean 0 and variance 1: a recogniser without any training."""

    def __init__(self, side_px: int) -> None:
        """Choose how many pixels a side."""
        self.side_px, self.embedding_size = side_px, side_px**2

    def embed(self, faces: np.ndarray, frame_px: float | None = None) -> np.ndarray:
        """Return rows (b, side_px ** 2) float32 of faces uint8 (b, h, w, 3) RGB, whatever they show."""
        size = (self.side_px, self.side_px)
        small = [cv2.resize(face, size, interpolation=cv2.INTER_AREA) for face in images.grey(faces)]
        x = np.array(small, np.float32).reshape(len(faces), self.embedding_size)
        x -= x.mean(axis=1, keepdims=True)
        return x / np.maximum(x.std(axis=1, keepdims=True), 1) + BLANK


def untrained(card: Mapping[str, Any], seed: int, faces: np.ndarray) -> Recogniser:
    """Return the network of a card with random weights, with batch statistics from `faces`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = networks.build(card)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = None  # the plain mean over all batches
        recogniser = networks.Embedded(net, card)
        net.train()
        with torch.no_grad():
            recogniser.features(torch.from_numpy(faces).float())
        net.eval()
    return recogniser


def scored(nets: Sequence[Recogniser], seeds: Sequence[int], cfg: Evaluate, folder: Path, kept: Path) -> dict[str, Any]:
    """Score the user's sets by networks that differ in their seed alone; returns the metrics by protocol.

    folder: for the scores; kept: for rows that a later try need not compute again.
    """
    kept.mkdir(exist_ok=True)
    metrics = {}
    for evaluator in evaluators.load(cfg):
        benchmark = evaluator.benchmark
        if (benchmark.domain, benchmark.kind) == ("external", "pairs"):
            rows = scoring.embedded(nets, benchmark.shards, kept, evaluator.unit, evaluator.mirrored)
            for part, (estimate, scores) in zip(evaluator.parts(), evaluator.measure(rows, seeds), strict=True):
                tables.write(folder / f"{part.key}.arrow", scores)
                metrics[part.key] = scoring.summary(estimate, cfg.confidence)
    return metrics


def main() -> str:
    """Run the stage."""
    cfg, evaluate = params.load("baselines", Baselines), params.load("evaluate", Evaluate)
    wild = next(benchmark for benchmark in evaluators.benchmarks() if benchmark.domain == "wild").shards
    faces = wild.faces(np.arange(min(STATISTICS, len(wild))))
    card = artifacts.read_weights(UNTRAINED)[1]
    baselines: dict[str, tuple[Sequence[Recogniser], Sequence[int]]] = {
        "pixels": ([Pixels(cfg.side_px)], [0]),
        "untrained": ([untrained(card, seed, faces) for seed in cfg.untrained.seeds], cfg.untrained.seeds),
        **{name: ([recognisers.load(network)], [0]) for name, network in cfg.networks.items()},
    }
    with ranks.kept("baselines") as kept, artifacts.output_folder("data/baselines") as folder:
        report = {}
        for name, (nets, seeds) in baselines.items():
            (folder / name).mkdir()
            report[name] = scored(nets, seeds, evaluate, folder / name, kept / name)
    artifacts.write_json("reports/baselines.json", report)
    return closing_lines(report)


def closing_lines(report: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a line for every set with the accuracy of every baseline, and a line that names the report."""
    sets = list(next(iter(report.values())))
    summary = "accuracy in %" if sets else f"no sets of your own to score {', '.join(report)} on"
    return "\n".join([*(_line(key, report) for key in sets), f"baselines: {summary} -> reports/baselines.json"])


def _line(key: str, report: Mapping[str, Mapping[str, Any]]) -> str:
    percent = {name: 100 * metrics[key]["accuracy"]["value"] for name, metrics in report.items()}
    return f"{key}: {', '.join(f'{name} {value:.1f}' for name, value in percent.items())}"


if __name__ == "__main__":
    stage.run(main)
