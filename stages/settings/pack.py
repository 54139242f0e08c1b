"""The `pack` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.params import NonNegative, Seed, settings


@settings
class Pack:
    """How `identities` directions are placed on the embedding sphere."""

    method: Literal["hyperface", "code", "gaussian", "gallery", "random"]
    identities: Annotated[int, Field(ge=2, le=10_000_000)]
    alpha: NonNegative
    separation: Literal["closest", "mean"]
    start: Literal["selected", "random"]
    iterations: Annotated[int, Field(ge=1, le=1_000_000)]
    tolerance: NonNegative
    max_cosine: Annotated[float, Field(gt=-1, le=1)]
    crowded_cosine: Annotated[float, Field(ge=-1, le=1)]
    seed: Seed

    def check_size(self, d: int) -> None:
        """Raise ValueError when `method` has no such rows for embeddings of size d: `code` is for powers of two."""
        if self.method != "code":
            return
        if d not in [2**r for r in range(3, 13)]:
            raise ValueError(f"pack.method = 'code' with embeddings of size {d}; allowed: powers of two from 8 to 4096")
        if self.identities > 2 * d * (d + 1):
            raise ValueError(
                f"pack.identities = {self.identities}; allowed with pack.method = 'code' at size {d}: at most "
                f"{2 * d * (d + 1)}"
            )
