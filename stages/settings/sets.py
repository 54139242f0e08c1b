"""The entries of the `sets` section of params.yaml."""

from typing import Literal

from stages.common.params import Count, PathOrNone, Seed, check_path, settings


@settings
class Sets:
    """A training set that the generator did not make.

    `embedded` renders the `wild` domain and reads `none`; the others are formats of sets on disk, which lie at `path`,
    below data. At most `identities` x `images` are taken, the first ones, as they are where they are `aligned` as for
    ArcFace, which goes without saying, else aligned with `world.detector`.
    """

    backend: Literal["embedded", "folder", "rec", "lmdb", "parquet", "arrow", "webdataset"]
    path: PathOrNone
    aligned: bool = True
    identities: Count
    images: Count
    seed: Seed

    def __post_init__(self) -> None:
        """Refuse a path without need, and the need of one without a path."""
        check_path(self.backend, self.path)
