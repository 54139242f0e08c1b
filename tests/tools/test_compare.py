"""`compare` on a real small repository of git and DVC: two commits and an experiment."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.common import artifacts
from stages.common.errors import InputError
from stages.metrics import bootstrap
from stages.reporting import frame
from stages.tools import compare, compare_pairs, compare_sheets, revisions

ROOT = Path(__file__).parents[2]

PIPELINE = """
stages:
  benchmarks:
    cmd: mkdir -p data/benchmarks && echo ${people} > data/benchmarks/people
    outs: [data/benchmarks]
  evaluate:
    cmd: python make.py
    deps: [data/benchmarks]
    params: [gap]
    outs: [data/evaluate, reports/evaluate: {cache: false}, reports/pack.json: {cache: false}]
"""

SCRIPT = """
import numpy as np, pyarrow as pa
from pathlib import Path
from ruamel.yaml import YAML
from stages.metrics import scoring
from stages.common import artifacts, tables
from stages.metrics import bootstrap

values = YAML(typ="safe").load(Path("params.yaml").read_text())
rng = np.random.default_rng(0)
report, wild = {}, []
with artifacts.output_folder("data/evaluate") as folder:
    (folder / "base").mkdir()
    for name in ("one", "two"):
        same = np.arange(400) % 2 == 0
        a = rng.integers(0, values["people"], 400)
        b = np.where(same, a, (a + rng.integers(1, values["people"], 400)) % values["people"])
        columns = {"a": a, "b": b, "same": same, "fold": np.arange(400) // 40, "identity_a": a, "identity_b": b}
        noise = rng.normal(0, 0.3, (3, 400)) + values["gap"] * same
        table = pa.table({**columns, **{f"seed_{s}": row.astype(np.float32) for s, row in enumerate(noise)}})
        tables.write(folder / "base" / f"{name}.arrow", table)
        score, pairs = bootstrap.scored_pairs(table)
        wild.append(bootstrap.estimate(score, pairs, [0.05], 50, 0))
        report[name] = {"domain": "wild", **scoring.summary(wild[-1], 0.95)}
mean = scoring.summary(bootstrap.mean(wild), 0.95)
artifacts.write_json("reports/evaluate/base.json", {"variant": "base", "protocols": report, "wild_mean": mean})
artifacts.write_json("reports/pack.json", {"gap": values["gap"], "people": values["people"]})
"""


def run(folder: Path, *words: str) -> str:
    """Run a command in `folder` and return what it prints."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def change(folder: Path, **values: float) -> None:
    """Write params.yaml."""
    evaluate = {"fars": [0.05], "confidence": 0.95, "replicates": 50, "seed": 0}
    YAML().dump({"people": 20, "gap": 0.5, **values, "evaluate": evaluate}, folder / "params.yaml")


def commit(folder: Path, tag: str) -> None:
    """Reproduce and commit under a tag."""
    run(folder, "dvc", "repro", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", tag)
    run(folder, "git", "tag", tag)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with tags `narrow` and `apart`, `again` as `apart`, `people` with other pairs, an experiment.

    `foreign` holds another variant, `bare` no reports, and the experiment is called `tried`.
    """
    folder = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
        patch.setenv("DVC_NO_ANALYTICS", "1")
        run(folder, "git", "init", "-q", "-b", "main")
        run(folder, "git", "config", "user.email", "nobody@example.org")
        run(folder, "git", "config", "user.name", "nobody")
        run(folder, "dvc", "init", "-q")
        (folder / "dvc.yaml").write_text(PIPELINE)
        (folder / "make.py").write_text(SCRIPT)
        change(folder)
        commit(folder, "narrow")
        change(folder, gap=0.9)
        commit(folder, "apart")
        change(folder, gap=0.9, spare=1)
        commit(folder, "again")
        change(folder, people=30, gap=0.6)
        commit(folder, "people")
        change(folder, gap=0.7)
        run(folder, "dvc", "repro", "-q")
        run(folder, "dvc", "exp", "save", "-q", "-n", "tried")
        run(folder, "git", "checkout", "-qf", "main")
        run(folder, "git", "checkout", "-q", "-b", "side")
        run(folder, "git", "mv", "reports/evaluate/base.json", "reports/evaluate/other.json")
        run(folder, "git", "commit", "-qm", "foreign")
        run(folder, "git", "tag", "foreign")
        run(folder, "git", "rm", "-q", "reports/evaluate/other.json")
        run(folder, "git", "commit", "-qm", "bare")
        run(folder, "git", "tag", "bare")
        run(folder, "git", "checkout", "-qf", "main")
    return folder


def compared(
    folder: Path, names: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[str, str]:
    """Return what is printed and what is written about revisions."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["compare", *names])
    monkeypatch.setenv("COLUMNS", "80")
    compare.main()
    return capsys.readouterr().out, Path("reports/compare.md").read_text()


def test_same_pairs_are_compared_pair_by_pair(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, written = compared(made, ["narrow", "apart", "tried"], monkeypatch, capsys)
    assert max(len(line) for line in printed.splitlines()) <= 80
    report = artifacts.read_json(made / "reports/evaluate/base.json")
    workspace = compare_sheets.cell("accuracy", report["protocols"]["one"]["accuracy"])  # of `people`
    assert f"{workspace.text} [{workspace.interval}]" not in written
    assert "Accuracy, points: apart, tried minus narrow" in " ".join(printed.split())
    rows = _section(written, "Accuracy, points: apart, tried minus narrow")
    assert [row[:2] for row in rows] == [["base", "one"], ["base", "two"], ["base", "wild mean"]]
    assert all(cell.strip("*").startswith("+") for row in rows for cell in row[2:])  # a wider gap is better
    assert all("[+" in row[2] for row in rows)
    assert "correction for their number (Holm): 2 here, 22 more below" in " ".join(written.split())
    assert _section(written, "Numbers of the reports, 1 more are equal") == [["pack.gap", "0.5", "0.9", "0.7"]]


def _section(markdown: str, heading: str) -> list[list[str]]:
    """Return the rows of the table below a heading, or below a summary that begins so."""
    body = re.split(rf"^(?:## |<details><summary>){re.escape(heading)}", markdown, flags=re.MULTILINE)[1]
    body = re.split(r"^##|</details>", body, flags=re.MULTILINE)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if line[:1] == "|"][2:]


def test_page_and_markdown_open_with_the_answer(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, written = compared(made, ["narrow", "apart"], monkeypatch, capsys)
    html = Path("reports/compare.html").read_text()
    assert _section(written, "Parameters that differ") == [["gap", "0.5", "0.9"]]
    assert [row[:2] for row in _section(written, "Paired differences")] == [["base", "wild mean"]]
    for text, plot in ((written, "![Paired differences](compare.png)"), (html, "data:image/png;base64,")):
        order = [text.index(part) for part in ("0.9", "wild mean", plot, "Accuracy, %")]
        assert order == sorted(order) and text.count(plot) == 1
    assert html.index('<td class="label"><span>one</span>') > html.index("<details>")
    assert not re.search(r"(?:src|href)=\"(?!data:|#)|url\(|@import|<script", html)  # it needs nothing beside it
    assert Path("reports/compare.png").read_bytes().startswith(b"\x89PNG")


def test_a_variant_that_scored_the_same_is_one_line(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, written = compared(made, ["apart", "again"], monkeypatch, capsys)
    assert _section(written, "Parameters that differ") == [["spare", "-", "1"]]
    assert "Equal at all revisions: base." in printed and "\nEqual at all revisions: base.\n" in written
    assert "minus" not in written and "![" not in written and not Path("reports/compare.png").exists()
    _, written = compared(made, ["apart", "again", "narrow"], monkeypatch, capsys)
    assert [row[2][:5] for row in _section(written, "Paired differences")] == ["equal"]


def test_one_revision_is_shown_as_it_is(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, written = compared(made, ["narrow"], monkeypatch, capsys)
    assert written.startswith("# narrow\n\n## Everything else")
    assert not re.search("differ|Equal at all", printed) and len(_section(written, "Accuracy, %")) == 3


def test_intervals_shown_are_those_reported(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, written = compared(made, ["workspace", "narrow"], monkeypatch, capsys)
    report = artifacts.read_json(made / "reports/evaluate/base.json")
    expected = compare_sheets.cell("d_prime", report["wild_mean"]["d_prime"])
    row = ["base", "wild mean", f"{expected.text} [{expected.interval}]"]
    assert row == _section(written, "d'</summary>")[-1][:3]


def test_a_tool_and_the_stage_draw_the_same_people(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    revision = revisions.resolve("apart")
    table = revision.scores("base", "two")
    assert table is not None
    estimate = compare_pairs.estimate(table, compare_pairs.settings_of(revision))
    reported = frame.entry(revision.results, "base", "two", "auc")
    assert reported is not None
    assert bootstrap.interval(estimate, 0.95)[0][2] == pytest.approx(reported["low"], rel=1e-5)


def test_other_pairs_give_tables_but_no_difference(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, written = compared(made, ["narrow", "people"], monkeypatch, capsys)
    assert (
        "people: pairs differ from narrow (data/benchmarks in dvc.lock); no paired difference: commit your first run"
        in " ".join(printed.split())
    )
    assert "minus" not in written and "![" not in written and len(_section(written, "Accuracy, %")) == 3


def test_unequal_pairs_in_equal_benchmarks_give_no_difference(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    narrow, other = revisions.resolve("narrow"), revisions.resolve("people")
    estimates, lines = compare_pairs.both_estimates(narrow, other, compare_pairs.settings_of(narrow))
    assert not estimates and lines == ["people: pairs differ, no paired difference: base/one, base/two"]


def test_missing_scores_leave_the_tables_and_one_line(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(made), str(clone))  # no cache, no remote
    printed, written = compared(clone, ["narrow", "apart", "workspace"], monkeypatch, capsys)
    assert " ".join(printed.split()).count("`dvc fetch --all-commits`") == 2
    assert "base/one, base/two" in printed and len(_section(written, "Accuracy, %")) == 3


@pytest.mark.parametrize("names", [["nowhere"], ["--all"], ["HEAD:dvc.yaml"], ["narrow", "nowhere"], [""], []])
def test_an_unknown_revision_is_one_line(made: Path, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "stages.tools.compare", *names]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and not done.stdout, done.stderr
    assert (names or ["revisions"])[-1] in done.stderr


@pytest.mark.parametrize(
    ("names", "problem", "allowed"),
    [
        (["narrow", "bare"], "no reports/evaluate/*.json", "a revision that holds the reports of a run"),
        (["people", "narrow", "main"], "the same state as people", "each revision once"),
        (["narrow", "foreign"], "variants other", "at least one of narrow: base"),
    ],
    ids=["no reports", "twice", "no common variant"],
)
def test_revisions_that_cannot_be_compared_are_refused(
    made: Path, names: list[str], problem: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    monkeypatch.setattr(sys, "argv", ["compare", *names])
    with pytest.raises(InputError) as refused:
        compare.main()
    assert (refused.value.file, refused.value.problem, refused.value.allowed) == (names[-1], problem, allowed)


def test_a_commit_a_branch_and_an_experiment_are_found(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    head = run(made, "git", "rev-parse", "HEAD").strip()
    assert {revisions.resolve(name).commit for name in ("main", "HEAD", "people", head[:8])} == {head}
    assert revisions.resolve(head).name == head[:10]
    assert f"{revisions.resolve('tried').commit} commit" in run(made, "git", "for-each-ref", "refs/exps")
