"""Score the pairs of every benchmark by any recognisers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from stages.common import artifacts, networks, sphere, tables
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.common.images import Shards
from stages.metrics import bootstrap
from stages.metrics.bootstrap import Estimate

BENCHMARKS = Path("data/benchmarks")
FACES = 512  # faces decoded at a time
DOMAINS = ("wild", "studio", "external")


@dataclass(frozen=True)
class Protocol:
    """A benchmark: image shards and pairs (p,) of their rows a and b."""

    name: str
    domain: str
    shards: Shards
    a: np.ndarray
    b: np.ndarray
    same: np.ndarray
    fold: np.ndarray

    @property
    def identity_a(self) -> np.ndarray:
        """Return the person of each first image, (p,)."""
        return self.shards.column("identity")[self.a]

    @property
    def identity_b(self) -> np.ndarray:
        """Return the person of each second image, (p,)."""
        return self.shards.column("identity")[self.b]


def protocols() -> list[Protocol]:
    """Return the benchmarks that index.json names; raises InputError when the pairs of one contradict its images."""
    file = BENCHMARKS / "index.json"
    try:
        listed = [(str(p["name"]), Path(p["folder"]), str(p["domain"])) for p in artifacts.read_json(file)["protocols"]]
    except (KeyError, TypeError) as error:
        problem = f"not readable ({artifacts.brief(error)})"
        raise InputError(file, problem, key="protocols", allowed="a name, a folder and a domain for each") from error
    for name, _, domain in listed:
        if domain not in DOMAINS:
            raise InputError(file, key=f"domain of {name}", value=domain, allowed=", ".join(DOMAINS))
    if not any(domain == "wild" for *_, domain in listed):
        raise InputError(file, "none of domain wild", key="protocols", allowed="one or more of domain wild")
    return [_protocol(*entry) for entry in listed]


def _protocol(name: str, folder: Path, domain: str) -> Protocol:
    file = folder / "pairs.arrow"
    table = tables.read(file, tables.PAIRS)
    shards = Shards(folder, "*-[0-9]*.arrow")  # not pairs.arrow
    a, b, same, fold = (table[key].to_numpy() for key in tables.PAIRS.names)
    if len(a) == 0 or min(a.min(), b.min()) < 0 or max(a.max(), b.max()) >= len(shards):
        raise InputError(file, "a row beyond the images, or no pair", key="a and b", allowed=f"0 to {len(shards) - 1}")
    protocol = Protocol(name, domain, shards, a, b, same, fold)
    wrong = np.flatnonzero((protocol.identity_a == protocol.identity_b) != same)
    if len(wrong):
        problem = "contradicts the identities of its images"
        raise InputError(file, problem, key=f"same of pair {wrong[0]}", value=bool(same[wrong[0]]))
    if same.all() or not same.any() or len(np.unique(fold)) < 2:
        raise InputError(file, key="pairs", allowed="genuine and impostor ones, in two folds or more")
    return protocol


def embeddings(nets: Sequence[networks.Recogniser], protocol: Protocol) -> list[np.ndarray]:
    """Return the unit rows (n, d) that each network gives all images of a protocol.

    A photograph's row is the sum of the rows of the face and of its mirror image, as is usual. Of rendered people there
    are enough images to do without, and it would double the time.
    """
    rows = []
    for start in range(0, len(protocol.shards), FACES):
        faces = protocol.shards.faces(np.arange(start, min(start + FACES, len(protocol.shards))))
        x = [net.embed(faces, protocol.shards.frame_px) for net in nets]
        if protocol.domain == "external":
            mirrored = np.ascontiguousarray(faces[:, :, ::-1])
            x = [row + net.embed(mirrored, protocol.shards.frame_px) for row, net in zip(x, nets, strict=True)]
        rows.append(x)
    return [sphere.unit_rows(np.concatenate(x)) for x in zip(*rows, strict=True)]


def cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the cosine of each row of x (p, d) to the same row of y (p, d)."""
    return np.einsum("pd,pd->p", sphere.unit_rows(x), sphere.unit_rows(y))


def centred(x: np.ndarray, identity: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine (p,) of rows a and b (p,) of x (n, d) after subtracting the mean row of all other people.

    Each pair has one centre, to which neither of its two people contributes. With a centre for each image, or for half
    of the people, the centres alone would tell impostor pairs from genuine ones.
    """
    people, member = np.unique(identity, return_inverse=True)
    total, count = np.zeros((len(people), x.shape[1])), np.bincount(member)
    np.add.at(total, member, x)
    person_a, person_b = member[a], member[b]
    different = (person_a != person_b).astype(np.int64)  # the two people of a genuine pair are one
    third = len(x) - count[person_a] - different * count[person_b]
    centre = (x.sum(axis=0) - total[person_a] - different[:, None] * total[person_b]) / np.maximum(third, 1)[:, None]
    return cosines(x[a] - centre, x[b] - centre)


def scores(protocol: Protocol, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the cosine of every pair (p,) by the protocol's name, for external photographs also of centred rows."""
    cosine_of = {protocol.name: cosines(x[protocol.a], x[protocol.b])}
    if protocol.domain == "external":
        cosine_of[f"{protocol.name}-centred"] = centred(x, protocol.shards.column("identity"), protocol.a, protocol.b)
    return cosine_of


class Measured(NamedTuple):
    """One way of scoring a protocol: its name, pairs with scores, metrics."""

    name: str
    rows: pa.Table
    estimate: Estimate


def measure(
    protocol: Protocol, nets: Sequence[networks.Recogniser], seeds: Sequence[int], cfg: Evaluate
) -> list[Measured]:
    """Score a protocol by networks that differ in their seed alone; external protocols are measured raw and centred."""
    per_network = [scores(protocol, x) for x in embeddings(nets, protocol)]
    measured = []
    for name in per_network[0]:
        rows = table(protocol, np.stack([score[name] for score in per_network]), seeds)
        score, pairs = bootstrap.scored_pairs(rows)
        measured.append(Measured(name, rows, bootstrap.estimate(score, pairs, cfg.fars, cfg.replicates, cfg.seed)))
    return measured


def summary(estimate: Estimate, confidence: float) -> dict[str, Any]:
    """Return each metric's value, interval and value per seed; null where it cannot be measured."""
    low, high = bootstrap.interval(estimate.replicates, confidence)
    measured = np.isfinite(estimate.value) & np.isfinite(low) & np.isfinite(high)
    return {
        name: {"value": estimate.value[m], "low": low[m], "high": high[m], "per_seed": estimate.per_seed[:, m]}
        if measured[m]
        else None
        for m, name in enumerate(estimate.names)
    }


def table(protocol: Protocol, score: np.ndarray, seeds: Sequence[int]) -> pa.Table:
    """Return the pairs, their people and a column of scores (s, p) per seed."""
    pairs = tables.of(tables.PAIRS, {name: getattr(protocol, name) for name in tables.PAIRS.names})
    people = {name: pa.array(getattr(protocol, name), pa.int32()) for name in ("identity_a", "identity_b")}
    scores = {f"seed_{seed}": pa.array(row, pa.float32()) for seed, row in zip(seeds, score, strict=True)}
    return pa.table({**dict(zip(pairs.column_names, pairs.columns, strict=True)), **people, **scores})
