"""Score what a trained recogniser has to beat on the user's own sets, under the same protocol.

reads    data/benchmarks/, data/pretrain/, the networks of baselines.networks; params baselines, evaluate
writes   data/baselines/NAME/PROTOCOL.arrow   pairs and scores, as evaluate keeps them
         reports/baselines.json   {NAME: {PROTOCOL: metrics with intervals}}; no protocols without sets of the user's
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from stages.common import artifacts, images, networks, params, recognisers, stage, tables
from stages.common.networks import Recogniser
from stages.metrics import scoring
from stages.settings.baselines import Baselines
from stages.settings.evaluate import Evaluate

BLANK = 1e-4  # gives the row of a blank face a direction, too
STATISTICS = 512  # faces from which an untrained network takes its batch statistics
UNTRAINED = Path("data/pretrain/recogniser")  # whose card says what network has random weights


class Pixels:
    """A face as side_px x side_px grey levels, of mean 0 and variance 1: what needs no training at all."""

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
    """Return the network of a card with random weights, its batch statistics those of faces of other people."""
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


def scored(nets: Sequence[Recogniser], seeds: Sequence[int], cfg: Evaluate, folder: Path) -> dict[str, Any]:
    """Score the user's sets by networks that differ in their seed alone; returns the metrics by protocol."""
    found = {}
    for protocol in scoring.protocols():
        if protocol.domain == "external":
            for name, rows, estimate in scoring.measure(protocol, nets, seeds, cfg):
                tables.write(folder / f"{name}.arrow", rows)
                found[name] = scoring.summary(estimate, cfg.confidence)
    return found


def main() -> str:
    """Run the stage."""
    cfg, evaluate = params.load("baselines", Baselines), params.load("evaluate", Evaluate)
    others = next(p for p in scoring.protocols() if p.domain == "wild").shards
    faces = others.faces(np.arange(min(STATISTICS, len(others))))
    card = artifacts.read_weights(UNTRAINED)[1]
    baselines: dict[str, tuple[Sequence[Recogniser], Sequence[int]]] = {
        "pixels": ([Pixels(cfg.side_px)], [0]),
        "untrained": ([untrained(card, seed, faces) for seed in cfg.seeds], cfg.seeds),
        **{name: ([recognisers.load(network)], [0]) for name, network in cfg.networks.items()},
    }
    with artifacts.output_folder("data/baselines") as folder:
        report = {}
        for name, (nets, seeds) in baselines.items():
            (folder / name).mkdir()
            report[name] = scored(nets, seeds, evaluate, folder / name)
    artifacts.write_json("reports/baselines.json", report)
    return closing_lines(report)


def closing_lines(report: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a line for every set, the accuracy of every baseline on it, and where all the rest is."""
    sets = list(next(iter(report.values())))
    on = "accuracy in %" if sets else f"no sets of your own to score {', '.join(report)} on"
    rows = {each: ", ".join(f"{name} {_percent(found[each])}" for name, found in report.items()) for each in sets}
    return "\n".join([*map(": ".join, rows.items()), f"baselines: {on} -> reports/baselines.json"])


def _percent(metrics: Mapping[str, Any]) -> str:
    return f"{100 * metrics['accuracy']['value']:.1f}"


if __name__ == "__main__":
    stage.run(main)
