"""Parts of `validate`: what is checked before anything runs, without torch and without reading an image.

params.yaml is checked a section at a time by `settings`; here is what takes two sections to be seen, or a look at the
user's files: their headers say the size of a network's rows and the layout of a set. What is wrong is a ValueError of
one line that names file, key, value and what is allowed. `carry` brings the user's own files into the copy in which DVC
runs an experiment, before validate looks at them. Only `validate` depends on this folder.
"""
