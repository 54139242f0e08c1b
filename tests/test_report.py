"""The report stage, on inputs as the other stages write them."""

import base64
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from reporting import project
from ruamel.yaml import YAML
from tiny import working_in

from stages import report
from stages.common import artifacts, catalogue, sphere, tables
from stages.common.errors import InputError
from stages.common.images import Shards
from stages.reporting import faces, packing_figures, prose, spread
from stages.reporting.sections import packing

OUTPUTS = ("index.html", "report.md", "metrics.json", "results.csv")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the report was made; tests must not change it."""
    folder = tmp_path_factory.mktemp("made")
    protocols = {**project.PROTOCOLS, "home": "external", "home-centred": "external"}
    project.write_project(folder, seeds=range(3), protocols=protocols)
    with working_in(folder):
        report.main()
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(made, tmp_path / "copy")
    with working_in(tmp_path / "copy"):
        yield tmp_path / "copy"


class Page(HTMLParser):
    """Collects the tags, the links, the texts beside pictures, the tables and what stands as it is on a page.

    Text in a cell's small print is set apart by a blank.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.alts: list[str] = []
        self.cells: list[str] = []
        self.verbatim: list[str] = []
        self._inside: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href", "srcset", "action", "data")]
        self.ids += [value or "" for key, value in attrs if key == "id"]
        self.alts += [value or "" for key, value in attrs if key == "alt"]
        if tag in ("td", "th", "pre"):
            self._inside = self.verbatim if tag == "pre" else self.cells
            self._inside.append("")
        elif tag == "small":
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        self._inside = None if tag in ("td", "th", "pre") else self._inside

    def handle_data(self, data: str) -> None:
        if self._inside is not None:
            self._inside[-1] += data


def markdown_cells(text: str) -> list[str]:
    rows = [line for line in text.splitlines() if line.startswith("|") and "| ---" not in line]
    return [re.sub(r"[\[\]*]|<a .*?</a>", "", cell).strip() for row in rows for cell in row.strip("|").split("|")]


def test_the_page_needs_nothing_beside_it(made: Path):
    text = (made / "reports/index.html").read_text()
    page = Page(text)
    assert not {"link", "iframe", "object"} & set(page.tags)
    assert "url(" not in text
    assert not re.search(r"https?://|fetch\(|import\(", re.sub(r"base64,[^\"]*", "", text)) and "@import" not in text
    pictures = [link for link in page.links if link.startswith("data:image/")]
    anchors = [link for link in page.links if not link.startswith("data:image/")]
    assert len(pictures) == len(list((made / "reports/figures").iterdir()))
    for picture in pictures:
        data = np.frombuffer(base64.b64decode(picture.partition(",")[2]), np.uint8)
        assert cv2.imdecode(data, cv2.IMREAD_COLOR) is not None
    assert anchors and all(link.startswith("#") for link in anchors)


def test_the_evidence_of_every_claim_is_on_the_page(made: Path):
    text = (made / "reports/index.html").read_text()
    page, claims = Page(text), text.split('<div class="claim">')[1:]
    assert len(claims) == len(project.CONTRASTS) + 5  # two on the map, capacity, packing, leakage
    assert all(re.search('class="evidence"><a href="#', claim) and "dvc repro" in claim for claim in claims)
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_whoever_does_not_see_a_picture_reads_what_is_on_it(made: Path):
    page = Page((made / "reports/index.html").read_text())
    alts = re.findall(r"!\[(.*?)\]\(figures/", (made / "reports/report.md").read_text())
    assert len(alts) == page.tags.count("img") and sorted(alts) == sorted(page.alts)
    assert min(map(len, alts)) > 30 and len(set(alts)) == len(alts)


def test_pictures_of_the_markdown_are_the_figures(made: Path):
    links = re.findall(r"!\[.*?\]\((.*?)\)", (made / "reports/report.md").read_text())
    assert sorted(links) == sorted(f"figures/{file.name}" for file in (made / "reports/figures").iterdir())


def test_markdown_and_page_hold_the_same_tables(made: Path):
    page = Page((made / "reports/index.html").read_text())
    cells = markdown_cells((made / "reports/report.md").read_text())
    assert len(page.cells) > 200 and cells == [cell.strip() for cell in page.cells]


