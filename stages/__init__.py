"""The pipeline: every module directly here is a stage, every folder holds parts of stages.

dvc.yaml runs a stage, the section of params.yaml with its name sets it, and its docstring says which files it reads and
writes. Stages meet only in files below data/ and reports/, and never import each other. They import folders, and a
folder imports no stage, but for `tools`. Where parts are interchangeable, the `__init__.py` of their folder says where
the Protocol that they keep and the `load` of the chosen one lie. Letters in shapes mean the same everywhere: n gallery
faces, m identities, k images of each, d numbers in an embedding, b a batch, p pairs. Faces are uint8 (b, h, w, 3) RGB;
identities are unit rows (m, d) float32 with their native norms (m,) beside them. A new stage is a module with a `main`,
a dataclass in `settings`, a section of params.yaml and an entry in dvc.yaml; tests/test_pipeline.py compares them.
"""
