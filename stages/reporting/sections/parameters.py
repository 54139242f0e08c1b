"""What the numbers depend on, and the commands that make them again."""

from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from stages.reporting.blocks import Block, Folded, Heading, Text, Verbatim
from stages.reporting.prose import say
from stages.reporting.sections.inputs import Inputs

SHOWN = ("pack", "generate", "sets", "variants", "train", "evaluate", "report")
WIDTH = 100  # of a line, as in params.yaml


def parameters(inputs: Inputs) -> list[Block]:
    """Print the parameters that made the sets, and how to run everything again."""
    folds = [Folded(key, [Verbatim(written({key: inputs.values[key]}))]) for key in SHOWN if key in inputs.values]
    return [Heading("Parameters and commands"), Text(say("parameters")), *folds, Verbatim(say("commands"))]


def again(values: Mapping[str, Any], command: str) -> list[Block]:
    """Return what a claim depends on, and the command that makes it again."""
    return [Verbatim(written(values)), Verbatim(command)]


def written(values: Mapping[str, Any]) -> str:
    """Return parameters as YAML, the innermost mappings and lists on one line each."""
    text, yaml = StringIO(), YAML()
    yaml.default_flow_style, yaml.width = None, WIDTH
    yaml.dump(values, text)
    return text.getvalue()