def test_tables_for_latex_are_those_of_the_page(made: Path):
    files = sorted((made / "reports/tables").iterdir())
    text = (made / "reports/index.html").read_text()
    assert len(files) == text.count("<table") and {"results.tex", "differences.tex"} < {file.name for file in files}
    copied, markdown = Page(text).verbatim, (made / "reports/report.md").read_text()
    for file in files:
        table = file.read_text()
        assert table in copied and f"(tables/{file.name})" in markdown
        header, *rows = [line for line in table.splitlines() if line.endswith(r" \\")]
        assert table.isascii() and rows and {row.count(" & ") for row in rows} == {header.count(" & ")}


def test_results_are_those_of_evaluate(made: Path):
    cells = markdown_cells((made / "reports/report.md").read_text().partition("## Results")[2])
    for name in project.VARIANTS:
        evaluated = artifacts.read_json(made / f"reports/evaluate/{name}.json")
        protocols, row = evaluated["protocols"], cells[cells.index(name) :][1:5]
        columns = [protocols["lfw"], protocols["cfp-fp"], evaluated["wild_mean"], protocols["syn-lfw"]]
        for cell, entry in zip(row, columns, strict=True):
            assert [float(x) for x in cell.replace("to", "").split()] == pytest.approx(
                [100 * entry["accuracy"][key] for key in ("value", "low", "high")], abs=0.051
            )


def test_a_rate_on_which_few_impostors_decide_says_so(made: Path):
    files = [file for file in (made / "data/evaluate/base").glob("*.arrow") if file.stem != "replicates"]
    fewest = min(tables.read(file)["same"].to_pylist().count(False) for file in files)
    assert 100 <= fewest < 1000  # so that .001 is not resolved
    (said,) = re.findall(
        r"false accept rate of 0.01, percent. At most (\d) impostor", (made / "reports/report.md").read_text()
    )
    assert int(said) == fewest // 100


def test_the_table_of_results_holds_all_that_was_measured(made: Path):
    table = pd.read_csv(made / "reports/results.csv")
    assert list(table) == ["variant", "protocol", "metric", "value", "low", "high", "seeds", "domain"]
    assert list(table["variant"].unique()) == [*project.VARIANTS, "baselines/pixels", "baselines/untrained"]
    assert list(table["protocol"].unique()) == ["lfw", "cfp-fp", "syn-lfw", "home", "home-centred", "wild"]
    for name in project.VARIANTS:
        report = artifacts.read_json(made / f"reports/evaluate/{name}.json")
        for protocol, scored in {**report["protocols"], "wild": report["wild_mean"]}.items():
            rows = table[(table["variant"] == name) & (table["protocol"] == protocol)].set_index("metric")
            entries = {metric: entry for metric, entry in scored.items() if isinstance(entry, dict)}
            assert list(rows.index) == list(entries) and len(entries) > 3
            assert rows[["value", "low", "high"]].to_numpy().tolist() == [
                [entry[key] for key in ("value", "low", "high")] for entry in entries.values()
            ]
            assert set(rows["seeds"]) == {len(report["seeds"])}
    pixels = table[table["variant"] == "baselines/pixels"]
    assert pixels["value"].tolist() == [0.81, 0.81] and set(pixels["seeds"]) == {1}


def test_the_closest_pair_stands_beside_its_bound(made: Path):
    text = (made / "reports/report.md").read_text().partition("## Packing")[2].partition("![")[0]
    assert re.findall(r"\d+\.\d+", text) == ["71.50", "101.54", "30.04", "0.5", "25.0", "0.5"]


def test_the_captions_of_the_packing_follow_its_figures(made: Path):
    text = (made / "reports/report.md").read_text()
    front, course = (
        re.findall(r"\d+(?:\.\d+)?", re.findall(rf"!\[.*\]\(figures/{name}.png\)\n\n(.*)", text)[0])
        for name in ("front", "course")
    )
    assert course == ["0.5", "0.900", "0.5100", "30", "5", "5", "0.11000"]
    assert front == ["6", "30", "30.04"]


