"""Recognisers: what turns faces into embeddings. One backend a file, named as in params.yaml.

A backend's `load` reads a network and its card, which says how it wants its faces: colours, normalisation, how much of
ArcFace's template. A network of a known layout needs a card (cards/ has those of the usual ones) and no code. What goes
in and comes out is the Protocol `Recogniser` in stages/common/networks.py: faces uint8 (b, h, w, 3) RGB, embeddings
(b, d) float32. stages/common/recognisers.py loads the chosen one. To add a backend: its file here, and its name in
`Recogniser` of stages/common/params.py. `dlib` has no folder: a package brings its weights. `none` is nobody.
"""
