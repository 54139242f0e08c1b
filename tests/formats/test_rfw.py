"""RFW: a list and a folder of images for each group become one benchmark with groups."""

from pathlib import Path

import pytest
from refusal import refused

from stages.formats import layouts
from stages.protocols import external


@pytest.fixture
def rfw(tmp_path: Path) -> Path:
    """Write two groups of two people with two images each, two folds a group; the files are named by their content."""
    for group in ("African", "Asian"):
        for person in ("m.1", "m.2"):  # the same names in both groups: other people
            folder = tmp_path / "data" / group / person
            folder.mkdir(parents=True)
            for i in (1, 2):
                (folder / f"{person}_000{i}.jpg").write_text(f"{group} {person} {i}")
        lines = ["m.1\t1\t2", "m.1\t1\tm.2\t1", "m.2\t1\t2", "m.1\t2\tm.2\t2"]
        (tmp_path / "txts" / group).mkdir(parents=True)
        (tmp_path / "txts" / group / f"{group}_pairs.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_groups_are_folders_and_people_are_of_one_group(rfw: Path):
    assert layouts.benchmark(rfw) == "rfw"
    found = external.read(rfw)
    a, b, same = (found.pairs[name].to_numpy() for name in ("a", "b", "same"))
    assert same.tolist() == [True, False] * 4
    assert ((found.identity[a] == found.identity[b]) == same).all() and len(set(found.identity.tolist())) == 4
    assert found.groups is not None and found.groups["group"].to_pylist() == ["African"] * 4 + ["Asian"] * 4
    assert found.encoded(int(a[6])) == b"Asian m.2 1" and found.source(int(b[1])).endswith("African/m.2/m.2_0001.jpg")
    assert found.pairs["fold"].to_pylist() == [0, 0, 1, 1] * 2


def test_a_group_without_images_is_refused(rfw: Path):
    (rfw / "txts/Indian").mkdir()
    (rfw / "txts/Indian/Indian_pairs.txt").write_text("m.1\t1\t2\n")
    with refused("data/Indian", "no such folder"):
        external.read(rfw)
