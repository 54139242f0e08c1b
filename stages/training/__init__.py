"""Parts of `train`: what is read, how it is transformed, how one network is fitted.

They take the manifest of a variant, a row for each image, with the shards that it names, and return a network for each
seed with its mean losses by tenths of the training. In between there are samples: faces (n, s, s, c) uint8, in memory
while they fit there and else decoded from the memory-mapped shards, with label_a, label_b, weight and mix (n,); and
batches of faces (b, s, s, c) with soft labels; c is 3 or 1. Batch t depends on (seed, t) alone, whoever draws it and
whatever part of it, and no seed on another, so that ranks may share the seeds or the batches. `learner` makes the
steps, `fit` walks through them, `checkpoints` keeps them over a crash, `selection` and `curves` watch. Networks come
from `backbones`, losses from `heads`; `start` puts the weights of another network into one. A new augmentation is a
function of a face (s, s, c) uint8 and a random generator in augmentation.py, with its share in `Augment`, settings.py;
the variant's own `augment`, which the report shows, is in transform.py. An edit trains every variant again, one of
transform.py also the networks of `pretrain`. Tests: tests/training, tests/test_train.py.
"""
