"""The tables beside the images of a benchmark of templates: who compares and searches what."""

import pyarrow as pa

PROBES = "probes"  # the list of what is searched; every other one is a gallery
IMAGES = pa.schema([("template", pa.int32()), ("media", pa.int32()), ("score", pa.float32())])  # a row an image
COMPARISONS = pa.schema([("a", pa.int32()), ("b", pa.int32()), ("same", pa.bool_())])  # of templates
SEARCHES = pa.schema([("template", pa.int32()), ("list", pa.string())])  # by the list's name
# the file of each evaluator's table
TABLES = {
    "templates": "comparisons.arrow",
    "open_set": "searches.arrow",
    "closed_set": "searches.arrow",
}
