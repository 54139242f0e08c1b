"""The `world` section of params.yaml."""

from stages.common.params import SizePx, Spread, settings


@settings
class World:
    """How the embedded face world is photographed by `gallery`, `generate`, `sets` and `benchmarks`."""

    size_px: SizePx
    studio_spread: Spread
    wild_spread: Spread
