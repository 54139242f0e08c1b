"""Parts of `pretrain`, which trains the networks that the embedded backends need.

They take settings alone and render people of their own, faces (b, 64, 64, 3) uint8, whom no other stage draws. They
write networks with a card each to data/pretrain, which is in git: recogniser and judge from faces to rows (b, 128), an
inverter from rows to people of the face world (b, IDENTITY_DIM), a pose network from faces to yaw and pitch (b, 2). A
card says how well its network does on people whom it has not seen. Losses, jitter and accuracy are those of `heads`,
`training` and `metrics`. dvc.yaml lists what `pretrain` depends on file by file: after an edit of one, be it a head or
the jitter, `dvc repro` trains for up to 20 minutes. A new network is a module with a `train`, called in
`stages.pretrain` and listed in its `deps`. Tests: tests/test_pretrain.py.
"""
