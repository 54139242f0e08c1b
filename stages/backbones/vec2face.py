"""Vec2Face's network (Wu et al., ICLR 2025): a masked transformer over 7 x 7 tokens, then a convolutional decoder."""

import torch
from torch import Tensor, nn

GRID, PATCH_PX = 7, 16  # positions a side, and pixels a side of each
TOKENS = GRID**2
SIDE_PX = GRID * PATCH_PX
HEADS, DECODER_HEADS = 12, 16


class Vec2Face(nn.Module):
    """The published network, any width that its heads divide; rows (b, d) to faces (b, 3, 112, 112) in [-1, 1].

    Names are those of the checkpoint. Its weights need some oddities: every token is an affine map of the projected
    row, masked tokens are that row itself, and `_Residual` takes its shortcut from the end of its branch.
    """

    def __init__(self, d: int, width: int, depths: tuple[int, int], z_channels: int, channels: list[int]) -> None:
        """Build it: depths of encoder and decoder, channels of the image decoder's levels, from 112 px down."""
        super().__init__()
        self.token_emb = _Positions(width)
        self.latent_prior_proj_f = nn.Linear(d, width)
        self.feature_token = nn.Linear(1, TOKENS)
        self.center_token = nn.Linear(width, TOKENS)  # in the checkpoint, but nothing uses it
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH_PX, PATCH_PX)})  # nor this
        self.blocks = nn.ModuleList(_Block(width, HEADS) for _ in range(depths[0]))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.decoder_embed = nn.Linear(width, width)
        self.decoder_pos_embed_learned = nn.Parameter(torch.zeros(1, TOKENS + 1, width))
        self.decoder_blocks = nn.ModuleList(_Block(width, DECODER_HEADS) for _ in range(depths[1]))
        self.decoder_norm = nn.LayerNorm(width, eps=1e-6)
        self.im_decoder_proj = nn.Linear(width, z_channels)
        self.im_decoder = _Pictures(z_channels, channels)

    def forward(self, rows: Tensor, dropped: Tensor, masked: Tensor) -> Tensor:
        """Return faces of rows (b, d); the encoder does not see `dropped` tokens (b, 49), as many in every row.

        `masked` tokens (b, 49), all dropped ones among them, are the projected row, before and after the encoder.
        """
        first = torch.zeros_like(masked[:, :1])  # token 0, the condition, is never masked
        dropped, masked = torch.cat([first, dropped], 1), torch.cat([first, masked], 1)[..., None]
        row = self.latent_prior_proj_f(rows)  # (b, width)
        tokens = torch.cat([row[:, None], self.feature_token(row[..., None]).mT], 1)  # (b, 50, width)
        tokens = self.token_emb(torch.where(masked, row[:, None], tokens))
        x = tokens[~dropped].unflatten(0, (len(rows), -1))  # (b, kept, width)
        for block in self.blocks:
            x = block(x)
        x = self.decoder_embed(self.norm(x))
        whole = x[:, :1].repeat(1, TOKENS + 1, 1)
        whole[~dropped] = x.flatten(0, 1)
        x = torch.where(masked, x[:, :1], whole) + self.decoder_pos_embed_learned
        for block in self.decoder_blocks:
            x = block(x)
        z = self.im_decoder_proj(self.decoder_norm(x)[:, 1:]).mT.unflatten(2, (GRID, GRID))
        return self.im_decoder(z.contiguous(memory_format=torch.channels_last)).clamp(-1, 1)


class _Positions(nn.Module):
    position_ids: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.position_embeddings = nn.Embedding(TOKENS + 1, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-6)
        self.register_buffer("position_ids", torch.arange(TOKENS + 1)[None])

    def forward(self, x: Tensor) -> Tensor:
        return self.LayerNorm(x + self.position_embeddings(self.position_ids))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.attn["qkv"](self.norm1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        with torch.autocast(x.device.type, enabled=False):  # attention in float32, as it was trained
            attended = nn.functional.scaled_dot_product_attention(*qkv.float())  # (b, heads, tokens, width / heads)
        x = x + self.attn["proj"](attended.transpose(1, 2).flatten(2))
        return x + self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](self.norm2(x))))


class _Pictures(nn.Module):
    """The decoder of a VQGAN without its attention: (b, z, 7, 7) to (b, 3, 112, 112)."""

    def __init__(self, z_channels: int, channels: list[int]) -> None:
        super().__init__()
        low = channels[-1]
        self.conv_in = nn.Conv2d(z_channels, low, 3, padding=1)
        self.mid = nn.ModuleDict({"block_1": _Residual(low, low), "block_2": _Residual(low, low)})
        above = zip([*channels[1:], low], channels, range(len(channels)), strict=True)
        self.up = nn.ModuleList(_Level(before, after, number > 0) for before, after, number in above)
        self.norm_out = _normalised(channels[0])
        self.conv_out = nn.Conv2d(channels[0], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid["block_2"](self.mid["block_1"](self.conv_in(z)))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(nn.functional.silu(self.norm_out(x)))


class _Level(nn.Module):
    def __init__(self, before: int, after: int, grows: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(_Residual(before, after), _Residual(after, after))
        self.upsample = nn.ModuleDict({"conv": nn.Conv2d(after, after, 3, padding=1)}) if grows else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x)
        return x if self.upsample is None else self.upsample["conv"](nn.functional.interpolate(x, scale_factor=2.0))


class _Residual(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _normalised(before), _normalised(after)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.nin_shortcut = nn.Conv2d(after, after, 1, bias=False) if before != after else None

    def forward(self, x: Tensor) -> Tensor:
        branch = self.conv2(nn.functional.silu(self.norm2(self.conv1(nn.functional.silu(self.norm1(x))))))
        return branch + (x if self.nin_shortcut is None else self.nin_shortcut(branch))  # of the branch, not of x


def _normalised(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)
