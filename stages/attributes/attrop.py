"""AttrOP as `generate` uses it: on identities before their images, and on single images at designated poses."""

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
    """A generator and its critic, and the folder where finished parts are kept."""

    generator: Differentiable
    critic: Critic
    cfg: Generate
    folder: Path

    def centres(self, x_id: np.ndarray, condition: np.ndarray) -> tuple[np.ndarray, pa.Table]:
        """Return identities' conditions (m, c), moved for identity and quality, and what each reached.

        As in the official script, this is done once for every identity, and the images around it are drawn without it.
        """
        seeds = shards.image_seeds("centres", self.cfg.seed, np.arange(len(x_id)), np.zeros(len(x_id), np.int64))
        moved, reached = self._moved("centres", x_id, condition, seeds, Target())
        return moved, record.table("centre", np.arange(len(x_id)), np.zeros(len(x_id), int), None, reached)

    def poses(self, x_id: np.ndarray, condition: np.ndarray, row: np.ndarray) -> pa.Table:
        """Draw the first identities, `row` (m,) of data/pack, at designated poses; returns what each image reached.

        Images that fail are not drawn. Those of one identity share their seed, so that only the pose should change
        between them.
        """
        poses = self.cfg.poses
        who, index = (grid.ravel() for grid in np.mgrid[: min(poses.identities, len(x_id)), : len(poses.yaw_deg)])
        pose_deg = np.column_stack([np.array(poses.yaw_deg)[index], np.full(len(index), poses.pitch_deg)])
        seeds = shards.image_seeds("poses", self.cfg.seed, who, np.zeros(len(who), np.int64))
        start = self.generator.movable(condition[who], seeds)
        moved, reached = self._moved("poses", x_id[who], start, seeds, Target(pose_deg, poses.tolerance_deg))
        accepted = reached[:, ACCEPTED] == 1
        columns = (column[accepted] for column in (who, index, seeds))
        rows = Provenance(self.generator.domain, *columns, frame_px=self.generator.frame_px)
        shards.draw("poses", rows, lambda p: self.generator.generate(moved[accepted][p], rows.seed[p]), self.folder)
        return record.table("pose", row[who], index, pose_deg, reached)

    def _moved(
        self, name: str, x: np.ndarray, condition: np.ndarray, seeds: np.ndarray, target: Target
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `descend` of all rows, in parts as the generator draws them; ranks share the work."""
        size = self.generator.rows_at_once
        starts = range(0, len(x), size)
        files = {self.folder / f".{name}-{start:07d}.npy": slice(start, start + size) for start in starts}

        def work(file: Path) -> None:
            part = files[file]
            inputs = (x[part], condition[part], seeds[part], target.part(part))
            outputs = descend(self.generator, self.critic, *inputs, self.cfg.attributes)
            artifacts.write_array(file, np.concatenate(outputs, 1))

        rows = {file: len(seeds[part]) for file, part in files.items()}
        ranks.make(rows, work, f"AttrOP {name}", "rows")
        columns = np.concatenate([artifacts.read_array(file) for file in files])
        return columns[:, : condition.shape[1]], columns[:, condition.shape[1] :]


def load(generator: Generator, cfg: Generate, rows_by: Network, folder: Path) -> AttrOP:
    """Return AttrOP on a generator of rows by the recogniser `rows_by`; raises InputError when a network is missing."""
    assert isinstance(generator, Differentiable)  # `validate` refuses other backends
    return AttrOP(generator, critic.load(cfg.quality, rows_by), cfg, folder)
