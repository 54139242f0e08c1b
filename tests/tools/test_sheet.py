"""Sheets of faces: each kind is drawn, and what cannot be drawn is one line."""

import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from tiny import ENVIRONMENT, ROOT

from stages.tools import sheet
from stages.world import style


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("what", "rows"), [("people", 12), ("images", 12), ("sweeps", style.STYLE_DIM), ("worst", len(sheet.WORST) // 12)]
)
def test_a_sheet_has_twelve_faces_in_a_row(what: str, rows: int, tmp_path: Path):
    out = tmp_path / "sheet.png"
    assert str(out) in sheet.main([what, "--size-px", "16", "--out", str(out)])
    picture = cv2.imread(str(out))
    assert picture is not None and picture.shape == (rows * 16, 12 * 16, 3)
    assert picture.std() > 20


def test_where_it_goes_of_itself_git_does_not_see_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for file in ("params.yaml", ".gitignore"):
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    sheet.main(["worst", "--size-px", "16"])
    seen = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert len(seen.stdout.splitlines()) == 2 and Path("dvc_plots/sheet.png").is_file()


def test_images_shows_each_person_in_a_row_and_people_another_in_every_place():
    assert len(sheet.people(1, "wild", 0.5, 12).z.unique(dim=0)) == 12
    assert len(sheet.people(1, "wild", 0.5, 1).z.unique(dim=0)) == 144


def test_a_sweep_goes_from_limit_to_limit_in_its_own_row_alone():
    styles = sheet.sweeps(0, "wild").style.unflatten(0, (-1, 12))
    for i, (low, high) in enumerate(style.limits()):
        assert (styles[i, 0, i], styles[i, -1, i]) == (low, high)
        assert styles[i].count_nonzero() == styles[i, :, i].count_nonzero()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["--size-px", "50"], "size_px"), (["--spread", "3"], "spread"), (["--out", "nowhere/sheet.png"], "--out"),
     (["--out", "sheet.txt"], "--out")],
)  # fmt: skip
def test_what_cannot_be_drawn_is_one_line(arguments: list[str], named: str, tmp_path: Path):
    command = [sys.executable, "-m", "stages.tools.sheet", "worst" if named == "size_px" else "people", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.startswith(f"error: {named}")
