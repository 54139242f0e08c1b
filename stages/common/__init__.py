"""What stages and folders share: parameters, files, image shards, the sphere, ranks, the running of a stage.

What comes in is checked here: params.yaml becomes a frozen dataclass for each section, and arrays, tables, weights and
photographs are read so that whatever is wrong with them is a ValueError of one line. What goes out is written whole or
not at all: unit rows (m, d) float32 with norms (m,), shards of encoded faces with the provenance of each, tables, JSON.
A module has one subject and a noun for its name. It belongs here when several folders need it. Nearly every stage
depends on most of these files, so an edit runs much of the pipeline again; one that `pretrain` lists in dvc.yaml even
trains its networks anew. A new module goes into the `deps` of every stage that imports it, directly or not:
tests/test_pipeline.py says which. Its tests go to tests/common.
"""
