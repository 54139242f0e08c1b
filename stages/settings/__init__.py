"""What params.yaml may hold: a dataclass for each section, with types, ranges and what one value forbids another.

A section of plain values becomes a frozen dataclass, or a ValueError of one line that names file, key, value and what
is allowed. The names of backends are Literals here: to add a backend is to add its name. What several stages share is
in `stages.common`: sections `world`, `variants` and `evaluate`, and in `params` a network and the names of recognisers.
`train` has its section beside its parts, in stages/training/settings.py. A new key is a field here and a line in
params.yaml; tests/test_pipeline.py compares the two, and asks that something reads the key. A new section is named in
`stages.validate`, which also checks what takes two sections to be seen. Nothing here imports more of ours than
`common`, and nothing reads a file. A stage depends on the settings that it imports, `validate` and `report` on all.
"""
