"""What other people made, read without trust: checkpoints, ONNX graphs, pipelines of diffusers, photographs.

A file of strangers is looked into by a process that is limited in time and memory (`bounded`) before torch or
onnxruntime reads it. What comes out is plain: tensors by name, what a graph takes and gives, a network that maps
prepared faces (b, 3, h, w) float32 to rows (b, d), aligned faces uint8 (b, h, w, 3) RGB. What is wrong is a ValueError
of one line that names the file. Layouts of sets and benchmarks are in `formats`. An edit here runs every stage again
that may read such files: gallery, embed, generate, audit, sets, benchmarks, baselines, report.
"""
