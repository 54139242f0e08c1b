"""What all evaluators share: the rows that networks give the images of a benchmark, and how estimates are written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stages.common import embeddings, networks, sphere
from stages.common.images import Shards
from stages.metrics import bootstrap
from stages.metrics.bootstrap import Estimate


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


def embedded(
    nets: Sequence[networks.Recogniser], shards: Shards, folder: Path, unit: bool = True, mirrored: bool = False
) -> list[np.ndarray]:
    """Return the rows (n, d) that each network gives all images of some shards, all ranks together.

    unit: at length one, or at their native norms. mirrored: as `Mirrored` has them. They are memory-mapped files of
    `folder`, where finished shards are kept, by the name of the shards' folder.
    """
    seen = {str(i): Mirrored(net) if mirrored else net for i, net in enumerate(nets)}
    name, kind = shards.folder.name, "" if unit else "native-"
    files = embeddings.embed(seen, embeddings.stored(shards), folder, name)
    change = sphere.unit_rows if unit else np.asarray
    return [embeddings.whole(own, folder / f".{name}-{kind}{i}.npy", change) for i, own in files.items()]


def joined(*estimates: Estimate) -> Estimate:
    """Return the metrics of several estimates on the same benchmark, one after the other."""
    names = tuple(name for estimate in estimates for name in estimate.names)
    per_seed, replicates = (
        np.concatenate([getattr(estimate, key) for estimate in estimates], axis=1) for key in ("per_seed", "replicates")
    )
    return Estimate(names, per_seed, replicates)


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
