"""The README shows what the results say, both as they are committed: a run may have written others since."""

import json
import re
import subprocess

import pytest
from tiny import ROOT

from stages.common.errors import InputError
from stages.tools import readme
from stages.tools.revisions import resolve


def committed(file: str) -> str:
    done = subprocess.run(["git", "show", f"HEAD:{file}"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not a clone")
    return done.stdout.decode()


def test_the_table_of_the_readme_is_the_committed_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    text, head = committed("README.md"), resolve("HEAD")
    smallest = head.json("reports/metrics.json")["would_show"]
    assert readme.insert(text, "results", readme.table(head.results, list(head.params["variants"]), smallest)) == text


def test_what_the_readme_says_of_packing_is_what_was_measured():
    text, report = committed("README.md"), json.loads(committed("reports/timing/pack.json"))
    assert readme.insert(text, "packing", readme.packing(report)) == text
    assert report["cells"][0]["cell"] in text


def test_what_the_readme_says_of_the_studies_stands_on_their_pages():
    asked = committed("README.md").partition("asks six questions")[2].partition("```")[0]
    said = re.findall(r"\(reports/studies/([\w-]+)\.md\)([^(]*)", " ".join(asked.split()))
    figures = [(name, figure) for name, text in said for figure in re.findall(r"-?[\d.]+ \[[^]]+\]", text)]
    assert len(figures) >= 3
    for name, figure in figures:
        assert figure.replace("-", "−") in committed(f"reports/studies/{name}.md")


def test_no_figure_of_packing_is_typed():
    section = committed("README.md").partition("\n## Packing\n")[2].partition("\n## ")[0]
    assert not re.findall(r"\d", readme.insert(section, "packing", ""))


@pytest.mark.parametrize("name", readme.MARKERS)
def test_what_stands_between_the_markers_is_replaced(name: str):
    begin, end = readme.MARKERS[name]
    text = f"a\n{begin}\nold\n{end}\nb"
    assert readme.insert(text, name, "new") == f"a\n{begin}\nnew\n{end}\nb"
    with pytest.raises(InputError) as refused:
        readme.insert("a", name, "new")
    assert refused.value.file == "README.md" and begin in refused.value.allowed and end in refused.value.allowed


@pytest.mark.parametrize("page", ["README.md", "data/external/README.md"])
def test_what_a_page_links_to_is_in_git(page: str):
    links = re.findall(r"\]\((?!http)([^)\s#]+)", committed(page))
    assert links
    for link in links:
        file = (ROOT / page).parent.joinpath(link).resolve().relative_to(ROOT)
        assert subprocess.run(["git", "cat-file", "-e", f"HEAD:{file}"], cwd=ROOT, check=False).returncode == 0, link
