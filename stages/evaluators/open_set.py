"""Templates 1:N in an open set, as in IJB-B and IJB-C: every probe is searched in each of some galleries.

Beside the templates, the folder has searches.arrow: template, list (a gallery's name, or probes). Galleries are
separate: a probe whose person another gallery holds is unmated in this one. Metrics are the means over the galleries.
"""

from collections.abc import Sequence

import numpy as np

from stages.common import tables, verification
from stages.common.errors import InputError
from stages.common.evaluate import Evaluate
from stages.common.templates import PROBES, SEARCHES
from stages.evaluators import Benchmark, Measured, Part, beyond, mirrored, pooling
from stages.metrics import identification, people
from stages.metrics.bootstrap import Estimate


class Kind:
    """Measures TPIR at FPIRs and the share of mated probes within each rank, as in `evaluate.rates`."""

    unit, closed = False, False

    def __init__(self, benchmark: Benchmark, cfg: Evaluate) -> None:
        """Read templates and lists; raises InputError when a gallery leaves nothing to measure."""
        self.benchmark, self.cfg, self.templates = benchmark, cfg, pooling.read(benchmark)
        self.mirrored = mirrored(benchmark, cfg)
        self.file = benchmark.folder / "searches.arrow"
        table = tables.read(self.file, SEARCHES)
        template, of = table["template"].to_numpy(), np.array(table["list"].to_pylist())
        beyond(self.file, {"template": template}, len(self.templates.person))
        self.lists = {str(name): template[of == name] for name in dict.fromkeys(of.tolist())}
        if PROBES not in self.lists or len(self.lists) < 2:
            raise InputError(self.file, key="list", value=", ".join(self.lists), allowed=f"galleries and {PROBES}")
        self.probes = self.lists.pop(PROBES)
        self.identity, self.probe_person = np.unique(self.templates.person[self.probes], return_inverse=True)
        for name, gallery in self.lists.items():
            if len(found := np.intersect1d(gallery, self.probes)):
                problem = f"template {found[0]} is in it and among the probes"
                raise InputError(self.file, problem, key=f"gallery {name}", allowed="templates that are no probe")
            self._check(name, np.isin(self.templates.person[self.probes], self.templates.person[gallery]))
        self.size = len(self.probes) * sum(map(len, self.lists.values()))

    def _check(self, gallery: str, mated: np.ndarray) -> None:
        """Refuse a gallery in which all probes have a mate, or none has one."""
        if mated.all() or not mated.any():
            problem = f"{'all' if mated.all() else 'no'} probes have a mate in it"
            raise InputError(self.file, problem, key=f"gallery {gallery}", allowed="probes with and without a mate")

    def parts(self) -> list[Part]:
        """Return the one part: the search in all galleries."""
        galleries = {name: len(gallery) for name, gallery in self.lists.items()}
        about = {"probes": len(self.probes), "galleries": galleries, "identities": len(self.identity)}
        about |= {"unresolved": lines} if (lines := self._unresolved()) else {}
        return [Part(self.benchmark.name, "templates", self.metrics(), about)]

    def metrics(self) -> tuple[str, ...]:
        """Return the names of the metrics."""
        rates = () if self.closed else tuple(f"tpir_at_fpir_{fpir:g}" for fpir in self.cfg.rates.fpirs)
        return (*rates, *(f"rank_{rank}" for rank in self.cfg.rates.ranks))

    def _unresolved(self) -> list[str]:
        """Say which ranks all of a gallery is within, and which FPIRs the probes cannot resolve."""
        enrolled = min(map(len, self.lists.values()))
        lines = [
            f"Rank {rank} takes a gallery of more than {rank:,} templates, here are {enrolled:,}"
            for rank in self.cfg.rates.ranks
            if rank >= enrolled
        ]
        if self.closed:
            return lines
        person = self.templates.person
        unmated = min((~np.isin(person[self.probes], person[gallery])).sum() for gallery in self.lists.values())
        return lines + [
            f"FPIR {fpir:g} takes {np.ceil(1 / fpir):,.0f} unmated probes, here are {unmated:,}"
            for fpir in self.cfg.rates.fpirs
            if verification.accepted_impostors(unmated, fpir) < 1
        ]

    def measure(self, rows: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Measured]:
        """Return the estimate; scores are not kept."""
        cfg = self.cfg
        drawn = people.weights(self.identity, cfg.replicates, cfg.seed)
        per_seed, replicated = [], []
        for x in rows:
            pooled = self.templates.pooled(x, cfg)
            found = [self._search(pooled, gallery) for gallery in self.lists.values()]
            per_seed.append(self._mean(found, people.once(len(self.identity)))[0])
            replicated.append(self._mean(found, drawn))
        replicates = np.mean(replicated, axis=0)
        return [Measured(Estimate(self.metrics(), np.stack(per_seed), replicates))]

    def _search(self, pooled: np.ndarray, gallery: np.ndarray) -> identification.Search:
        person = self.templates.person
        return identification.search(pooled[self.probes], pooled[gallery], person[self.probes], person[gallery])

    def _mean(self, found: Sequence[identification.Search], weights: np.ndarray) -> np.ndarray:
        """Return the metrics under weights (r, P) of people, (r, m), each the mean over the galleries."""
        w = weights[:, self.probe_person]
        metrics = [identification.within(one, self.cfg.rates.ranks, w) for one in found]
        if not self.closed:
            rates = (identification.tpirs(one, self.cfg.rates.fpirs, w) for one in found)
            metrics = [np.concatenate(both, axis=1) for both in zip(rates, metrics, strict=True)]
        return np.mean(metrics, axis=0)
