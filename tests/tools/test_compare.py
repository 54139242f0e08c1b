"""`compare` on a real small repository of git and DVC: commits and an experiment."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from ruamel.yaml import YAML
from scipy import stats

from stages.common import artifacts
from stages.common.errors import InputError
from stages.metrics import bootstrap
from stages.reporting import frame
from stages.tools import compare, compare_pairs, compare_pictures, compare_sheets, revisions

ROOT = Path(__file__).parents[2]

PIPELINE = """
stages:
  benchmarks:
    cmd: python draw.py
    params: [people, more]
    outs: [data/benchmarks]
  evaluate:
    cmd: python make.py
    deps: [data/benchmarks]
    params: [gap]
    outs: [data/evaluate, data/curves, reports/evaluate: {cache: false}, reports/pack.json: {cache: false},
           reports/figures: {cache: false}]
"""

DRAW = """
import pyarrow as pa
from pathlib import Path
from ruamel.yaml import YAML

values = YAML(typ="safe").load(Path("params.yaml").read_text())
for name, people in (("one", values["people"]), ("two", values["more"])):
    folder = Path("data/benchmarks") / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "people").write_text(str(people))
groups = pa.table({"skin": ["dark", "dark", "light", "light"] * 100})
with pa.ipc.new_file("data/benchmarks/one/groups.arrow", groups.schema) as file:
    file.write_table(groups)
"""

SCRIPT = """
import cv2, numpy as np, pyarrow as pa
from pathlib import Path
from ruamel.yaml import YAML
from stages.common import artifacts, tables
from stages.metrics import bootstrap

def summary(estimate):  # without torch, which takes seconds to import
    ends = zip(estimate.names, estimate.value, *bootstrap.interval(estimate, 0.95), estimate.per_seed.T)
    return {name: {"value": value, "low": low, "high": high, "per_seed": x} for name, value, low, high, x in ends}

