"""Commands that are no stage: `python -m stages.tools.NAME`, and their parts.

They restore outputs of stages, compare experiments, run studies, bring data in and out, measure time, draw sheets of
faces, and fill in the tables of README.md. A tool may import anything, even a stage; no stage imports a tool. None of
them makes what one stage hands to another. A new tool is a module with a `main` that `command.run` calls, and its
docstring is its `--help`: tests/tools/test_help.py runs every one, and its own test goes beside that.
"""
