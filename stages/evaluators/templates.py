"""Templates 1:1, as in IJB-B and IJB-C: TAR at FAR of comparisons of two templates.

Beside the templates, the folder has comparisons.arrow: a, b (templates), same.
"""

from collections.abc import Sequence

import numpy as np

from stages.common import tables
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.common.templates import COMPARISONS
from stages.evaluators import Benchmark, Measured, Part, beyond, mirrored, pooling
from stages.evaluators.pairs import unresolved
from stages.metrics import comparisons, people
from stages.metrics.bootstrap import Estimate
from stages.metrics.comparisons import Comparisons


class Kind:
    """Measures the TAR at each FAR of `evaluate.rates.fars`; a replicate draws people, as in `metrics.people`."""

    unit = False

    def __init__(self, benchmark: Benchmark, cfg: Evaluate) -> None:
        """Read templates and comparisons; raises InputError when they contradict each other."""
        self.benchmark, self.cfg, self.templates = benchmark, cfg, pooling.read(benchmark)
        self.mirrored = mirrored(benchmark, cfg)
        file = benchmark.folder / "comparisons.arrow"
        table = tables.read(file, COMPARISONS)
        a, b, same = (table[key].to_numpy() for key in COMPARISONS.names)
        beyond(file, {"a": a, "b": b}, len(self.templates.person))
        if same.all() or not same.any():
            raise InputError(file, "comparisons of one kind", key="same", allowed="genuine and impostor ones")
        self.identity, person = np.unique(self.templates.person, return_inverse=True)
        for wrong, problem in (
            ((person[a] == person[b]) != same, "contradicts the people of its templates"),
            (a == b, "a template with itself"),
        ):
            if wrong.any():
                at = int(wrong.argmax())
                raise InputError(file, problem, key=f"comparison {at}", value=f"{a[at]} and {b[at]}, same {same[at]}")
        self.pairs, self.size = Comparisons(a, b, same, person), len(a)

    def parts(self) -> list[Part]:
        """Return the one part: the comparisons."""
        cfg, counts = self.cfg, {"comparisons": self.size, "genuine": int(self.pairs.same.sum())}
        about = {**counts, "templates": len(self.templates.person), "identities": len(self.identity)}
        metrics = tuple(f"tar_at_far_{far:g}" for far in cfg.rates.fars)
        unable = unresolved(cfg.rates.fars, self.size - counts["genuine"])
        return [Part(self.benchmark.name, "templates", metrics, about | unable)]

    def measure(self, rows: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Measured]:
        """Return the estimate; scores are not kept, as there may be millions."""
        cfg, pairs, (part,) = self.cfg, self.pairs, self.parts()
        drawn = people.weights(self.identity, cfg.replicates, cfg.seed)
        per_seed, replicated = [], []
        for x in rows:
            score = comparisons.scores(self.templates.pooled(x, cfg), pairs.a, pairs.b)
            per_seed.append(comparisons.tars(score, pairs, cfg.rates.fars, people.once(len(self.identity)))[0])
            replicated.append(comparisons.tars(score, pairs, cfg.rates.fars, drawn))
        return [Measured(Estimate(part.metrics, np.stack(per_seed), np.mean(replicated, axis=0)))]