def test_a_large_packing_without_iterations_is_set_beside_the_front_of_fewer_rows(
    copy: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = []

    def draw(ends, run, *rest, draw=packing_figures.front):
        seen.extend([run.name, run.end.tolist(), ends[".5"].tolist()])
        return draw(ends, run, *rest)

    monkeypatch.setattr(packing_figures, "front", draw)
    monkeypatch.setattr(report, "SECTIONS", (packing.packing,))
    artifacts.write_json("data/pack/course.json", [])
    artifacts.write_json("data/pack/front.json", {**project.front(), "identities": 4, "gallery": 20})
    report.main()
    text = Path("reports/report.md").read_text()
    assert not Path("reports/figures/course.png").exists() and "course.png" not in text
    assert seen == ["this run", [0.2, -0.61], [0.2, -0.61]]
    assert "4 identities beside 20 gallery rows" in text and "more room than its 6" in text


def test_of_many_rows_some_are_shown_and_the_page_says_so(copy: Path, monkeypatch: pytest.MonkeyPatch):
    shown = {}

    def draw(angles_deg, *rest, draw=packing_figures.nearest):
        shown.update(angles_deg)
        return draw(angles_deg, *rest)

    monkeypatch.setattr(packing_figures, "nearest", draw)
    monkeypatch.setattr(report, "SECTIONS", (packing.packing,))
    whole = Path("reports/report.md").read_text()
    for most, sentences in ((30, []), (6, ["nearest"]), (5, ["cosines", "nearest"])):
        monkeypatch.setattr(packing, "NEIGHBOURS", most)
        monkeypatch.setattr(spread, "MOST", most)
        report.main()
        text = Path("reports/report.md").read_text()
        some = {name: prose.say(f"packing {name} some", most=most) for name in ("cosines", "nearest")}
        assert [name for name in some if some[name] in text] == sentences
        assert [len(angle) for angle in shown.values()] == [min(30, most), min(6, most), min(6, most)]
        assert not any(sentence in whole for sentence in some.values())
    x = artifacts.read_rows("data/embed", "x_ref")[0]
    nearest_deg = sphere.angle_deg((x @ x.T - 3 * np.eye(30)).max(1))
    assert next(iter(shown.values())) == pytest.approx(nearest_deg[[0, 7, 14, 21, 29]], abs=0.1)


def test_metrics_are_few_and_those_of_the_stages(made: Path):
    metrics = artifacts.read_json(made / "reports/metrics.json")
    assert list(metrics) == [*project.VARIANTS, "would_show", "pack", "audit"]
    wild = artifacts.read_json(made / "reports/evaluate/wild.json")
    assert metrics["wild"]["wild_accuracy_low"] == wild["wild_mean"]["accuracy"]["low"]
    assert metrics["wild"]["syn_lfw_accuracy"] == wild["protocols"]["syn-lfw"]["accuracy"]["value"]
    assert metrics["wild"]["wild_accuracy"] > metrics["base"]["wild_accuracy"]
    assert set(metrics["would_show"]) == {"wild_accuracy", "wild_tar_at_far_0.01", "syn_lfw_accuracy"}
    assert all(0 < size < 0.5 for size in metrics["would_show"].values())
    assert metrics["pack"] == {"objective": 0.51, "separation": -0.61, "gallery_term": 0.2}
    assert len(metrics["audit"]) == 5


def test_the_same_inputs_give_the_same_bytes(made: Path, copy: Path):
    shutil.rmtree("reports/figures")
    report.main()
    files = [*OUTPUTS, *(f"figures/{file.name}" for file in (made / "reports/figures").iterdir())]
    drawn = [Path(f).name for f in files[len(OUTPUTS) :]]
    assert sorted(f.name for f in Path("reports/figures").iterdir()) == sorted(drawn)
    assert [f for f in files if (made / "reports" / f).read_bytes() != Path("reports", f).read_bytes()] == []


def test_only_what_params_name_is_shown(copy: Path):
    values = YAML(typ="safe", pure=True).load(Path("params.yaml").read_text())
    values["variants"] = {"base": values["variants"]["base"]}
    values["report"]["contrasts"] = {}
    values["generate"]["mixup"]["identities"] = 0
    values["sets"] = {}
    YAML().dump(values, Path("params.yaml"))
    shutil.rmtree("data/sets")
    Path("data/generate/mixup-00000.arrow").unlink()
    report.main()
    assert list(artifacts.read_json("reports/metrics.json")) == ["base", "would_show", "pack", "audit"]
    assert [file.name for file in Path("reports/figures").glob("faces-*")] == ["faces-base.jpg"]
    assert "domain-mixup" not in Path("reports/report.md").read_text()


def test_a_variant_renamed_with_its_contrasts_loses_nothing(copy: Path):
    def renamed(text: str) -> str:
        return re.sub(r"\bbase\b", "plain", text)

    shutil.move("data/variants/base", "data/variants/plain")
    shutil.move("data/evaluate/base", "data/evaluate/plain")
    shutil.move("reports/evaluate/base.json", "reports/evaluate/plain.json")
    before = Path("reports/report.md").read_text()
    assert "Training on wild instead of base" in before and "Trained on domain-mixup instead of base" in before
    Path("params.yaml").write_text(renamed(Path("params.yaml").read_text()))
    report.main()
    assert Path("reports/report.md").read_text() == renamed(before)


@pytest.mark.parametrize(
    ("field", "allowed"),
    [("of", "base, .*, wild"), ("against", "base, .*, wild"), ("on", "wild, lfw, .*"), ("minus", "wild, lfw, .*")],
)
def test_a_contrast_of_what_is_missing_is_refused(copy: Path, field: str, allowed: str):
    values = YAML(typ="safe", pure=True).load(Path("params.yaml").read_text())
    values["report"]["contrasts"]["gap"][field] = "none"
    YAML().dump(values, Path("params.yaml"))
    with pytest.raises(ValueError, match=f"^params.yaml: report.contrasts.gap.{field} = 'none'; allowed: {allowed}$"):
        report.main()


@pytest.mark.parametrize(
    "file",
    [
        "reports/pack.json",
        "data/pack/front.json",
        "reports/evaluate/base.json",
        "data/evaluate/base/replicates.arrow",
        "data/variants/base/manifest.arrow",
        "data/sets/wild/wild-00000.arrow",
        "data/judged/judge.npy",
    ],
)
def test_a_missing_file_is_named_and_the_old_report_stays(copy: Path, file: str):
    Path(file).unlink()
    before = [Path("reports", name).read_bytes() for name in OUTPUTS]
    with pytest.raises(ValueError, match=re.escape(str(Path(file).parent))) as refused:
        report.main()
    assert "\n" not in str(refused.value)
    assert before == [Path("reports", name).read_bytes() for name in OUTPUTS]
    assert Path("reports/figures/map.png").exists()
    assert not list(Path("reports").glob(".*"))


def test_variants_that_were_not_evaluated_alike_are_refused(copy: Path):
    file = Path("reports/evaluate/base.json")
    evaluated = artifacts.read_json(file)
    del evaluated["protocols"]["cfp-fp"]
    artifacts.write_json(file, evaluated)
    with pytest.raises(InputError) as refused:
        report.main()
    assert (refused.value.file, refused.value.key) == ("data/evaluate/identity-mixup", "benchmarks")
    assert isinstance(refused.value.value, list) and "cfp-fp" in refused.value.value


def test_the_table_says_whose_an_embedding_is(copy: Path):
    table = catalogue.audited()
    row = np.random.default_rng(0).permutation(24)
    before = packing._cosines(np.eye(6, project.D, dtype=np.float32))
    plain = table["embedding"].is_valid().to_numpy()
    embedding = np.full(len(table), -1)
    embedding[plain] = row[table.filter(plain)["embedding"].to_numpy()]
    column = pa.array(embedding, pa.int32(), mask=~plain)
    tables.write(catalogue.AUDITED, table.set_column(table.schema.get_field_index("embedding"), "embedding", column))
    for name in ("recogniser", "judge"):
        file = Path(f"data/judged/{name}.npy")
        x = artifacts.read_array(file)
        artifacts.write_array(file, x[np.argsort(row)])
    after = packing._cosines(np.eye(6, project.D, dtype=np.float32))
    for (_, genuine, impostor), (_, same_genuine, same_impostor) in zip(before, after, strict=True):
        assert np.sort(same_genuine) == pytest.approx(np.sort(genuine), abs=1e-6)
        assert np.sort(same_impostor) == pytest.approx(np.sort(impostor), abs=1e-6)


def test_embeddings_of_other_images_are_refused(copy: Path):
    artifacts.write_array("data/judged/judge.npy", artifacts.read_array("data/judged/judge.npy")[1:])
    with pytest.raises(InputError) as refused:
        report.main()
    assert (refused.value.file, refused.value.problem) == ("data/judged/judge.npy", "23 rows")
    assert refused.value.allowed.startswith("24, ")


def test_designated_poses_stand_in_their_columns_and_one_that_failed_is_left_out(made: Path):
    text = (made / "reports/report.md").read_text()
    assert f"5 of 6 images got there{prose.say('poses missing')}" in text
    assert "off by 1.5 degrees on average and 2.9 at most" in text
    sheet = faces.grid(Shards(made / "data/generate", "poses-*.arrow"), 3, faces.FACE_PX)
    side = faces.FACE_PX + faces.GAP_PX
    first, second, last = (sheet[: faces.FACE_PX, i * side : i * side + faces.FACE_PX] for i in range(3))
    assert (second == 255).all() and first.std() > 10 and last.std() > 10
    assert cv2.imread(str(made / "reports/figures/poses.jpg")) is not None