values = YAML(typ="safe").load(Path("params.yaml").read_text())
report, wild = {}, []
with artifacts.output_folder("data/evaluate") as folder:
    (folder / "base").mkdir()
    for i, (name, people) in enumerate((("one", values["people"]), ("two", values["more"]))):
        rng = np.random.default_rng(i)
        same = np.arange(400) % 2 == 0
        a = rng.integers(0, people, 400)
        b = np.where(same, a, (a + rng.integers(1, people, 400)) % people)
        columns = {"a": a, "b": b, "same": same, "fold": np.arange(400) // 40, "identity_a": a, "identity_b": b}
        noise = rng.normal(0, 0.3, (3, 400)) + values["gap"] * same
        table = pa.table({**columns, **{f"seed_{s}": row.astype(np.float32) for s, row in enumerate(noise)}})
        tables.write(folder / "base" / f"{name}.arrow", table)
        score, pairs = bootstrap.scored_pairs(table)
        wild.append(bootstrap.estimate(score, pairs, [0.05], 50, 0))
        report[name] = {"domain": "wild", **summary(wild[-1])}
    drawn = values["gap"] + 0.02 * np.random.default_rng(9).standard_normal(50)  # the people of templates
    tables.write(folder / "base/replicates.arrow", pa.table({"ijb-1n/rank_1": np.append(drawn, np.zeros(50))}))
mean = summary(bootstrap.mean(wild))
entry = {"value": values["gap"], "low": 0, "high": 1, "per_seed": [0, 1, 0.5]}
rank = {"value": values["gap"], "low": 0, "high": 1, "per_seed": [values["gap"] + x for x in (-0.01, 0, 0.01)]}
parts = {
    "groups": {"one-by-skin": {"domain": "wild", "pairs": {}, "accuracy_dark": entry, "accuracy_gap": entry}},
    "templates": {
        "ijb-1n": {"domain": "wild", "probes": 9, "rank_1": rank, "tpir_at_fpir_0.1": None},
        "ijb": {"domain": "wild", "comparisons": 9, "tar_at_far_0.0001": None},  # nothing could be measured
    },
}
report = {"variant": "base", "protocols": report, "wild_mean": mean, **parts}
artifacts.write_json("reports/evaluate/base.json", report)
with artifacts.output_folder("reports/figures") as folder:
    for name, level in (("faces-base", 250 * values["gap"]), ("poses", 9)):
        cv2.imwrite(str(folder / f"{name}.jpg"), np.full((20, 1500, 3), int(level), np.uint8))
with artifacts.output_folder("data/curves") as folder:
    for seed in (0, 1) if values["gap"] > 0.5 else ():
        logged = folder / f"base/seed-{seed}/plots/metrics"
        logged.mkdir(parents=True)
        (logged / "loss.tsv").write_text(f"step\\tloss\\n10\\t{seed + 1}\\n20\\t{seed + values['gap']}\\n")
artifacts.write_json("reports/pack.json", {"gap": values["gap"], "people": values["people"]})
"""


def run(folder: Path, *words: str) -> str:
    """Run a command in `folder` and return what it prints."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def change(folder: Path, **values: object) -> None:
    """Write params.yaml."""
    evaluate = {"fars": [0.05], "confidence": 0.95, "replicates": 50, "seed": 0}
    YAML().dump({"people": 20, "more": 20, "gap": 0.5, **values, "evaluate": evaluate}, folder / "params.yaml")


def commit(folder: Path, tag: str) -> None:
    """Reproduce and commit under a tag."""
    run(folder, "dvc", "repro", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", tag)
    run(folder, "git", "tag", tag)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with tags `narrow` and `apart`, `again` as `apart`, `mixed` as `apart` with other pairs in
    `two`, `people` with other pairs, and an experiment.

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
        (folder / "draw.py").write_text(DRAW)
        (folder / "make.py").write_text(SCRIPT)
        change(folder)
        commit(folder, "narrow")
        change(folder, gap=0.9)
        commit(folder, "apart")
        change(folder, gap=0.9, spare=1)
        commit(folder, "again")
        change(folder, gap=0.9, more=25)
        commit(folder, "mixed")
        change(folder, people=30, more=30, gap=0.6)
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
    rows = _section(written, "Accuracy, points: apart, tried minus narrow")
    protocols = [["base", name, other] for name in ("one", "two", "wild mean") for other in ("apart", "tried")]
    assert [row[:3] for row in rows] == protocols
    assert all(row[3].strip("*").startswith("+") for row in rows)  # a wider gap is better
    assert all("[+" in row[3] for row in rows)
    assert [row[4] for row in rows if row[1] == "wild mean"] == ["higher", "higher"]
    assert "correction for their number (Holm): 2 here, 42 more below" in " ".join(written.split())
    assert "apart against narrow. Higher: base by +" in " ".join(printed.split())
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
    assert [row[:2] for row in _section(written, "Accuracy")] == [["base", "narrow"], ["base", "apart"]]
    for text, plot in ((written, "![differences](compare/differences.png)"), (html, 'alt="differences"')):
        order = [text.index(part) for part in ("0.9", "Higher: base", plot, "Accuracy, %")]
        assert order == sorted(order) and text.count(plot) == 1
    assert html.index('<td class="label"><span>one</span>') > html.index("<details>")
    assert not re.search(r"(?:src|href)=\"(?!data:|#)|url\(|@import", html)  # it needs nothing beside it
    linked = re.findall(r"\]\((compare/[^)]*)\)", written)
    assert linked and set(linked) == {f"compare/{file.name}" for file in Path("reports/compare").iterdir()}


def test_a_variant_that_scored_the_same_is_one_line(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, written = compared(made, ["apart", "again"], monkeypatch, capsys)
    assert _section(written, "Parameters that differ, where not all revisions have them") == [["spare", "-", "1"]]
    assert "Equal at all revisions: base." in printed and "\nEqual at all revisions: base.\n" in written
    assert "minus" not in written.partition("## Templates")[0] and "differences.png" not in written
    _, written = compared(made, ["apart", "again", "narrow"], monkeypatch, capsys)
    assert [row[-1] for row in _section(written, "Accuracy")] == ["", "equal", "lower"]


def test_one_revision_is_shown_as_it_is(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, written = compared(made, ["narrow"], monkeypatch, capsys)
    assert written.startswith("# narrow\n\n## ROC curves")
    assert (
        not re.search("differ|Equal at all", printed)
        and "minus" not in written
        and len(_section(written, "Accuracy, %")) == 3
    )


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
    assert [row[3:] for row in _section(written, "Accuracy")] == [["", ""], ["-", "not paired"]]
    shown = ("accuracy.png", "roc-wild-base.png", "faces-base-0.jpg", "faces-base-1.jpg")
    assert all(f"(compare/{name})" in written for name in shown) and "differences.png" not in written
    assert len(_section(written, "Accuracy, %")) == 3


def test_protocols_with_the_same_files_are_compared_though_others_differ(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, written = compared(made, ["narrow", "mixed"], monkeypatch, capsys)
    assert "mixed: pairs differ from narrow on two" in written
    assert [row[1] for row in _section(written, "Accuracy, points: mixed minus narrow")] == ["one"]
    assert [row[4] for row in _section(written, "Accuracy")] == ["", "not paired"]  # the mean takes both


def test_groups_and_templates_are_compared_pair_by_pair(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, written = compared(made, ["narrow", "apart"], monkeypatch, capsys)
    rows = _section(written, "one by skin</summary>")
    assert [row[:4] for row in rows[::2]] == [
        ["base", "dark", "narrow", "50.0 [0.0, 100.0]"],
        ["base", "best - worst", "narrow", "50.0 [0.0, 100.0]"],
    ]
    assert [row[5] for row in rows] == ["", "higher", "", "not separated"]
    rows = _section(written, "In the manner of IJB, 1:N</summary>")
    assert [row[1:] for row in rows] == [
        ["rank 1", "narrow", "50.0 [0.0, 100.0]", "", ""],
        ["rank 1", "apart", "90.0 [0.0, 100.0]", rows[1][4], "higher"],
    ]
    # people are the same: what is left are seeds, .01 / sqrt(3) on both sides
    half = 100 * stats.t.ppf(0.975, 4) * 0.01 * np.sqrt(2 / 3)
    assert rows[1][4].replace("*", "") == f"+40.0 [+{40 - half:.1f}, +{40 + half:.1f}]"


def test_templates_of_other_people_stand_side_by_side(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, written = compared(made, ["narrow", "mixed"], monkeypatch, capsys)
    rows = _section(written, "In the manner of IJB, 1:N</summary>")
    assert rows[1][1:] == ["rank 1", "mixed", "90.0 [0.0, 100.0]", "-", "not paired"]


def test_templates_of_other_draws_are_not_paired(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    first, other = (revisions.resolve(name) for name in ("narrow", "apart"))
    assert list(compare_pairs.template_estimates(first, other)[0]) == [("base", "ijb-1n")]
    other.params["evaluate"]["seed"] = 1
    line = "apart: evaluate.seed or replicates differ from narrow; templates are not paired"
    assert compare_pairs.template_estimates(first, other) == ({}, [line])


def test_accuracy_within_a_group_is_that_of_its_pairs_alone(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    revision = revisions.resolve("apart")
    table, settings = revision.scores("base", "one"), compare_pairs.settings_of(revision)
    assert table is not None
    groups = compare_pairs.groupings(revision, revision, "one")["one-by-skin"]
    found = compare_pairs.group_estimate(table, groups, settings)
    assert found.names == ("accuracy_dark", "accuracy_light", "accuracy_gap")
    alone = [compare_pairs.estimate(table.filter(pa.array(member)), settings) for member in groups.values()]
    assert found.per_seed[:, :2] == pytest.approx(np.column_stack([x.per_seed[:, 0] for x in alone]))
    assert found.value[2] == pytest.approx(abs(found.value[0] - found.value[1]))
    for g, x in enumerate(alone):
        error = [bootstrap.spread(y.replicates, [y.per_seed]).error[at] for y, at in ((found, g), (x, 0))]
        assert error[0] == pytest.approx(error[1], rel=0.15)


def test_faces_stand_side_by_side_once_where_they_are_equal_and_bounded(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, written = compared(made, ["narrow", "apart", "again"], monkeypatch, capsys)
    captions = re.findall(r"!\[(\S*)\]\(compare/\S*jpg\)\n\n(.*)", written)
    expected = [
        ("faces-base-0", "base at narrow"),
        ("faces-base-1", "base at apart, again"),
        ("poses-0", "poses at narrow, apart, again"),
    ]
    assert captions == expected
    shown = [cv2.imread(f"reports/compare/{name}.jpg") for name, _ in expected]
    assert [image.shape[1] for image in shown if image is not None] == [compare_pictures.MOST_PX] * 3
    assert [round(float(image.mean()), -1) for image in shown if image is not None] == [120, 220, 10]


def test_curves_are_those_of_each_revision(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, written = compared(made, ["narrow", "apart"], monkeypatch, capsys)
    assert "Training curves" not in written  # only one of them has some
    _, written = compared(made, ["apart", "people"], monkeypatch, capsys)
    assert "![loss-base](compare/loss-base.png)" in written
    apart, narrow = revisions.resolve("apart"), revisions.resolve("narrow")
    loss = compare_pictures.logged(apart, "base", "loss")
    assert loss is not None and loss.to_dict() == {10: 1.5, 20: 1.4}  # of two seeds, the mean
    assert compare_pictures.logged(narrow, "base", "loss") is None
    wide, slim = (compare_pictures.roc(revision, "base", ["one", "two"]) for revision in (apart, narrow))
    assert wide is not None and slim is not None and wide.mean() > slim.mean() + 0.1
    parts = [compare_pictures.roc(apart, "base", [name]) for name in ("one", "two")]
    assert wide == pytest.approx(np.mean([part for part in parts if part is not None], axis=0))
    assert compare_pictures.roc(apart, "base", ["one", "three"]) is None


def test_unequal_pairs_in_equal_benchmarks_give_no_difference(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    narrow, other = revisions.resolve("narrow"), revisions.resolve("people")
    settings = compare_pairs.settings_of(narrow)
    estimates, lines = compare_pairs.both_estimates(narrow, other, settings, ["one", "two"])
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
    ],
    ids=["no reports", "twice"],
)
def test_revisions_that_cannot_be_compared_are_refused(
    made: Path, names: list[str], problem: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    monkeypatch.setattr(sys, "argv", ["compare", *names])
    with pytest.raises(InputError) as refused:
        compare.main()
    assert (refused.value.file, refused.value.problem, refused.value.allowed) == (names[-1], problem, allowed)


def test_revisions_without_a_common_training_set_are_shown_beside_each_other(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, written = compared(made, ["narrow", "foreign"], monkeypatch, capsys)
    assert "foreign: no training set of narrow, but other" in printed
    assert [row[:2] for row in _section(written, "Accuracy")] == [["base", "narrow"], ["other", "foreign"]]


def test_reports_of_training_sets_that_a_revision_does_not_have_are_left_out(
    made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(made), str(clone))
    monkeypatch.chdir(clone)
    report = (clone / "reports/evaluate/base.json").read_text()
    (clone / "reports/evaluate/gone.json").write_text(report)
    assert revisions.resolve("workspace").variants == ["base", "gone"]
    change(clone, variants={"base": {"width": 3}})
    assert revisions.resolve("workspace").variants == ["base"]


def test_a_commit_a_branch_and_an_experiment_are_found(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    head = run(made, "git", "rev-parse", "HEAD").strip()
    assert {revisions.resolve(name).commit for name in ("main", "HEAD", "people", head[:8])} == {head}
    assert revisions.resolve(head).name == head[:10]
    assert f"{revisions.resolve('tried').commit} commit" in run(made, "git", "for-each-ref", "refs/exps")
