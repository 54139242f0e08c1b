"""A network under training, with its head and its optimiser: one step at a time, by one rank or by several."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from stages.common import devices, networks
from stages.common.params import NONE, below_data
from stages.common.recomputation import Recomputing
from stages.common.streams import stream
from stages.training import checkpoints, optimisers, sharded, start
from stages.training.batches import Batch, Labels
from stages.training.collectives import ALONE, Group
from stages.training.decorrelation import decorrelation
from stages.training.normalisation import synchronise
from stages.training.selection import Selection
from stages.training.settings import Train

CLIP = 5.0  # largest norm of the gradient


class Part(NamedTuple):
    """A micro-batch: its positions in the global batch; this rank's ones, there and among its faces; sizes by rank."""

    whole: slice
    own: np.ndarray
    faces: slice
    sizes: list[int]


def shared_out(group: Group, batch: int, micro_batches: int) -> list[Part]:
    """Return this rank's part of each micro-batch of a global batch."""
    parts, first = [], 0
    for whole in np.array_split(np.arange(batch), micro_batches):
        shares = np.array_split(whole, group.size)
        own = shares[group.rank]
        parts.append(Part(slice(whole[0], whole[-1] + 1), own, slice(first, first + len(own)), [*map(len, shares)]))
        first += len(own)
    return parts


