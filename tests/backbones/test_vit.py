"""The vision transformer against its arithmetic written out, and what training leaves out."""

import pytest
import torch
from refusal import refused
from torch import Tensor
from torch.nn import functional

from stages.backbones.vit import Vit, _Block


def net(drop_path: float = 0.0, mask_ratio: float = 0.0) -> Vit:
    torch.manual_seed(0)
    return Vit([8], 5, 32, 2, [3], heads=2, drop_path=drop_path, mask_ratio=mask_ratio)


def faces(count: int = 4) -> Tensor:
    return torch.randn(count, 2, 32, 32, generator=torch.Generator().manual_seed(1))


def written_out(t: dict[str, Tensor], x: Tensor) -> Tensor:
    """Return embeddings of images (b, 2, 32, 32) by the weights of an evaluated network of 3 blocks and 2 heads."""

    def norm(x: Tensor, key: str) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
        return x * t[f"{key}.weight"] + t[f"{key}.bias"]

    def batch_norm(x: Tensor, key: str) -> Tensor:
        x = (x - t[f"{key}.running_mean"]) / (t[f"{key}.running_var"] + 2e-5).sqrt()
        return x * t[f"{key}.weight"] + t[f"{key}.bias"]

    patches = x[:, :, :27, :27].unfold(2, 9, 9).unfold(3, 9, 9).permute(0, 2, 3, 1, 4, 5).reshape(len(x), 9, -1)
    x = patches @ t["patch_embed.proj.weight"].flatten(1).T + t["patch_embed.proj.bias"] + t["pos_embed"]
    for i in range(3):
        q, k, v = (norm(x, f"blocks.{i}.norm1") @ t[f"blocks.{i}.attn.qkv.weight"].T).split(8, -1)
        heads = [
            (q[..., part] @ k[..., part].mT / 4**0.5).softmax(-1) @ v[..., part] for part in (slice(4), slice(4, 8))
        ]
        x = x + torch.cat(heads, -1) @ t[f"blocks.{i}.attn.proj.weight"].T + t[f"blocks.{i}.attn.proj.bias"]
        hidden = norm(x, f"blocks.{i}.norm2") @ t[f"blocks.{i}.mlp.fc1.weight"].T + t[f"blocks.{i}.mlp.fc1.bias"]
        x = x + hidden.clip(0, 6) @ t[f"blocks.{i}.mlp.fc2.weight"].T + t[f"blocks.{i}.mlp.fc2.bias"]
    x = batch_norm(norm(x, "norm").flatten(1) @ t["feature.0.weight"].T, "feature.1")
    return batch_norm(x @ t["feature.2.weight"].T, "feature.3")


def test_rows_are_those_of_the_arithmetic_written_out():
    vit = net().eval()
    for name, value in vit.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value.uniform_(0.5, 1.5) if value.ndim == 1 else value.normal_()
    tensors = vit.state_dict()
    tensors["feature.1.running_var"].fill_(1e-4)  # so small that what is added to it is felt
    hidden = functional.linear(torch.randn(999, 8), tensors["blocks.0.mlp.fc1.weight"])
    assert (hidden > 6).any()  # the clip at 6 is felt
    assert torch.allclose(vit(faces()), written_out(tensors, faces()), rtol=1e-3, atol=1e-3)


def tokens_behind_blocks(vit: Vit, x: Tensor) -> Tensor:
    """Return what the first linear layer sees (b, patches, width)."""
    rows = []
    vit.feature[0].register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0]))
    vit(x)
    return rows[0].unflatten(1, (-1, 8))


@pytest.mark.parametrize(("mask_ratio", "hidden"), [(0.1, 1), (0.5, 5), (0.0, 0)])
def test_training_puts_a_token_where_it_left_out_a_patch(mask_ratio: float, hidden: int):
    vit = net(mask_ratio=mask_ratio)
    for block in vit.blocks:  # the residual path alone: each token depends on its own patch
        torch.nn.init.zeros_(block.get_parameter("attn.proj.weight"))
        torch.nn.init.zeros_(block.get_parameter("mlp.fc2.weight"))
    x = faces(16)
    whole, seen = tokens_behind_blocks(vit.eval(), x), tokens_behind_blocks(vit.train(), x)
    left_out = (seen == vit.mask_token).all(-1)  # (b, patches)
    assert (left_out.sum(1) == hidden).all()
    assert torch.allclose(seen[~left_out], whole[~left_out], atol=1e-6)
    assert not hidden or len(left_out.unique(dim=0)) > 4  # every image has its own


def test_a_branch_is_left_out_whole_more_often_in_later_blocks():
    vit = net(drop_path=0.5)
    assert [block.drop_rate for block in vit.blocks] == [0, 0.25, 0.5]
    branch = torch.randn(2000, 9, 8)
    block = vit.blocks[2].train()
    assert isinstance(block, _Block)
    kept = block._drop_path(branch)
    zero = (kept == 0).all(2).all(1)
    assert torch.equal(kept[~zero], 2 * branch[~zero])
    assert zero.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert block.eval()._drop_path(branch) is branch


def test_sizes_that_do_not_fit_are_refused():
    with refused(key="heads", value=3, allowed="divisor of the width, 8"):
        Vit([8], 5, 32, heads=3)
    with refused(key="widths, blocks", allowed="one number of each"):
        Vit([8, 8], 5, 32, heads=2)
    with refused(key="patch_px", value=40, allowed="at most size_px, 32"):
        Vit([8], 5, 32, heads=2, patch_px=40)
