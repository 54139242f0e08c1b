"""Batches: each depends on seed and step alone, whoever draws it, whatever part of it and whenever it starts."""

import multiprocessing
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import variant
from variant import held

from stages.common.streams import stream
from stages.training import augmentation, transform
from stages.training.batches import PLAIN, Batch, batches
from stages.training.samples import Samples, read

N, SIDE, SIZE = 20, 24, 8
ALL = replace(PLAIN, crop=0.5, low_res=0.5, photometric=0.5, erase=0.5)


def toy(mix: int = 0, augment: bool = False, colours: int = 3) -> Samples:
    """Return N samples, each a class of its own, the last `mix` of the mix domain."""
    label, faces = np.arange(N), variant.noise(N, SIDE)[..., :colours]
    weight = np.linspace(0, 1, N, dtype=np.float32)
    return Samples(faces, label, label[::-1].copy(), weight, label >= N - mix, N, augment)


def assert_equal(some: Batch, other: Batch, part: slice | np.ndarray = slice(None)) -> None:
    """Compare every tensor; of the faces of `other` only `part`."""
    assert torch.equal(some.faces, other.faces[part]) and torch.equal(some.psi, other.psi)
    assert (some.mix is None) == (other.mix is None)
    for a, b in ((some.main, other.main), (some.mix, other.mix)):
        assert a is b or (a and b and all(torch.equal(getattr(a, name), getattr(b, name)) for name in vars(a)))


@pytest.mark.parametrize(("mix", "augment"), [(0, False), (0, True), (6, False), (6, True)])
def test_by_default_a_step_draws_its_numbers_in_the_order_it_always_has(mix, augment):
    """Order, jitter, light, psi; then jitter and light of the mix domain. What was trained depends on it."""
    samples, seed = toy(mix, augment), 3
    domains = [np.arange(N - mix), np.arange(N - mix, N)]
    order = [
        np.concatenate([stream("order", seed, is_mix, epoch).permutation(rows) for epoch in range(6 * bool(len(rows)))])
        for is_mix, rows in enumerate(domains) if len(rows)
    ]  # fmt: skip

    def faces(is_mix: int, step: int, rng: np.random.Generator) -> np.ndarray:
        shown = transform.jittered(samples.faces[order[is_mix][step * SIZE : (step + 1) * SIZE]], rng)
        return transform.augmented(shown, rng) if augment else shown

    for step, batch in enumerate(batches(samples, 4, SIZE, seed)):
        rng = stream("transform", seed, step)
        expected = torch.from_numpy(faces(0, step, rng)).float()
        if mix:
            psi = torch.from_numpy(rng.integers(21, size=SIZE).astype(np.float32) / 20)
            assert torch.equal(batch.psi, psi)
            share = psi[:, None, None, None]
            expected = share * expected + (1 - share) * torch.from_numpy(faces(1, step, rng)).float()
        assert torch.equal(batch.faces.float(), expected)


@pytest.mark.parametrize("mix", [0, 6])
def test_parts_are_those_of_the_whole_batch_and_know_all_its_labels(mix):
    whole = list(batches(toy(mix, True), 4, SIZE, 0, augment=ALL))
    for part in (slice(0, 3), slice(3, 8), np.array([7, 0, 2])):
        own = list(batches(toy(mix, True), 4, SIZE, 0, augment=ALL, part=part))
        for some, other in zip(own, whole, strict=True):
            assert_equal(some, other, part)


def test_a_training_goes_on_at_any_step_as_if_it_had_not_stopped():
    whole = list(batches(toy(6), 9, SIZE, 0, augment=ALL))
    for some, other in zip(batches(toy(6), 9, SIZE, 0, augment=ALL, first=5), whole[5:], strict=True):
        assert_equal(some, other)


def test_to_go_on_draws_only_the_epoch_that_is_needed():
    (far,) = batches(toy(), 10**12 + 1, SIZE, 0, first=10**12)
    assert far.faces.shape == (SIZE, SIDE, SIDE, 3)


