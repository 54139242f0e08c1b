"""The face world: people rendered by code in torch, without a mesh, a texture file or a photograph.

It takes identities (b, IDENTITY_DIM), what makes a person; styles (b, STYLE_DIM), what changes between two images of
one; a seed for each image (b,); and a domain, `studio` or `wild`. It returns images (b, 3, s, s) in [0, 1],
differentiable in both, or photographs uint8 (b, s, s, 3) RGB with a camera's flaws; an album adds who is on which. An
image depends on its own row and seed alone, whatever the batch. People are drawn by the name of a population, and no
two populations share anybody. A new coordinate or column is an entry of the table in its module; it changes all people,
and rows of another width do not fit the networks in data/pretrain. `pretrain` depends on this whole folder: after any
edit `dvc repro` trains those anew, unless no pixel changed and `dvc commit -f pretrain` says so. tests/world compares
pictures, and `python -m stages.tools.sheet` draws some to look at. Nothing here knows of networks, packing or
params.yaml.
"""
