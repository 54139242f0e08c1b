"""Load the network of any backend of stages/recognisers.

To add a backend, keep the Protocol `Recogniser`, give its module a `load`, and add its name to `Recogniser` in
stages/common/params.py. `stages.validation.networks` is told where its file states d; one with gradients has
`features`, too, and is named in stages/validate.py. A function that writes such a file goes into
tests/recognisers/test_conformance.py.
"""

from importlib import import_module
from pathlib import Path

from stages.common.networks import Recogniser


def load(backend: str, weights: str | Path, card: str | Path | None = None) -> Recogniser:
    """Load a file of weights with the backend `stages/recognisers/BACKEND.py`.

    card: JSON file that says how the network wants its faces; without one, it lies beside the weights.
    """
    card = card or Path(weights).with_suffix(".json")
    return import_module(f"stages.recognisers.{backend}").load(weights, card)
