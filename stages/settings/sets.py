"""The entries of the `sets` section of params.yaml."""

from typing import Literal

from stages.common.params import Count, Seed, Text, settings


@settings
class Sets:
    """A training set that the generator did not make.

    `embedded` renders the `wild` domain; the others are formats of sets on disk, which lie at `path`, a dependency of
    the stage (for `embedded` any file that never changes). At most `identities` x `images` are taken, the first ones,
    as they are where they are `aligned` as for ArcFace, which goes without saying, else aligned with `world.detector`.
    """

    backend: Literal["embedded", "folder", "rec", "lmdb", "parquet", "arrow", "webdataset"]
    path: Text
    aligned: bool = True
    identities: Count
    images: Count
    seed: Seed