class Learner:
    """Network, head and optimiser, and how many steps they have made: what a checkpoint holds."""

    def __init__(self, classes: int, cfg: Train, seed: int, group: Group = ALONE) -> None:
        """Build all of it from torch's global generator, which is seeded here: initial weights, then dropout."""
        torch.manual_seed(seed)
        self.cfg, self.group, self.classes = cfg, group, classes
        self.device = devices.device()
        self.step, self.losses = 0, list[float]()
        self.norm = torch.tensor(0.0)  # mean of the last embeddings
        self.scores, self.chosen = dict[int, float](), dict[str, Tensor]()
        net = networks.build(cfg.card()).train()
        if cfg.start != NONE:
            start.begin(net, below_data(cfg.start))
        synchronise(net, group)
        self.net = net.to(self.device, memory_format=torch.channels_last)  # pyright: ignore
        head = sharded.load(
            cfg.head.name, classes, cfg.embedding_size, cfg.head.scale, margin=0,
            group=group, sample=cfg.compute.centres, seed=seed, **cfg.head.options,
        )  # fmt: skip
        self.head = head.to(self.device)
        learned = nn.ModuleDict({"net": self.net, "head": self.head})
        self.names = dict(learned.named_parameters())
        self.optimiser = optimisers.build(learned, cfg.optimiser, cfg.learning_rate)
        self.precision = devices.training_dtype(cfg.compute.precision)
        torch.backends.cudnn.allow_tf32 = self.precision is not None  # `full` is float32 on GPUs, too
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == torch.float16)  # pyright: ignore
        self.model = self._model()
        self.parts = shared_out(group, cfg.batch, cfg.runs.micro_batches)
        if group.rank:  # each rank drops out other units
            torch.manual_seed(int(stream("dropout", seed, group.rank).integers(2**62)))

    @property
    def positions(self) -> np.ndarray:
        """Return the positions (p,) in the global batch of the faces that this rank sees."""
        return np.concatenate([part.own for part in self.parts])

    def _model(self) -> nn.Module:
        if isinstance(self.net, Recomputing):
            self.net.checkpoint_blocks = self.cfg.compute.recompute
        model: Any = torch.compile(self.net) if self.cfg.compute.compile else self.net
        if self.group.size == 1:
            return model
        ids = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, ids, forward_sync_buffers=False)

    def learn(self, batch: Batch, margin: float, learning_rate: float) -> float:
        """Make one step on a global batch and return its loss.

        Raises FloatingPointError, and leaves weights and moments as they were, when the loss or its gradient is not
        finite. With float16 a gradient that is not is a matter of scale: all ranks leave out the step, and lower it.
        """
        self.head.margin, self.head.step = margin, self.step
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.optimiser.zero_grad()
        total = 0.0
        for part in self.parts:
            with self._quiet(part is not self.parts[-1]):
                loss = self.loss(batch, part)
                self.scaler.scale(loss).backward()
            total += loss.item()
        if not math.isfinite(total):
            raise FloatingPointError(f"the loss is {total}")
        self._step(total)
        self.step += 1
        self.losses.append(total)
        return total

    def _step(self, loss: float) -> None:
        self.scaler.unscale_(self.optimiser)
        norm, of_head = (_gradient_norm(part) for part in (self.net, self.head))
        if self.group.summed(norm + of_head).isfinite():
            nn.utils.clip_grads_with_norm_(self.net.parameters(), CLIP, norm)
            self.scaler.step(self.optimiser)
            self.scaler.update()
        elif self.scaler.is_enabled():
            self.scaler.update(self.scaler.get_scale() * self.scaler.get_backoff_factor())
        else:
            raise FloatingPointError(f"the loss is {loss:.4g}, its gradient not finite")

    def _quiet(self, quiet: bool) -> AbstractContextManager[object]:
        """Return a context in which DDP keeps gradients to itself, until the last micro-batch has added its own."""
        return self.model.no_sync() if quiet and isinstance(self.model, DistributedDataParallel) else nullcontext()

    def loss(self, batch: Batch, part: Part) -> Tensor:
        """Return a micro-batch's share of the global loss.

        The loss of a face mixed from two domains is psi times that of the main one and 1 - psi times that of the other.
        """
        embedding = self.group.gather(self._embedded(self.model, batch.faces[part.faces]), part.sizes)
        self.norm = embedding.detach().norm(dim=1).mean()
        loss = self._head_loss(embedding, batch.main, part)
        if batch.mix:
            psi = batch.psi[part.whole].to(self.device)
            loss = psi * loss + (1 - psi) * self._head_loss(embedding, batch.mix, part)
        loss = loss.mean()
        if self.cfg.decorrelation:
            loss = loss + self.cfg.decorrelation * decorrelation(self.group.shared(embedding))
        return loss if len(self.parts) == 1 else loss * (len(embedding) / self.cfg.batch)

    def _embedded(self, model: nn.Module, faces: Tensor) -> Tensor:
        """Return embeddings (b, d) float32 of faces (b, s, s, c)."""
        x = networks.standardised(faces.to(self.device), self.cfg.input.colour)
        with torch.autocast(self.device.type, self.precision or torch.bfloat16, enabled=self.precision is not None):
            return model(x.contiguous(memory_format=torch.channels_last)).float()

    def _head_loss(self, embedding: Tensor, labels: Labels, part: Part) -> Tensor:
        a, b, ratio = (x[part.whole].to(self.device) for x in (labels.label_a, labels.label_b, labels.ratio))
        return self.head(embedding, a, b, ratio)

    def score(self, selection: Selection) -> None:
        """Score the network on people held out, and keep its weights where they are the best so far."""
        self.net.eval()
        with torch.no_grad():
            accuracy = self.group.agreed(selection.accuracy(lambda faces: self._embedded(self.net, faces)))
        self.net.train()
        if accuracy >= max(self.scores.values(), default=0):
            self.chosen = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}
        self.scores[self.step] = accuracy

    def best(self) -> nn.Module:
        """Return the network, with the weights of the best score where there are scores."""
        if self.chosen:
            self.net.load_state_dict(self.chosen)
        return self.net.eval()

    def write(self, folder: Path) -> None:
        """Write a checkpoint into a folder, all ranks together."""
        tensors = dict(self._tensors()) | {
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "scores": torch.tensor([*self.scores.items()], dtype=torch.float64).view(-1, 2),
            **{name: generator.get_state() for name, generator in self._generators().items()},
        }
        if self.scaler.is_enabled():
            tensors["scale"] = torch.tensor(self.scaler.get_scale())
        checkpoints.write(folder, self.step, tensors, self.group)

    def resume(self, checkpoint: Path) -> None:
        """Go on from a checkpoint, whatever number of ranks wrote it.

        On another number of ranks, dropout goes on with other numbers.
        """
        sizes = checkpoints.sizes(checkpoint)
        for name in sizes:
            kind, _, rest = name.partition(".")
            if kind == "optimiser":
                parameter, _, key = rest.rpartition(".")
                p, is_scalar = self.names[parameter], not sizes[name][0]
                self.optimiser.state[p][key] = torch.zeros((), device=p.device) if is_scalar else torch.zeros_like(p)
        tensors = dict(self._tensors())
        generators = self._generators()
        extra = ["losses", "scores", "scale", *generators, *(name for name in sizes if name.startswith("chosen."))]
        tensors |= {name: torch.empty(sizes[name][0], dtype=sizes[name][1]) for name in extra if name in sizes}
        checkpoints.read(checkpoint, tensors, self.group)
        self.losses = tensors["losses"].tolist()
        self.step = len(self.losses)
        self.scores = {int(step): accuracy for step, accuracy in tensors["scores"].tolist()}
        self.chosen = {name: tensors[f"chosen.{name}"] for name in self.net.state_dict() if f"chosen.{name}" in sizes}
        if "scale" in tensors:
            self.scaler.load_state_dict(self.scaler.state_dict() | {"scale": tensors["scale"].item()})
        for name in generators.keys() & tensors.keys():
            generators[name].set_state(tensors[name])

    def _generators(self) -> dict[str, torch.Generator]:
        """Return what dropout draws from: the generators of this rank's CPU and GPU, by their names in a checkpoint."""
        own = {"cpu": torch.default_generator}
        if self.device.type == "cuda":
            own["cuda"] = torch.cuda.default_generators[self.device.index]
        return {f"generator.{self.group.rank}.{name}": generator for name, generator in own.items()}

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the tensors of a checkpoint by name; sharded ones stand for the whole."""
        for module, part in (("net", self.net), ("head", self.head)):
            for name, tensor in part.state_dict().items():
                yield f"{module}.{name}", self._whole(f"{module}.{name}", tensor)
        yield from ((f"chosen.{name}", tensor) for name, tensor in self.chosen.items())
        for name, p in self.names.items():
            for key, tensor in self.optimiser.state[p].items():
                if isinstance(tensor, Tensor):
                    yield f"optimiser.{name}.{key}", self._whole(name, tensor)

    def _whole(self, name: str, tensor: Tensor) -> Tensor:
        if name == "head.weight" and tensor.ndim and self.group.size > 1:
            return checkpoints.sharded(tensor, self.classes, self.group)
        return tensor


def _gradient_norm(module: nn.Module) -> Tensor:
    return nn.utils.get_total_norm([p.grad for p in module.parameters() if p.grad is not None])
