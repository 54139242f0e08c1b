"""Networks and photographs of other people, read without trust: checkpoints, ONNX graphs, pipelines of diffusers.

Before torch or onnxruntime reads such a file, a process of its own looks into it, limited in time and memory
(`bounded`). Out come tensors by name, the inputs and outputs of a graph, a network that maps prepared faces
(b, 3, h, w) float32 to rows (b, d), and aligned faces uint8 (b, h, w, 3) RGB. A file that is wrong is an InputError of
one line that names it. Layouts of sets and benchmarks are in `formats`. After an edit here every stage runs again that
may read such files: gallery, embed, generate, audit, sets, benchmarks, train, baselines, report.
"""
