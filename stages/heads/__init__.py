"""Heads: what turns embeddings and labels into a loss while training. One head a file, one paper, named as in params.

A head takes embeddings (b, d), not normalised, and soft labels (b,) and returns the loss of each sample (b,); its
contract and the margin softmax that most of them are lie in stages/training/heads.py. To add one: its file here with a
`load`, and its name in `Train.head` of stages/settings/train.py; tests/heads runs every name there. dvc.yaml finds the
file by its name: an edit of a head that is not chosen runs nothing, but `pretrain` takes cosface and
arcface whatever is chosen.
"""
