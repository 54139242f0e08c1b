"""What nearly every stage imports: parameters, files, image shards, the sphere, ranks, how a stage starts and ends.

Input is checked here: params.yaml becomes a frozen dataclass for each section, and whatever is wrong with an array, a
table or a file of weights is an `InputError`: a ValueError of one line with the file, the key and what is allowed.
Output is written whole or not at all: unit rows (m, d) float32 with norms (m,), shards of encoded faces with the
provenance of each, tables, JSON. A module has one subject and a noun for its name. Every stage depends on this folder,
so an edit runs the pipeline again; an edit to a file that `pretrain` lists in dvc.yaml even trains its networks anew.
What only some stages need belongs in a folder of its own. Nothing here imports from another folder.
"""
