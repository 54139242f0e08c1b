"""Albums: one person in several styles, whatever else is in the album."""

import numpy as np
import torch

from stages.world.album import portraits


def test_images_of_a_person_share_the_person_and_nothing_else() -> None:
    album = portraits("album", 0, 3, 4, "wild", 1.0)
    assert album.rows.identity.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and album.rows.index.tolist() == [0, 1, 2, 3] * 3
    assert all(torch.equal(album.z[i], album.z[i - i % 4]) for i in range(12))
    assert len(torch.unique(album.z, dim=0)) == 3
    assert len(np.unique(album.rows.seed)) == len(torch.unique(album.style, dim=0)) == 12


def test_an_album_is_the_beginning_of_a_larger_one_and_none_of_another() -> None:
    small, large = (portraits("album", 0, people, 2, "studio", 0.5) for people in (2, 3))
    assert torch.equal(large.z[:4], small.z) and torch.equal(large.style[:4], small.style)
    for other in (portraits("album", 1, 2, 2, "studio", 0.5), portraits("other", 0, 2, 2, "studio", 0.5)):
        assert (other.z != small.z).any(1).all() and (other.style != small.style).any(1).all()
