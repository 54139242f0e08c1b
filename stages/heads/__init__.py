"""Heads: what turns embeddings and labels into a loss while training. One head a file, one paper, named as in params.

A head takes embeddings (b, d), not normalised, and soft labels (b,) and returns the loss of each sample (b,). Its
contract, the margin softmax that most of them are, and how to add one lie in stages/training/heads.py: its class here,
spelled like its file, and its name in `Train.head` of stages/training/settings.py; tests/heads runs every name there.
dvc.yaml finds the file by its name: an edit of a head that is not chosen runs `validate` alone, but `pretrain` takes
cosface and arcface whatever is chosen.
"""
