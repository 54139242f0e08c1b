"""Bound packings: how far apart the closest pair can be at best, and how many identities a threshold leaves room for.

Levenshtein's bound (Universal bounds for codes and designs, Handbook of Coding Theory, 1998, section 6): of unit rows
in d dimensions whose pairwise cosines are at most s there are at most L(d, s). L rises with s, on a new branch from
each of its knots, which are the largest zeros of Jacobi polynomials; there it equals Delsarte, Goethals and Seidel's
sizes of designs (Geometriae Dedicata 6, 1977), so that integers alone say on which branch a given m lies.
"""

import math

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal
from scipy.optimize import root_scalar
from scipy.special import betaln, hyp2f1

ROUNDING = 1e-12  # of cosines and angles where the count jumps
TRIBONACCI = 1.8392867552141612  # t^3 = t^2 + t + 1
PROVEN = {  # cosines of (m, d) that stronger methods prove to be optimal, above Levenshtein's bound
    (24, 3): (TRIBONACCI - 1) / (3 - TRIBONACCI),  # snub cube, Robinson 1961
    (24, 4): 0.5,  # 24-cell, de Laat, Leijenhorst and de Muinck Keizer, arXiv 2404.18794
    (120, 4): (1 + math.sqrt(5)) / 4,  # 600-cell, Andreev 1999
}


def lower_bound(m: int, d: int) -> float:
    """Return a cosine that the closest pair of any m unit rows in d dimensions reaches or exceeds.

    Exact for d = 2 and, by Rankin (1955), for m <= 2 d; else the best of Levenshtein's, for d = 3 Fejes Toth's, and of
    optima proven for as many rows or fewer.
    """
    if m < 2 or d < 2:
        raise ValueError(f"no bound for m = {m} rows in d = {d} dimensions; allowed: at least 2 of each")
    if d == 2:
        return math.cos(2 * math.pi / m)
    if m <= d + 1:
        return -1 / (m - 1)
    if m <= 2 * d:
        return 0.0
    proven = [cosine for (rows, size), cosine in PROVEN.items() if size == d and rows <= m]
    return max(_levenshtein_cosine(m, d), *proven, _fejes_toth(m) if d == 3 else 0.0)


def capacity(tau: float, rho_deg: float, d: int) -> tuple[float, float]:
    """Return log10 of how many identities surely fit in d dimensions, and log10 of a number they cannot exceed.

    Two images match at a cosine above tau, and those of an identity lie within rho_deg degrees of its centre. Razeghi
    (arXiv 2604.10641): centres at least arccos(tau) + 2 rho apart suffice that no two identities match, and must be
    that far apart where images fill their caps, so the capacity is the size A of the largest spherical code at that
    angle. The first number is a guarantee (caps of that angle around a code that cannot grow cover the sphere: Wyner
    1967; or an orthoplex), the second Levenshtein's bound; both are A itself from 90 degrees on and for d = 2. They
    count the whole sphere, of which faces reach a part. Raises ValueError where one identity's images may not match.
    """
    if not -1 < tau < 1 or d < 2:
        raise ValueError(f"tau = {tau:g}, d = {d}; allowed: a cosine between -1 and 1, at least 2 dimensions")
    widest = math.degrees(math.acos(tau)) / 2
    if not 0 <= rho_deg <= widest + ROUNDING:
        raise ValueError(f"rho_deg = {rho_deg:g}; allowed: 0 to half of arccos(tau), {widest:g}")
    apart = math.acos(tau) + 2 * math.radians(rho_deg)
    most_log10 = _log10_most(apart, d)
    if d == 2 or apart >= math.pi / 2:
        return most_log10, most_log10
    return max(math.log10(2 * d), -_log10_cap(apart, d)), most_log10


def _log10_most(apart: float, d: int) -> float:
    """Return log10 of a number that rows in d dimensions at angles of at least `apart` cannot exceed."""
    cosine = math.cos(apart)
    if apart > math.pi + ROUNDING:
        return 0.0
    if d == 2:
        return math.log10(math.floor(2 * math.pi / apart + ROUNDING))
    if cosine < -ROUNDING:
        return math.log10(min(d + 1, math.floor(1 - 1 / cosine + ROUNDING)))
    return math.log10(2 * d) if cosine <= ROUNDING else _log10_levenshtein(cosine, d)


