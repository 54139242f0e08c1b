"""What the numbers depend on."""

from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from stages.reporting.page import Block, Folded, Heading, Text, Verbatim
from stages.reporting.prose import say
from stages.reporting.sections.inputs import Inputs


def parameters(inputs: Inputs) -> list[Block]:
    """Print the parameters that made the sets."""
    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump({key: inputs.values[key] for key in ("pack", "generate", "train")}, text)
    return [
        Heading("Parameters"),
        Text(say("parameters")),
        Folded("pack, generate, train", [Verbatim(text.getvalue())]),
    ]
