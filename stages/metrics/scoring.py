"""Score the pairs of every benchmark by any recognisers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from stages.common import artifacts, embeddings, networks, sphere, tables
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.common.images import Shards
from stages.metrics import bootstrap
from stages.metrics.bootstrap import Estimate

BENCHMARKS = Path("data/benchmarks")
PAIRS = 4096  # pairs whose rows are in memory at a time
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


class Mirrored:
    """A network that adds the rows of a face and of its mirror image, as is usual for photographs.

    Of rendered people there are enough images to do without, and it would double the time.
    """

    def __init__(self, net: networks.Recogniser) -> None:
        """Hold the network."""
        self.net, self.embedding_size = net, net.embedding_size

    def embed(self, faces: np.ndarray, frame_px: float | None = None) -> np.ndarray:
        """Return the sums (b, d) float32 of faces uint8 (b, h, w, 3) RGB."""
        return self.net.embed(faces, frame_px) + self.net.embed(np.ascontiguousarray(faces[:, :, ::-1]), frame_px)


def embedded(nets: Sequence[networks.Recogniser], protocol: Protocol, folder: Path) -> list[np.ndarray]:
    """Return the unit rows (n, d) that each network gives all images of a protocol, all ranks together.

    They are memory-mapped files of `folder`, where finished shards are kept.
    """
    seen = {str(i): Mirrored(net) if protocol.domain == "external" else net for i, net in enumerate(nets)}
    files = embeddings.embed(seen, embeddings.stored(protocol.shards), folder, protocol.name)
    return [
        embeddings.whole(own, folder / f".{protocol.name}-{name}.npy", sphere.unit_rows) for name, own in files.items()
    ]


def in_parts(cosine: Callable[[slice], np.ndarray], pairs: int) -> np.ndarray:
    """Return the cosines (pairs,) of all pairs from those of a slice of them: their rows would fill the memory."""
    return np.concatenate([cosine(slice(start, start + PAIRS)) for start in range(0, pairs, PAIRS)])


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
    everybody = x.sum(axis=0)

    def cosine(part: slice) -> np.ndarray:
        others = everybody - total[person_a[part]] - different[part, None] * total[person_b[part]]
        centre = others / np.maximum(third[part], 1)[:, None]
        return cosines(x[a[part]] - centre, x[b[part]] - centre)

    return in_parts(cosine, len(a))


def keys(protocol: Protocol) -> list[str]:
    """Return the names of the ways to score a protocol: raw, for external photographs also by centred rows."""
    return [protocol.name, f"{protocol.name}-centred"] if protocol.domain == "external" else [protocol.name]


def scores(protocol: Protocol, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the cosine of every pair (p,), one for each of the protocol's `keys`."""
    a, b, (raw, *others) = protocol.a, protocol.b, keys(protocol)
    cosine_of = {raw: in_parts(lambda part: cosines(x[a[part]], x[b[part]]), len(a))}
    return cosine_of | {key: centred(x, protocol.shards.column("identity"), a, b) for key in others}


class Measured(NamedTuple):
    """One way of scoring a protocol: its name, pairs with scores, metrics."""

    name: str
    rows: pa.Table
    estimate: Estimate


def measure(protocol: Protocol, rows: Sequence[np.ndarray], seeds: Sequence[int], cfg: Evaluate) -> list[Measured]:
    """Score a protocol in all ways by the rows (n, d) of networks that differ in their seed alone."""
    per_network = [scores(protocol, x) for x in rows]
    measured = []
    for key in keys(protocol):
        scored = table(protocol, np.stack([score[key] for score in per_network]), seeds)
        score, pairs = bootstrap.scored_pairs(scored)
        measured.append(Measured(key, scored, bootstrap.estimate(score, pairs, cfg.fars, cfg.replicates, cfg.seed)))
    return measured


def summary(estimate: Estimate, confidence: float) -> dict[str, Any]:
    """Return each metric's value, interval and value per seed; null where it cannot be measured."""
    low, high = bootstrap.interval(estimate, confidence)
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
