"""Load the network of any backend of stages/recognisers.

To add a backend, keep the Protocol `Recogniser`, give its module a `load`, and add its name to `Recogniser` in
stages/common/params.py. `stages.validation.networks` learns where its file states d; one with gradients has
`features`, too, and is named in stages/validate.py. A function that writes such a network goes into
tests/recognisers/test_conformance.py.
"""

from importlib import import_module

from stages.common.networks import Recogniser
from stages.common.params import Network


def load(network: Network) -> Recogniser:
    """Load a network with the backend `stages/recognisers/BACKEND.py`; raises ValueError when its folder is wrong."""
    return import_module(f"stages.recognisers.{network.recogniser}").load(network.folder)