def _log10_cap(angle: float, d: int) -> float:
    """Return log10 of the share of the sphere in d dimensions within `angle` < 90 degrees (in radians) of a point.

    It is I_x(a, 1/2) / 2 with x = sin(angle)^2, written with its power x^a apart, which float64 cannot always hold.
    """
    a, x = (d - 1) / 2, math.sin(angle) ** 2
    log = a * math.log(x) - math.log(2 * a) - betaln(a, 0.5) + math.log(hyp2f1(a, 0.5, a + 1, x))
    return float(log / math.log(10))


def _fejes_toth(m: int) -> float:
    """Return his bound for d = 3 (1943), from the triangles between m points; exact for m = 3, 4, 6 and 12."""
    return (1 / math.tan(m * math.pi / (6 * (m - 2))) ** 2 - 1) / 2


def _levenshtein_cosine(m: int, d: int) -> float:
    """Return the cosine s with L(d, s) = m > 2 d."""
    branch = 3
    while _design_size(branch + 1, d) <= m:
        branch += 1
    low, high = _knot(branch, d), _knot(branch + 1, d)

    def excess(s: float) -> float:
        return _factor(branch, d) * _levenshtein(branch, s, d) / m - 1

    if excess(low) >= 0:  # m is the size at the knot
        return low
    return root_scalar(excess, bracket=(low, high), xtol=1e-15).root if excess(high) > 0 else high


def _log10_levenshtein(s: float, d: int) -> float:
    """Return log10 of L(d, s) for a cosine 0 < s < 1."""
    low, high = 3, 4
    while _knot(high, d) <= s:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _knot(middle, d) <= s else (low, middle)
    return math.log10(_factor(low, d)) + math.log10(_levenshtein(low, s, d))


def _design_size(branch: int, d: int) -> int:
    """Return L where the branch begins: the least size of a spherical design of that strength."""
    k = branch // 2
    if branch % 2:
        return 2 * math.comb(d + k - 1, k)
    return math.comb(d + k - 1, k) + math.comb(d + k - 2, k - 1)


def _knot(branch: int, d: int) -> float:
    """Return the cosine where the branch begins: the largest zero of a Jacobi polynomial of degree branch // 2.

    Its parameters are (d - 3) / 2 + 1 and (d - 3) / 2 + 1 (odd branches) or + 0 (even ones); zeros of orthogonal
    polynomials are the eigenvalues of the matrix of their recurrence (Golub and Welsch 1969).
    """
    degree, alpha = branch // 2, (d - 1) / 2
    beta = alpha - 1 + branch % 2
    n, total = np.arange(degree), alpha + beta
    diagonal = (beta - alpha) * total / ((2 * n + total) * (2 * n + total + 2))
    n = n[1:]
    side = 4 * n * (n + alpha) * (n + beta) * (n + total)
    side = side / ((2 * n + total) ** 2 * (2 * n + total + 1) * (2 * n + total - 1))
    last = (degree - 1, degree - 1)
    return float(eigvalsh_tridiagonal(diagonal, np.sqrt(side), select="i", select_range=last)[0])


def _factor(branch: int, d: int) -> int:
    """Return the binomial before the branch, apart because it can be beyond float64."""
    k = (branch + 1) // 2
    return math.comb(k + d - 3, k - 1) if branch % 2 else math.comb(k + d - 2, k)


def _levenshtein(branch: int, s: float, d: int) -> float:
    """Return L(d, s) on its branch, 2 k - 1 or 2 k, over the binomial before it."""
    k = (branch + 1) // 2
    before, here, after = _gegenbauer(k, s, d)
    if branch % 2:
        return (2 * k + d - 3) / (d - 1) - (before / here - 1) / (1 - s)
    return (2 * k + d - 1) / (d - 1) - (1 + s) * (here - after) / ((1 - s) * (here + after))


def _gegenbauer(k: int, s: float, d: int) -> tuple[float, float, float]:
    """Return P_{k-1}(s), P_k(s) and P_{k+1}(s), the sphere's polynomials in d dimensions, up to a common factor."""
    before, here, after = 0.0, 1.0, s
    for i in range(1, k + 1):
        size = abs(here) + abs(after)  # only ratios matter, and the values leave float64's range
        before, here = here / size, after / size
        after = ((2 * i + d - 2) * s * here - i * before) / (i + d - 2)
    return before, here, after
