"""Networks as modules of torch and nothing more: no files, no preparing of faces, no training.

A recogniser's network takes standardised faces (b, colours, h, w) float and returns embeddings (b, d), not normalised.
Others are parts of generators and take rows (b, d). A model card names a recogniser's network as `architecture`:
`stages.common.networks` imports the module of that name and builds its class, of the same name with a capital, from
`widths` (channels of each level), `embedding_size`, `size_px`, `colours`, and whatever else its arguments name and the
card has. Networks of many blocks are `Recomputing` (stages/common/recomputation.py). To train a new network, add its
name to `Train.backbone` and what rebuilds it to `Train.card`, both in stages/training/settings.py. To load it in
`embed` or other stages, too, add it to their `deps`, where the others stand, and to `ANY` in tests/test_pipeline.py.
Files of weights have the names of the layers as keys: with a layer renamed they can no longer be read. Tests:
tests/backbones.
"""