def test_a_batch_may_be_larger_than_the_domain():
    (batch,) = batches(toy(6), 1, 2 * N, 0)
    assert batch.mix and batch.main.label_a.bincount()[: N - 6].min() == 2 and batch.mix.label_a.unique().numel() == 6


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # where there is one core
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_and_streams_change_nothing(tmp_path, workers):
    sets = {"generate/a": variant.noise(15), "generate/b": variant.noise(4, seed=1), "mix/a": variant.noise(5, seed=2)}
    manifest = variant.write(tmp_path, sets, augment=True)
    in_memory, streamed = (read(manifest, tmp_path, 32, "grey", share) for share in (1.0, 0.0))
    drawn = list(batches(in_memory, 7, SIZE, 0, augment=ALL))
    for samples in (in_memory, streamed):
        ahead = batches(samples, 7, SIZE, 0, augment=ALL, first=1, part=slice(2, 6), workers=workers)
        for some, other in zip(ahead, drawn[1:], strict=True):
            assert_equal(some, other, slice(2, 6))


def test_workers_draw_nothing_from_the_generator_of_the_network():
    before = torch.get_rng_state()
    list(batches(toy(), 2, SIZE, 0, workers=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_worker_that_is_killed_ends_the_training_in_one_line(monkeypatch):
    waiting = "torch.utils.data.dataloader._MultiProcessingDataLoaderIter._try_get_data.__defaults__"
    monkeypatch.setattr(waiting, (0.2,))  # seconds until it looks after its workers, instead of 5
    drawn = batches(toy(), 10**9, SIZE, 0, workers=1)
    next(drawn)
    (worker,) = multiprocessing.active_children()
    worker.kill()
    time.sleep(0.2)  # and nothing is raised here, between two batches
    with pytest.raises(ChildProcessError, match="a worker that decodes faces ended") as error:
        list(drawn)
    assert "\n" not in str(error.value)


def test_psi_is_drawn_for_each_sample_or_for_the_batch():
    each, one = (torch.stack([b.psi for b in batches(toy(6), 60, SIZE, 0, mix=mix)]) for mix in ("sample", "batch"))
    assert each.std(1).min() > 0 and one.std(1).max() == 0
    assert one[:, 0].unique().numel() > 12 and one.min() == 0 and one.max() == 1


def test_a_share_of_the_faces_is_flipped_and_nothing_else_without_jitter():
    samples = toy(colours=1)
    for flip, low, high in ((0.0, 0, 0), (0.25, 0.15, 0.35), (1.0, 1, 1)):
        count = flipped = 0
        for batch in batches(samples, 25, SIZE, 0, augment=replace(PLAIN, flip=flip, jitter=0.0)):
            plain = samples.faces[batch.main.label_a.numpy()]
            other = [not np.array_equal(a, b) for a, b in zip(batch.faces.numpy(), plain, strict=True)]
            assert np.array_equal(batch.faces.numpy()[other], plain[other][:, :, ::-1])
            count, flipped = count + len(other), flipped + sum(other)
        assert low <= flipped / count <= high


def test_jitter_is_an_amount():
    for amount in (0.25, 1.0):
        (batch,) = batches(toy(), 1, SIZE, 0, augment=replace(PLAIN, jitter=float(amount)))
        order = stream("order", 0, 0, 0).permutation(N)[:SIZE]
        expected = transform.jittered(toy().faces[order], stream("transform", 0, 0), amount)
        assert np.array_equal(batch.faces.numpy(), expected)


def test_a_sample_is_augmented_by_its_number_and_epoch_and_not_by_its_batch():
    cfg = replace(ALL, flip=0.0, jitter=0.0)

    def shown(size: int, epochs: int = 2, seed: int = 0) -> np.ndarray:
        """Return the faces (epochs, N, ...) by their sample."""
        drawn = list(batches(toy(), epochs * N // size, size, seed, augment=cfg))
        label = torch.cat([b.main.label_a for b in drawn]).reshape(epochs, N)
        faces = torch.cat([b.faces for b in drawn]).reshape(epochs, N, SIDE, SIDE, 3)
        return np.stack([faces[i][label[i].argsort()].numpy() for i in range(epochs)])

    one = shown(4)
    assert np.array_equal(one, shown(10))
    changed = (one != toy().faces).any((2, 3, 4))
    assert (changed.mean(1) > 0.7).all() and (one[0] != one[1]).any((1, 2, 3)).mean() > 0.7
    assert (one != shown(4, seed=1)).any((2, 3, 4)).mean() > 0.7
    face = augmentation.varied(held(toy())[5], cfg, seed=0, epoch=1, sample=5)
    assert np.array_equal(face, one[1, 5])
