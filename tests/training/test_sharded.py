"""Class weights on three ranks against all of them on one, and samples of them against the loss over what is kept."""

from pathlib import Path
from typing import Any

import pytest
import torch
from spread import CASES, MARGIN, RANKS, SCALE, STEPS, Case, D, train, work
from torch import Tensor

from stages.training import heads, sharded
from stages.training.collectives import ALONE, Group

WHOLE = [case for case in CASES if case.sample == 1]
SAMPLED = [case for case in CASES if case.sample < 1]


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> dict[Case, list[Any]]:
    """Return for every case what each of three gloo ranks has in each step."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(work, (folder,), RANKS)  # pyright: ignore[reportPrivateImportUsage]
    ranks = [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]
    return {case: [cases[i] for cases in ranks] for i, case in enumerate(CASES)}


def together(ranks: list[Any], step: int, key: str) -> Tensor:
    return torch.cat([rank[step]["own"][key] for rank in ranks])


@pytest.mark.parametrize("case", WHOLE, ids=str)
def test_equals_dense(spread: dict[Case, list[Any]], case: Case) -> None:
    """Losses, all gradients, statistics, and what a step of training makes of them."""
    ranks, dense = spread[case], train(case)
    assert [len(rank[0]["own"]["weight"]) for rank in ranks][:2] == [-(-case.classes // RANKS)] * 2
    assert torch.equal(together(ranks, 0, "weight"), dense[0]["own"]["weight"])
    error = 1e-6 if case.dtype == torch.float32 else 1e-12
    for step in range(STEPS):
        for key, value in dense[step]["alike"].items():
            for rank in ranks:
                assert difference(rank[step]["alike"][key], value) < error, key
                assert torch.equal(rank[step]["alike"][key], ranks[0][step]["alike"][key]), key
        for key, value in dense[step]["own"].items():
            assert difference(together(ranks, step, key), value) < error, key


def difference(x: Tensor, expected: Tensor) -> float:
    """Return the largest difference, as a share of the largest number where that is above 1."""
    return float((x - expected).abs().max() / expected.abs().max().clamp_min(1))


def loss_over(kept: Tensor, case: Case, weight: Tensor, batch: dict[str, Tensor], alike: dict[str, Tensor]) -> Tensor:
    """Return the losses of a dense head that has the kept class weights and no others."""
    head = heads.load(case.name, len(kept), D, SCALE, MARGIN).to(case.dtype).eval()
    head.load_state_dict({"weight": weight[kept], **{key: alike[key] for key in head.state_dict() if key != "weight"}})
    a, b = (torch.searchsorted(kept, batch[key]) for key in ("label_a", "label_b"))
    assert torch.equal(kept[a], batch["label_a"]) and torch.equal(kept[b], batch["label_b"])
    return head(batch["embedding"], a, b, batch["ratio"]).detach()


@pytest.mark.parametrize("case", SAMPLED, ids=str)
def test_a_sample_has_the_loss_over_what_it_keeps(spread: dict[Case, list[Any]], case: Case) -> None:
    """On three ranks and on one: half of the class weights, more where the batch has more; the others do not move."""
    for ranks in (spread[case], [train(case)]):
        drawn = set()
        for step in range(STEPS):
            now = [rank[step] for rank in ranks]
            moved = [rank["own"]["gradient"].abs().sum(1) > 0 for rank in now]
            rows, positives = rows_and_positives(now)
            assert [int(m.sum()) for m in moved] == [max(r // 2, p) for r, p in zip(rows, positives, strict=True)]
            kept = torch.cat(moved).nonzero()[:, 0]
            expected = loss_over(kept, case, together(ranks, step, "weight"), now[0]["batch"], now[0]["alike"])
            assert difference(now[0]["alike"]["loss"], expected) < 1e-12
            drawn.add(tuple(kept.tolist()))
        assert len(drawn) == STEPS


def rows_and_positives(ranks: list[Any]) -> tuple[list[int], list[int]]:
    """Return how many class weights each rank has, and how many of them the batch's labels name."""
    rows = [len(rank["own"]["weight"]) for rank in ranks]
    labels = torch.cat([ranks[0]["batch"]["label_a"], ranks[0]["batch"]["label_b"]]).unique()
    return rows, [int((part > 0).sum()) for part in torch.bincount(labels, minlength=sum(rows)).split(rows)]


def kept(step: int, rank: int = 0, seed: int = 0) -> Tensor:
    """Return the class weights that a step takes beside the first, of 40."""
    head = sharded.load("cosface", 80, D, SCALE, MARGIN, group=Group(rank, 2), sample=0.5, seed=seed)
    head.step = step
    assert isinstance(head, sharded.ShardedHead)
    return head._kept(torch.tensor([-1, 0]))


def test_what_is_kept_depends_on_seed_step_and_rank_alone():
    first = kept(5)
    assert torch.equal(first, kept(5)) and len(first) == 20 and first[0] == 0
    assert not any(torch.equal(first, other) for other in (kept(6), kept(5, rank=1), kept(5, seed=1)))


@pytest.mark.parametrize("classes", [3, 40, 64, 79, 80, 81])
@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_the_ranks_rows_are_one_ranks_initial_weights_in_chunks(
    classes: int, ranks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharded, "DRAWN_ROWS", 16)
    torch.manual_seed(1)
    whole, after = heads.load("cosface", classes, D, SCALE, MARGIN).weight, torch.rand(1)
    chunks = [*whole.chunk(ranks), *[whole[:0]] * ranks][:ranks]
    for rank, chunk in enumerate(chunks):
        torch.manual_seed(1)
        head = sharded.load("cosface", classes, D, SCALE, MARGIN, group=Group(rank, ranks))
        assert torch.equal(head.weight, chunk) and torch.equal(torch.rand(1), after)


def test_alone_and_whole_it_is_the_plain_head():
    assert type(sharded.load("adaface", 4, D, SCALE, MARGIN, group=ALONE, h=0.5)) is heads.class_of("adaface")
