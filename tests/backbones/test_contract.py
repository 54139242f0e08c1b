"""What holds of every recogniser's network: rows in float32, exports, compiles, recomputation that changes nothing."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nets
import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from stages.common import networks
from stages.common.recomputation import Recomputing

D, SIDE_PX = 6, 32
CARDS: dict[str, dict[str, Any]] = {
    "compact": {"architecture": "compact", "widths": [4, 6, 8, 10], "fold_stem": True},
    "iresnet": {"architecture": "iresnet", "widths": [4, 6, 8, 10], "blocks": [2, 1, 2, 1], "dropout": 0.4},
    "with squeeze-excitation": {
        "architecture": "iresnet", "widths": [4, 6, 8, 10], "blocks": [2, 1, 2, 1], "squeeze_excitation": True,
    },
    "mobilefacenet": {"architecture": "mobilefacenet", "widths": [4, 6, 8, 10], "blocks": [1, 2, 2, 1]},
    "of bottlenecks alone": {
        "architecture": "mobilefacenet", "widths": [4, 6, 8, 10], "blocks": [2, 1, 1, 1], "expansion": 0.5,
    },
    "vit": {
        "architecture": "vit", "widths": [16], "blocks": [4], "heads": 4, "patch_px": 9, "drop_path": 0.3,
        "mask_ratio": 0.2,
    },
}  # fmt: skip
CHECKPOINTED = [name for name in CARDS if name != "compact"]


def net(name: str, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    built = networks.build({"embedding_size": D, "size_px": SIDE_PX, "colour": "rgb", **CARDS[name], **changes})
    return built.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def faces(count: int = 8) -> Tensor:
    x = torch.randn(count, 3, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(1))
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", CARDS)
def test_rows_in_bfloat16_are_those_of_float32_rounded(name: str):
    trained = net(name)
    trained(faces())  # the running means are not those of the start
    trained.eval()
    with torch.autocast("cpu", torch.bfloat16):
        coarse = trained(faces())
    fine = trained(faces())
    assert coarse.dtype == fine.dtype == torch.float32 and fine.shape == (8, D)
    assert not torch.equal(coarse, fine)
    assert (coarse - fine).norm() < 0.05 * fine.norm()


@pytest.mark.parametrize("name", CARDS)
def test_an_exported_network_gives_the_same_rows_at_any_batch_size(name: str, tmp_path: Path):
    trained = net(name).eval()
    session = onnxruntime.InferenceSession(nets.export(trained, tmp_path / "net.onnx", SIDE_PX))
    for count in (1, 5):
        rows = session.run(None, {"image": faces(count).contiguous().numpy()})[0]
        np.testing.assert_allclose(np.asarray(rows), trained(faces(count)).detach().numpy(), rtol=1e-4, atol=1e-5)


def trained_net(name: str, checkpoint_blocks: bool, **changes: Any) -> Recomputing:
    trained = net(name, **changes).train()
    assert isinstance(trained, Recomputing)
    trained.checkpoint_blocks = checkpoint_blocks
    return trained


def step(name: str, checkpoint_blocks: bool, precision: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Return what one step of training leaves: rows, gradients, buffers, and what the next random number is."""
    trained = trained_net(name, checkpoint_blocks)
    torch.manual_seed(2)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        rows = trained(faces())
    (rows * torch.randn_like(rows)).sum().backward()
    gradients = {f"gradient of {key}": p.grad for key, p in trained.named_parameters() if p.grad is not None}
    assert len(gradients) == sum(p.requires_grad for p in trained.parameters())
    return {"rows": rows, **gradients, **trained.state_dict(), "next": torch.rand(1)}


@pytest.mark.parametrize("name", CHECKPOINTED)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_blocks_computed_twice_change_no_bit(name: str, precision: torch.dtype):
    """Not of rows, not of gradients, nor of the means that batch normalisation keeps of what it saw, nor of chance."""
    once, twice = (step(name, checkpoint_blocks, precision) for checkpoint_blocks in (False, True))
    assert once.keys() == twice.keys()
    assert [key for key in once if not torch.equal(once[key], twice[key])] == []


def kept_bytes(name: str, checkpoint_blocks: bool) -> int:
    """Return the bytes that a forward pass of training keeps for the backward pass, without the parameters."""
    trained, kept = trained_net(name, checkpoint_blocks), dict[int, int]()
    parameters = {p.data_ptr() for p in trained.parameters()}

    def keep(x: Tensor) -> Tensor:
        if x.data_ptr() not in parameters:
            kept[x.data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        rows = trained(faces())
    assert rows.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("name", CHECKPOINTED)
def test_blocks_computed_twice_are_not_kept(name: str):
    assert kept_bytes(name, True) < 0.5 * kept_bytes(name, False)


@pytest.fixture
def _compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize(("name", "blocks"), [("iresnet", [1] * 4), ("vit", [1])])
def test_one_graph_holds_the_whole_network(name: str, blocks: list[int]):
    """Compiled for training, with blocks that are computed twice: the same rows, gradients and buffers."""
    trained = trained_net(name, checkpoint_blocks=True, blocks=blocks)
    for module in trained.modules():  # compiled, chance is drawn in another order
        for share in ("drop_rate", "mask_ratio", "p"):
            if hasattr(module, share):
                setattr(module, share, 0.0)
    plain = copy.deepcopy(trained)
    compiled = torch.compile(trained, backend="aot_eager", fullgraph=True)
    for one in (plain, compiled):
        rows = one(faces())
        (rows * torch.arange(D)).square().sum().backward()
    gradients = ((p.grad, q.grad) for p, q in zip(plain.parameters(), trained.parameters(), strict=True))
    assert all(torch.allclose(p, q, atol=1e-5) for p, q in gradients if p is not None and q is not None)
    assert all(torch.allclose(value, trained.state_dict()[key], atol=1e-6) for key, value in plain.state_dict().items())
