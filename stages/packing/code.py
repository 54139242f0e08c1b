"""Take identities from a code: many rows at once, whose largest cosine is known; the gallery plays no part.

The rows are the axes of the space and their opposites, and the words (-1)^(Tr(a x) + Tr(b x^3)) and their opposites
over x in GF(2^r), d = 2^r, scaled to length one: the dual of the extended two-error-correcting BCH code. A coset (one
b, all a) is an orthogonal basis. Two words of different cosets have the cosine of a quadratic form's Walsh spectrum,
at most 2^-((r - 1) / 2) for odd r and 2^-((r - 2) / 2) for even r (Gold 1968; MacWilliams and Sloane, The Theory of
Error-Correcting Codes, chapter 15): 1/16 for d = 512, where there are 525,312 rows. A word and an axis have
2^(-r / 2). r < 3 has no such code: x^3 is linear or constant there.
"""

import numpy as np
from scipy.linalg import hadamard

from stages.common.streams import stream
from stages.packing import median_norms
from stages.settings.pack import Pack

# Irreducible polynomials over GF(2) of degree r, a bit a coefficient
FIELDS = {3: 0xB, 4: 0x13, 5: 0x25, 6: 0x43, 7: 0x83, 8: 0x11B, 9: 0x203, 10: 0x409, 11: 0x805, 12: 0x1009}


def sample(x_ref: np.ndarray, norms: np.ndarray, cfg: Pack) -> tuple[np.ndarray, np.ndarray]:
    """Return the first m rows (m, d) of the code at the gallery's median norm, the axes permuted and flipped by seed.

    Raises ValueError when d has no such code or m exceeds its rows.
    """
    m, d = cfg.identities, x_ref.shape[1]
    cfg.check_size(d)
    return rows(m, d, cfg.seed), median_norms(norms, m)


def size(d: int) -> int:
    """Return how many rows the code has in d = 2^r dimensions."""
    return 2 * d * (d + 1)


def max_cosine(m: int, d: int) -> float:
    """Return the maximum cosine of the code's first m rows in d = 2^r dimensions: m <= 2 d is an orthoplex."""
    r = d.bit_length() - 1
    return 0.0 if m <= 2 * d else 2 ** (-r / 2) if m <= 4 * d else 2.0 ** -((r - 1) // 2)


def rows(m: int, d: int, seed: int) -> np.ndarray:
    """Return the first m rows (m, d) float32: basis after basis, each before its opposite.

    A permutation of the axes with signs, from the seed, keeps all cosines to the last bit.
    """
    rng = stream("packing", seed)
    axis, sign = rng.permutation(d), rng.choice(np.array([-1, 1], np.float32), d)
    # Linear forms are the rows of Sylvester's matrix: Tr(a x) over all a, and Tr(b y) at y = x^3 over all b
    forms = hadamard(d).astype(np.float32)
    linear, cubic = (forms * sign / np.sqrt(np.float32(d)))[:, axis], forms[:, _cubes(d)[axis]]
    x = np.empty((m, d), np.float32)
    for begin in range(0, m, 2 * d):
        basis = linear * cubic[begin // (2 * d) - 1] if begin else (np.eye(d, dtype=np.float32) * sign)[:, axis]
        x[begin : begin + d] = basis[: m - begin]
        x[begin + d : begin + 2 * d] = -basis[: max(m - begin - d, 0)]
    return x


def _cubes(d: int) -> np.ndarray:
    """Return x^3 (d,) for every x in GF(d)."""
    x = np.arange(d)
    return _product(_product(x, x, d), x, d)


def _product(x: np.ndarray, y: np.ndarray, d: int) -> np.ndarray:
    """Return the products (n,) in GF(d) of x (n,) and y (n,), whose bits are coefficients, by shifting and adding."""
    r, total = d.bit_length() - 1, np.zeros_like(x)
    for bit in reversed(range(r)):
        total = total << 1
        total ^= np.where(total & d, FIELDS[r], 0)
        total ^= np.where(y >> bit & 1, x, 0)
    return total
