"""What nearly every stage imports: parameters, files, image shards, the sphere, ranks, how a stage starts and ends.

What comes in is checked here: params.yaml becomes a frozen dataclass for each section, and arrays, tables and weights
are read so that whatever is wrong with them is a ValueError of one line. What goes out is written whole or not at all:
unit rows (m, d) float32 with norms (m,), shards of encoded faces with the provenance of each, tables, JSON. A module
has one subject and a noun for its name. Every stage depends on this folder, so an edit runs the pipeline again; one of
a file that `pretrain` lists in dvc.yaml even trains its networks anew. What fewer stages need belongs to a folder of
its own. Nothing here imports from another folder.
"""
