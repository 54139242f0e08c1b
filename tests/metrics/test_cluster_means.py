"""Means over clusters: whose spread makes the interval, how wide it is, which images count."""

import numpy as np
import pytest

from stages.metrics import cluster_means

PEOPLE, IMAGES = 400, 9


def test_the_interval_is_that_of_as_many_clusters_at_95_percent():
    """Nine equal images of a person say no more than one: 1.96 standard errors of a mean of 400, not of 3,600."""
    person = np.random.default_rng(0).standard_normal(PEOPLE)
    interval = cluster_means.mean(np.repeat(person, IMAGES), np.repeat(np.arange(PEOPLE), IMAGES), 0)
    assert interval["value"] == pytest.approx(person.mean())
    half = 1.96 * person.std() / np.sqrt(PEOPLE)
    assert interval["low"] == pytest.approx(person.mean() - half, abs=0.2 * half)
    assert interval["high"] == pytest.approx(person.mean() + half, abs=0.2 * half)
    assert interval["high"] - interval["low"] == pytest.approx(2 * half, rel=0.08)


def test_images_weigh_alike_however_many_their_person_has():
    who = np.repeat(np.arange(40), [1, 9] * 20)
    value = np.where(who % 2, 1.0, 0.0)  # of 200 images 180 are 1, of 40 people 20
    interval = cluster_means.mean(value, who, 0)
    assert interval["value"] == pytest.approx(0.9)
    assert 0.8 < interval["low"] < 0.9 < interval["high"] < 1


def test_names_and_order_of_the_clusters_do_not_matter_but_the_seed_does():
    rng = np.random.default_rng(0)
    who, value = rng.integers(0, 30, 200), rng.standard_normal((200, 2))
    rows = cluster_means.means(value, who, 3)
    order = rng.permutation(200)
    np.testing.assert_allclose(cluster_means.means(value[order], 7 * who[order] + 5, 3), rows)
    assert (cluster_means.means(value, who, 4)[:, 1:] != rows[:, 1:]).all()
    for column, row in zip(value.T, rows, strict=True):
        assert list(cluster_means.mean(column, who, 3).values()) == pytest.approx(row)


def test_replicates_drawn_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    value, who = rng.standard_normal((60, 3)), rng.integers(0, 20, 60)
    whole = cluster_means.means(value, who, 0)
    monkeypatch.setattr(cluster_means, "WEIGHTS", 20 * 300)  # 1,000 replicates in four parts
    np.testing.assert_allclose(cluster_means.means(value, who, 0), whole, rtol=1e-12)


def test_items_of_one_kind_are_added_before_they_are_multiplied(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    value, kind, who = rng.standard_normal((4, 5)), rng.integers(0, 4, 90), 3 * rng.integers(0, 20, 90)
    monkeypatch.setattr(cluster_means, "WEIGHTS", 20 * 300)
    np.testing.assert_allclose(
        cluster_means.Kinds(kind, who, 7).means(value), cluster_means.means(value[kind], who, 7), rtol=1e-10
    )
