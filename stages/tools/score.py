"""Score a network that is not trained here, as `evaluate` scores a variant: `python -m stages.tools.score NAME`.

NAME is a key of `baselines.networks`. Scores go to data/networks/NAME, metrics to reports/networks/NAME.json; the same
numbers on your own benchmarks come out of stage `baselines`.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from stages import evaluate
from stages.common import params, recognisers
from stages.common.errors import InputError
from stages.evaluate import Scored
from stages.settings.baselines import Baselines
from stages.tools import command


def main(words: Sequence[str]) -> str:
    """Run the command."""
    parser = command.parser("score", __doc__)
    parser.add_argument("name")
    name = parser.parse_args(words).name
    networks = params.load("baselines", Baselines).networks
    if name not in networks:
        raise InputError(params.FILE, "not among baselines.networks", value=name, allowed=", ".join(networks))
    net = recognisers.load(networks[name])
    scores, report = Path("data/networks") / name, Path("reports/networks") / f"{name}.json"
    with TemporaryDirectory() as folder:
        return evaluate.score(Scored(name, [net], [0], scores, report), Path(folder))


if __name__ == "__main__":
    command.run(main)
