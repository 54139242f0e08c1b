"""Parts of `train`: what is read, how it is transformed, how one network is fitted.

They take the manifest of a variant, a row for each image, with the shards that it names, and return a network for each
seed with its mean losses by tenths of the training. In between there are faces (n, s, s, c) uint8 in memory, with
label_a, label_b, weight and mix (n,), and batches of faces (b, s, s, c) float with soft labels; c is 3 or 1. Batch t
depends on (seed, t) alone, and no seed on another, so that ranks may share the seeds. Networks come from `backbones`,
losses from `heads`; `start` puts the weights of another network into one. A new augmentation is a function of faces
(b, s, s, c) uint8 and a random generator, beside the others, where the report finds it, too. An edit trains every
variant again, one of transform.py also the networks of `pretrain`. Tests: tests/test_train.py, tests/training.
"""
