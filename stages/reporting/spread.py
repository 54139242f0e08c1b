"""How far images of one person lie apart: genuine and impostor cosines, and a map of a few people's images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.manifold import MDS

from stages.common import sphere
from stages.common.errors import InputError
from stages.common.images import Shards
from stages.common.networks import Recogniser
from stages.metrics import cluster_means
from stages.metrics.faces import Faces

SEED = 0  # of the map, where only distances mean something, and of their intervals
MOST = 2048  # rows of whose pairs all cosines are taken
MEASURED = 40  # people behind a mean distance; the few on the map are too few for a mean


@dataclass(frozen=True)
class Embedded:
    """Images of a few people on the map, identity (b,) and points (b, 2), and the mean distance within `people`."""

    identity: np.ndarray
    points: np.ndarray
    distance: Mapping[str, float]  # value, low, high: a 95 % interval over people
    people: int


def centre_cosines(faces: Faces) -> tuple[np.ndarray, np.ndarray]:
    """Return genuine cosines, of every image to the centre of its person's other images, and impostor ones.

    Impostor cosines are those of the centres of pairs of persons. Persons with one image have no genuine cosine. Raises
    ValueError when everybody has only one.
    """
    if not faces.several.any():
        raise InputError("data/generate", "one image of each identity", allowed="two or more, to compare them")
    return faces.to_the_others, impostor_cosines(faces.centres)


def impostor_cosines(x: np.ndarray) -> np.ndarray:
    """Return the cosines of all pairs of unit rows (m, d), (m (m - 1) / 2,); of more than MOST rows, of so many."""
    x = spaced(x, MOST)
    return (x @ x.T)[np.triu_indices(len(x), 1)]


def spaced(x: np.ndarray, most: int) -> np.ndarray:
    """Return at most `most` of the rows of x (m, ...), evenly spaced; all of them where there are no more."""
    return x if len(x) <= most else x[np.linspace(0, len(x) - 1, most).astype(int)]


def pick(identity: np.ndarray, people: int, images: int) -> np.ndarray:
    """Return rows of the first `images` images of `people` persons who have that many, evenly spaced among them.

    Raises ValueError when nobody has two images.
    """
    everybody, count = np.unique(identity, return_counts=True)
    images = min(images, int(count.max()))
    if images < 2:
        raise InputError(None, "one image of each identity", allowed="two or more, to measure a distance")
    enough = everybody[count >= images]
    chosen = enough[np.unique(np.linspace(0, len(enough) - 1, min(people, len(enough))).astype(int))]
    return np.concatenate([np.flatnonzero(identity == person)[:images] for person in chosen])


def within_distance(x: np.ndarray, identity: np.ndarray) -> np.ndarray:
    """Return each person's mean cosine distance, 1 - cos, of two images, (people,)."""
    return np.array([1 - impostor_cosines(x[identity == person]).mean() for person in np.unique(identity)])


def embed_map(domains: Mapping[str, Shards], recogniser: Recogniser, people: int, images: int) -> dict[str, Embedded]:
    """Embed a few people's images of each domain and lay all of them out on one plane by their cosine distances."""
    rows, people_of, distance = {}, {}, {}
    for name, shards in domains.items():
        identity = shards.column("identity")
        measured = pick(identity, max(MEASURED, people), images)
        x = sphere.unit_rows(recogniser.embed(shards.faces(measured), shards.frame_px))
        distance[name] = within_distance(x, identity[measured])
        mapped = pick(identity[measured], people, images)
        rows[name], people_of[name] = x[mapped], identity[measured][mapped]
    points = iter(_plane(list(rows.values())))
    return {name: Embedded(people_of[name], next(points), _mean(each), len(each)) for name, each in distance.items()}


def _mean(each: np.ndarray) -> dict[str, float]:
    return cluster_means.mean(each, np.arange(len(each)), SEED)


def _plane(rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    x = np.concatenate(rows).astype(np.float64)
    distance = np.clip(1 - x @ x.T, 0, None)
    distance = (distance + distance.T) / 2
    np.fill_diagonal(distance, 0)
    mds = MDS(metric="precomputed", init="classical_mds", n_init=1, random_state=SEED)
    points = np.asarray(mds.fit_transform(distance))
    return np.split(points, np.cumsum([len(part) for part in rows])[:-1])
