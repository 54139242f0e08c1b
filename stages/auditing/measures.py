"""What is measured on embedded images of people: each function returns one branch of reports/audit.json."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from stages.auditing import duplicates
from stages.auditing.faces import Numbered
from stages.common import sphere
from stages.metrics import capacity, cluster_means
from stages.metrics.bounds import capacity as caps_log10
from stages.metrics.dimension import participation_ratio
from stages.metrics.faces import Faces
from stages.settings.audit import Audit


def fidelity(faces: Faces, x_id: np.ndarray, seed: int) -> dict[str, Any]:
    """Return cos(F(G(x)), x) per image and of identity centres, and top-1 among all rows, with intervals."""
    top1 = faces.each(lambda x, identity: sphere.nearest(x, x_id)[0] == identity)
    return {
        "image": cluster_means.mean(faces.cosines(x_id), faces.identity, seed),
        "centre": cluster_means.mean(np.einsum("md,md->m", faces.centres, x_id), np.arange(len(x_id)), seed),
        "top1": cluster_means.mean(top1, faces.identity, seed),
    }


def judged(faces: Faces, index: np.ndarray, seed: int) -> dict[str, Any]:
    """Return how surely the judge sees one person in the images of each identity; the rows are another network's."""
    return {"to_the_others": to_the_others(faces, seed), "top1": enrolled_top1(faces, index, seed)}


def enrolled_top1(faces: Faces, index: np.ndarray, seed: int) -> dict[str, float]:
    """Return top-1 among the identities when the first half of each one's images is enrolled, the rest probes."""
    first = index < (index.max() + 1) // 2
    x_enrolled = sphere.unit_rows(faces.sums(first))
    right = faces.each(lambda x, identity: sphere.nearest(x, x_enrolled)[0] == identity)
    return cluster_means.mean(right[~first], faces.identity[~first], seed)


def to_the_others(faces: Faces, seed: int) -> dict[str, float]:
    """Return the mean cosine of an image to the centre of its identity's other images.

    This is how surely the judge sees one person in the images of a row that is not its own.
    """
    return cluster_means.mean(faces.to_the_others, faces.identity[faces.several], seed)


def separation(faces: Faces) -> dict[str, float]:
    """Return how near the nearest other identity's centre is: mean, 95th percentile and maximum of the cosine."""
    _, cosine = sphere.nearest(faces.centres)
    return {"mean": cosine.mean(), "p95": np.quantile(cosine, 0.95), "max": cosine.max()}


def dimension(faces: Faces) -> float:
    """Return the participation ratio of the identities' centres."""
    return participation_ratio(faces.centres)


def spread(faces: Faces, seed: int) -> dict[str, float]:
    """Return the mean cosine between two images of one identity."""
    several = faces.count > 1
    count, norm = faces.count[several], np.array([np.square(total).sum() for total in faces.total])[several]
    mean = (norm - count) / (count * (count - 1))
    return cluster_means.mean(mean, np.flatnonzero(several), seed)


def leakage(judged: Faces, gallery: np.ndarray, unrelated: Faces, cfg: Audit) -> dict[str, Any]:
    """Return the share of images that the judge takes for someone of the gallery, beside that of unrelated people.

    gallery: its unit rows (n, d). All ranks call this and share it.

    Unrelated people are unseen ones of the same domain. One half of them sets the threshold, so that
    `false_match_rate` of their images come nearer than it to someone of the whole gallery. (A threshold for single
    pairs would say little: the nearest of many is near.) The other half gives the rate with which to compare that of
    the generated images.
    """
    first = unrelated.identity < (unrelated.identity.max() + 1) // 2
    nearest = unrelated.nearest(gallery)
    threshold = float(np.quantile(nearest[first], 1 - cfg.false_match_rate))
    leaked = judged.nearest(gallery) > threshold
    return {
        "threshold": threshold,
        "false_match_rate": cfg.false_match_rate,
        "rate": cluster_means.mean(leaked, judged.identity, cfg.seed),
        "unrelated_rate": cluster_means.mean(nearest[~first] > threshold, unrelated.identity[~first], cfg.seed),
    }


def capacities(
    faces: Mapping[str, Numbered], unrelated: Faces, cfg: Audit
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return how many identities of each kind of row fit, of those that were drawn, and the curves behind it.

    A curve (N - 1, 3) is the share of confused probes among N = 2, 3, ... identities, with low and high. Unrelated
    people set the threshold. The numbers that `caps` gives for the same images stand beside the measured ones.
    """
    limit = cfg.capacity
    cosine, accepted = capacity.threshold(unrelated, limit.false_match_rate)
    branch: dict[str, Any] = {"threshold": cosine, "true_match_rate": accepted, **asdict(limit)}
    curves: dict[str, np.ndarray] = {}
    for name, (images, index) in faces.items():
        count, probe = capacity.confusions(images, index, cosine)
        people = images.people
        curves[name] = capacity.curve(count, probe, people, cfg.seed)
        value, low, high = curves[name].T
        fits = {key: capacity.fitting(c, limit.confused) for key, c in (("value", value), ("low", high), ("high", low))}
        branch[name] = {"drawn": people, "identities": fits, "caps": caps(images, cosine, limit.confused)}
    return branch, curves


def caps(faces: Faces, tau: float, outside: float) -> dict[str, Any]:
    """Return how many caps fit on the sphere so that no two identities can match above tau (`bounds.capacity`).

    A cap of rho_deg degrees about an identity's centre holds all but a share `outside` of the images; centres of few
    images make it somewhat narrow. `fewest_log10` surely fit, more than `most_log10` cannot; both are None where images
    in one cap need not match, so that no arrangement of caps tells identities apart and keeps each together.
    """
    away_deg = sphere.angle_deg(faces.to_centre)
    rho_deg, d = float(np.quantile(away_deg, 1 - outside)), faces.x.shape[1]
    fit = caps_log10(tau, rho_deg, d) if 2 * rho_deg <= sphere.angle_deg(np.array(tau)) else (None, None)
    return {"tau": tau, "rho_deg": rho_deg, "d": d, "fewest_log10": fit[0], "most_log10": fit[1]}


def near_duplicates(faces: Faces, cosine: float) -> dict[str, float]:
    """Return how many pairs of images of different identities are closer than `cosine`, and their share.

    Every such pair is counted, however many images there are. All ranks call this and share it.
    """
    count = duplicates.near_duplicates(faces, cosine)
    pairs = (len(faces) ** 2 - np.square(faces.count.astype(np.float64)).sum()) / 2
    return {"pairs": count, "rate": count / pairs}


def kept(faces: Faces, minimum: float) -> np.ndarray:
    """Return which images (b,) are at least `minimum` near their identity's centre."""
    return faces.to_centre >= minimum
