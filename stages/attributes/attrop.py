"""What `generate` has AttrOP do: identity centres before their images, and single images at designated poses."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.attributes import critic, record
from stages.attributes.critic import Critic
from stages.attributes.descent import ACCEPTED, Target, descend
from stages.common import artifacts, ranks, shards
from stages.common.params import Network
from stages.common.shards import Provenance
from stages.generators import Differentiable, Generator
from stages.settings.generate import Generate


@dataclass(frozen=True)
class AttrOP:
    """A generator and its critic, with the folder that keeps what is done."""

    generator: Differentiable
    critic: Critic
    cfg: Generate
    folder: Path

    def centres(self, x_id: np.ndarray, condition: np.ndarray) -> tuple[np.ndarray, pa.Table]:
        """Return identities' conditions (m, c) moved to identity and quality, and what each reached.

        As the official script does: once for every identity; the images around it are drawn without.
        """
        seeds = shards.image_seeds("centres", self.cfg.seed, np.arange(len(x_id)), np.zeros(len(x_id), np.int64))
        found, reached = self._moved("centres", x_id, condition, seeds, Target())
        return found, record.table("centre", np.arange(len(x_id)), np.zeros(len(x_id), int), None, reached)

    def poses(self, x_id: np.ndarray, condition: np.ndarray, row: np.ndarray) -> pa.Table:
        """Draw the first identities, `row` (m,) of data/pack, at designated poses; returns what each image reached.

        Images that fail are not drawn. Those of one identity share their seed, so that along a sheet's row only the
        pose is meant to change.
        """
        asked = self.cfg.poses
        who, index = (grid.ravel() for grid in np.mgrid[: min(asked.identities, len(x_id)), : len(asked.yaw_deg)])
        pose_deg = np.column_stack([np.array(asked.yaw_deg)[index], np.full(len(index), asked.pitch_deg)])
        seeds = shards.image_seeds("poses", self.cfg.seed, who, np.zeros(len(who), np.int64))
        start = self.generator.movable(condition[who], seeds)
        found, reached = self._moved("poses", x_id[who], start, seeds, Target(pose_deg, asked.tolerance_deg))
        kept = reached[:, ACCEPTED] == 1
        about, frame_px = (who[kept], index[kept], seeds[kept]), self.generator.frame_px
        rows = Provenance(self.generator.domain, *about, frame_px=frame_px)
        shards.draw("poses", rows, lambda p: self.generator.generate(found[kept][p], seeds[kept][p]), self.folder)
        return record.table("pose", row[who], index, pose_deg, reached)

    def _moved(
        self, name: str, x: np.ndarray, condition: np.ndarray, seeds: np.ndarray, target: Target
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `descend` of all rows, drawn together as the generator does, by all ranks; done parts are kept."""
        size = self.generator.rows_at_once
        starts = range(0, len(x), size)
        files = {self.folder / f".{name}-{start:07d}.npy": slice(start, start + size) for start in starts}
        todo = [file for file in files if not file.exists()]

        def work(file: Path) -> None:
            part = files[file]
            given = (x[part], condition[part], seeds[part], target.of(part))
            found = descend(self.generator, self.critic, *given, self.cfg.attributes)
            artifacts.write_array(file, np.concatenate(found, 1))

        ranks.barrier()  # all ranks have looked before one writes
        ranks.share(todo, work, f"AttrOP {name}")
        both = np.concatenate([artifacts.read_array(file) for file in files])
        return both[:, : condition.shape[1]], both[:, condition.shape[1] :]


def load(generator: Generator, cfg: Generate, rows_by: Network, folder: Path) -> AttrOP:
    """Return AttrOP on a generator of rows by the recogniser of section `embed`; ValueError when it cannot be done."""
    assert isinstance(generator, Differentiable)  # `validate` refuses other backends
    return AttrOP(generator, critic.load(cfg.attributes, rows_by), cfg, folder)
