import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common import sphere


@given(st.integers(2, 40), st.integers(2, 9), st.integers(0, 99))
def test_nearest_agrees_with_the_full_matrix(m: int, d: int, seed: int):
    x = sphere.unit_rows(np.random.default_rng(seed).standard_normal((m, d)))
    cos = x @ x.T
    np.fill_diagonal(cos, -np.inf)
    index, cosine = sphere.nearest(x)
    assert np.allclose(cosine, cos.max(1), atol=1e-6)
    assert np.allclose(cos[np.arange(m), index], cos.max(1), atol=1e-6)


def test_tiles_do_not_change_the_neighbours(monkeypatch: pytest.MonkeyPatch):
    x = sphere.unit_rows(np.random.default_rng(0).standard_normal((50, 4)))
    whole = sphere.nearest(x)[0]
    monkeypatch.setattr(sphere, "TILE", 7)
    assert np.array_equal(whole, sphere.nearest(x)[0])


def test_a_row_of_length_zero_is_refused():
    with pytest.raises(ValueError, match="row 1 has length zero"):
        sphere.unit_rows(np.array([[1.0, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_refused(value: float):
    with pytest.raises(ValueError, match="row 2 is not finite"):
        sphere.unit_rows(np.array([[1.0, 0.0], [1.0, 1.0], [value, 0.0], [2.0, 0.0]]))


def test_angles_are_in_degrees():
    assert np.allclose(sphere.angle_deg(np.array([1.0, 0.0, -1.0, 1.0000001])), [0, 90, 180, 0])


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sphere, "TILE", 7)
    monkeypatch.setattr(sphere, "COLUMNS", 11)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("among_themselves", [True, False])
def test_tiles_of_columns_do_not_change_the_neighbours(among_themselves: bool):
    x, y = (sphere.unit_rows(np.random.default_rng(seed).standard_normal((50, 4))) for seed in (0, 1))
    cos = x @ x.T - 3 * np.eye(50) if among_themselves else x @ y.T
    own = np.arange(50) if among_themselves else None
    for index, cosine in (
        sphere.nearest(x) if among_themselves else sphere.nearest(x, y),
        sphere.nearest_by_torch(x, x if among_themselves else y, own),
    ):
        assert np.array_equal(index, cos.argmax(1)) and np.allclose(cosine, cos.max(1), atol=1e-6)


@pytest.mark.usefixtures("tiles")
def test_some_rows_have_the_neighbours_that_they_have_among_all():
    x = sphere.unit_rows(np.random.default_rng(0).standard_normal((50, 4)))
    index, cosine = sphere.nearest(x)
    some = np.array([49, 3, 20, 4])
    found = sphere.nearest_of(some, x)
    assert np.array_equal(found[0], index[some]) and np.allclose(found[1], cosine[some], atol=1e-6)
