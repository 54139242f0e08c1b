"""A vision transformer for faces, in the key layout of insightface's arcface_torch.

At 112 px, patch 9, embedding size 512: vit_t has width 256, 12 blocks; vit_s 512, 12; vit_b 512, 24; each of them 8
heads, drop path 0.1, mask ratio 0.1. Neither the sizes nor the network are the paper's (Dosovitskiy et al. 2021): no
class token, but a linear layer over all patches; ReLU6 for GELU; no offset in queries, keys and values.
Training leaves out a share of the patches, which a learned token replaces behind the blocks (He et al. 2022), and whole
branches of some images (Huang et al. 2016, "stochastic depth"). arcface_torch reads its mask ratio as yes or no and
leaves out 0.1 in any case; here the share is the one that is asked for. Its dropouts, 0 in every configuration of
theirs, do not exist here. Theirs runs half in float16 and attention in float32, whatever surrounds it; here autocast
decides, but for the last normalisations, which are in float32.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.common.errors import InputError
from stages.common.recomputation import Recomputing

MLP_RATIO = 4  # hidden width of a block's multi-layer perceptron to its own
INITIAL_SD = 0.02
FEATURE_EPS = 2e-5  # of the two normalisations at the end


class Vit(Recomputing):
    """Patches as tokens, blocks of attention and a perceptron, two linear layers over all positions.

    Input (b, colours, s, s) float; output (b, embedding_size), un-normalised. Where s is no multiple of the patch, the
    last rows and columns are not seen: 4 of 112 px at 9.
    """

    def __init__(
        self,
        widths: Sequence[int],
        embedding_size: int,
        size_px: int,
        colours: int = 3,
        blocks: Sequence[int] = (12,),
        heads: int = 8,
        patch_px: int = 9,
        drop_path: float = 0.1,
        mask_ratio: float = 0.1,
    ) -> None:
        """Build the network; `widths` has one number, the length of a token, and `blocks` one, how many there are.

        heads: of attention, a divisor of the width. drop_path: share of images without a branch in the last block, less
        and less before it, none in the first. mask_ratio: share of patches that training leaves out.
        """
        super().__init__()
        if len(widths) != 1 or len(blocks) != 1:
            raise InputError(None, key="widths, blocks", value=(widths, blocks), allowed="one number of each")
        (width,), (depth,), side = widths, blocks, size_px // patch_px
        if not side:
            raise InputError(None, key="patch_px", value=patch_px, allowed=f"at most size_px, {size_px}")
        if width % heads:
            raise InputError(None, key="heads", value=heads, allowed=f"a divisor of the width, {width}")
        self.mask_ratio = mask_ratio
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(colours, width, patch_px, patch_px)})
        self.pos_embed = nn.Parameter(torch.empty(1, side**2, width))
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        rates = [drop_path * i / max(1, depth - 1) for i in range(depth)]
        self.blocks = nn.ModuleList(_Block(width, heads, rate) for rate in rates)
        self.norm = nn.LayerNorm(width)
        self.feature = nn.Sequential(
            nn.Linear(width * side**2, width, bias=False),
            nn.BatchNorm1d(width, FEATURE_EPS),
            nn.Linear(width, embedding_size, bias=False),
            nn.BatchNorm1d(embedding_size, FEATURE_EPS),
        )
        self._draw()

    def _draw(self) -> None:
        nn.init.normal_(self.mask_token, std=INITIAL_SD)
        nn.init.trunc_normal_(self.pos_embed, std=INITIAL_SD)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=INITIAL_SD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings (b, embedding_size)."""
        x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2) + self.pos_embed  # (b, patches, width)
        if self.training and self.mask_ratio > 0:
            b, patches, width = x.shape
            visible = torch.rand(b, patches, device=x.device).argsort(1)[:, : int(patches * (1 - self.mask_ratio))]
            visible = visible[..., None].expand(-1, -1, width)
            encoded = self._encoded(x.gather(1, visible))
            x = self.mask_token.to(encoded.dtype).expand(b, patches, width).scatter(1, visible, encoded)
        else:
            x = self._encoded(x)
        first, first_norm, second, second_norm = self.feature
        return second_norm(second(first_norm(first(x.flatten(1)).float())).float())

    def _encoded(self, tokens: Tensor) -> Tensor:
        return self.norm(self.through(self.blocks, tokens).float())


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, drop_rate: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = _Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _Perceptron(width)
        self.drop_rate = drop_rate

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._drop_path(self.attn(self.norm1(x)))
        return x + self._drop_path(self.mlp(self.norm2(x)))

    def _drop_path(self, branch: Tensor) -> Tensor:
        """Leave out the branch of some images, and lengthen that of the others so that its mean stays."""
        if not self.training or not self.drop_rate:
            return branch
        return branch * functional.dropout(branch.new_ones(len(branch), 1, 1), self.drop_rate)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(2, (3, self.heads, -1)).transpose(1, 3)  # (b, heads, 3, tokens, width / heads)
        q, k, v = qkv.unbind(2)
        return self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.relu6(self.fc1(x)))
