"""Open a training set in any format that can be read."""

from collections.abc import Callable
from pathlib import Path

from stages.formats import Faces, arrow, folder, lmdb, parquet, rec, webdataset

READERS: dict[str, Callable[[Path], Faces]] = {
    "folder": folder.Folder,
    "rec": rec.Rec,
    "lmdb": lmdb.Lmdb,
    "parquet": parquet.read,
    "arrow": arrow.read,
    "webdataset": webdataset.WebDataset,
}
