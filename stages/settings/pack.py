"""The `pack` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.errors import InputError
from stages.common.params import FILE, NonNegative, Seed, settings


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
        """Raise InputError when `method` has no such rows for embeddings of size d: `code` is for powers of two."""
        if self.method != "code":
            return
        if d not in [2**r for r in range(3, 13)]:
            allowed = "powers of two from 8 to 4096"
            raise InputError(FILE, f"embeddings of size {d}", key="pack.method", value="code", allowed=allowed)
        if self.identities > (most := 2 * d * (d + 1)):
            problem, allowed = f"pack.method is code, embeddings of size {d}", f"at most {most}"
            raise InputError(FILE, problem, key="pack.identities", value=self.identities, allowed=allowed)
