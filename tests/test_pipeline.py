"""dvc.yaml, params.yaml and the imports tell one story."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import get_args

import networkx as nx
import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from stages.common.params import Recogniser

ROOT = Path(__file__).parent.parent
PIPELINE = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
STAGES = sorted(PIPELINE)
# What a stage loads by the name of a backend, from a card or from params.yaml, is not an import statement.
LOADED = {
    "stages.packing": [f"stages/packing/{PARAMS['pack']['method']}.py"],
    "stages.heads": [f"stages/heads/{PARAMS['train']['head']}.py"],
}
# What any backend of a family imports is a dependency, and of the backends themselves the one that is chosen.
FAMILIES = {"stages.generators": PARAMS["generate"]["backend"], "stages.galleries": PARAMS["gallery"]["backend"]}
RECOGNISERS = [f"stages/recognisers/{name}.py" for name in get_args(Recogniser)]
# Which keys of params.yaml name the recogniser that a stage loads; `baselines` may load several, of any kind.
CHOSEN = {
    "embed": ["embed"], "generate": ["embed", "generate.attributes.quality"], "audit": ["embed", "audit.judge"],
    "report": ["embed"], "baselines": [],
}  # fmt: skip
ANY = ["compact", "iresnet", "plain"]  # a card may name any of them
BACKBONES = {"pretrain": ["compact", "plain"], **dict.fromkeys(CHOSEN, ANY)}


def body(stage: str) -> dict:
    return PIPELINE[stage].get("do", PIPELINE[stage])


def commands(stage: str) -> list[str]:
    """Return the words of all commands of a stage."""
    found = body(stage)["cmd"]
    return " ".join([found] if isinstance(found, str) else found).split()


def deps(stage: str, recogniser: str) -> set[str]:
    found = [resolved(dep, recogniser) for dep in body(stage)["deps"] if dep.startswith("stages/")]
    return {file for dep in found for file in expanded(dep)}


def resolved(path: str, recogniser: str) -> str:
    def value(match: re.Match[str]) -> str:
        *sections, key = match[1].split(".")
        if key == "recogniser":
            assert ".".join(sections) in sum(CHOSEN.values(), [])
            return recogniser
        node = PARAMS
        for section in sections:
            node = node[section]
        return str(node[key])

    return re.sub(r"\$\{([\w.]+)\}", value, path)


def expanded(dep: str) -> list[str]:
    path = ROOT / dep
    return sorted(str(f.relative_to(ROOT)) for f in path.glob("*.py") if has_code(f)) if path.is_dir() else [dep]


def has_code(file: Path) -> bool:
    """Say whether a file holds more than a docstring: what only explains a folder is no dependency."""
    tree = ast.parse(file.read_text())
    return len(tree.body) > (ast.get_docstring(tree) is not None)


def backends(family: str) -> set[Path]:
    return set(package(family).parent.glob("*.py")) - {package(family)}


def package(family: str) -> Path:
    return ROOT / family.replace(".", "/") / "__init__.py"


@cache
def imports(file: Path, recognisers: tuple[str, ...]) -> frozenset[Path]:
    found: set[Path] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            loaded = {**LOADED, "stages.recognisers": recognisers}
            found |= {ROOT / part for part in loaded.get(name, [])}
            path = ROOT / name.replace(".", "/")
            found |= {
                f for f in (path.with_suffix(".py"), path / "__init__.py") if name.startswith("stages") and f.is_file()
            }
    return frozenset(found)


def closure(stage: str, recogniser: str = "embedded") -> set[str]:
    loaded = tuple(RECOGNISERS) if stage == "baselines" else (f"stages/recognisers/{recogniser}.py",)
    todo, seen, written = [ROOT / f"stages/{stage}.py"], set(), set()
    todo += [ROOT / f"{word.replace('.', '/')}.py" for word in commands(stage) if word.startswith("stages.tools.")]
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            found = imports(file, loaded)
            written |= found
            todo += found
            todo += [backend for name in FAMILIES if package(name) in found for backend in backends(name)]
    chosen = {package(name).with_name(f"{backend}.py") for name, backend in FAMILIES.items()}
    seen -= {file for name in FAMILIES for file in backends(name)} - chosen - written
    if ROOT / "stages/recognisers/embedded.py" in seen:
        seen |= {ROOT / f"stages/backbones/{name}.py" for name in BACKBONES.get(stage, [PARAMS["train"]["backbone"]])}
    return {str(file.relative_to(ROOT)) for file in seen if has_code(file)}


def test_every_stage_is_a_file_and_every_file_a_stage():
    assert sorted(file.stem for file in (ROOT / "stages").glob("*.py") if file.name != "__init__.py") == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_exactly_what_the_stage_imports(stage: str):
    """Under every recogniser what it needs is there, and nothing is there that none needs."""
    choices = get_args(Recogniser) if CHOSEN.get(stage) else ["embedded"]
    for recogniser in choices:
        assert closure(stage, recogniser) <= deps(stage, recogniser)
    named, needed = (set().union(*(of(stage, x) for x in choices)) for of in (deps, closure))
    assert named == needed


@pytest.mark.parametrize("stage", CHOSEN)
def test_a_stage_that_loads_a_chosen_network_depends_on_its_files(stage: str):
    for key in CHOSEN[stage]:
        parts = [f"stages/recognisers/${{{key}.recogniser}}.py", f"${{{key}.weights}}", f"${{{key}.card}}"]
        assert set(parts) <= set(body(stage)["deps"])
    if stage == "baselines":
        assert {"stages/recognisers", "data/external/weights", "data/pretrain"} <= set(body(stage)["deps"])
    assert (ROOT / "stages/recognisers/cards").is_dir()


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_runs_the_stage(stage: str):
    assert f"stages.{stage}" in commands(stage)


def test_params_sections_are_the_stages_and_world():
    assert sorted(PARAMS) == sorted([*(set(STAGES) - {"validate"}), "world"])


@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"validate"}))
def test_a_stage_names_the_sections_that_it_reads(stage: str):
    named = {param.split(".")[0] for param in body(stage)["params"]}
    read = {f for file in closure(stage) for f in re.findall(r"^stages/settings/(\w+)\.py$", file)}
    # settings that are only a type of an argument (validate checks them all) are still read from params.yaml
    assert read <= named | {"train"} if stage == "evaluate" else read <= named


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_waits_for_validate(stage: str):
    assert stage == "validate" or "data/validate" in body(stage)["deps"]


@pytest.mark.parametrize("section", sorted(set(STAGES) - {"validate"}))
def test_the_settings_have_the_keys_of_the_section(section: str):
    settings = (ROOT / f"stages/settings/{section}.py").read_text()
    fields = set(re.findall(r"^    (\w+): ", settings.split(f"class {section.capitalize()}:")[1], re.MULTILINE))
    values = PARAMS[section]
    entries = values.values() if section in ("sets", "variants") else [values]
    assert all(fields == set(entry) for entry in entries)


def downstream(*starts: str) -> set[str]:
    """Return the stages that DVC would visit after any of `starts`, by DVC's own graph (edges to what is needed)."""
    graph = Repo(str(ROOT)).index.graph
    found = {node for node in graph if node.addressing in starts}
    assert len(found) == len(starts)
    return {node.addressing for node in graph if found & nx.descendants(graph, node)}


# DVC's own dependency pygtrie warns about itself
@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")
def test_packing_does_not_reach_what_does_not_depend_on_it():
    reached = downstream("pack")
    untouched = {"validate", "pretrain", "gallery", "embed", "benchmarks"}
    untouched |= {f"{stage}@{name}" for stage in ("variants", "train", "evaluate") for name in ("wild", "wild-small")}
    assert not reached & untouched
    assert {"generate", "audit", "train@base", "train@domain-mixup", "evaluate@wide", "report"} <= reached


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")
def test_a_variant_reaches_only_its_own_stages_and_the_report():
    assert downstream("variants@wide") == {"train@wide", "evaluate@wide", "report"}
    assert "train" not in {param.split(".")[0] for param in body("variants")["params"]}


def test_the_run_cache_serves_every_stage_but_pretrain():
    """DVC refuses it to stages with an output that persists, or that is in git and neither metric nor plot."""
    outs = {stage.addressing: stage.outs for stage in Repo(str(ROOT)).index.stages if not stage.is_data_source}
    without = {
        name for name, found in outs.items() for out in found if out.persist or not (out.use_cache or out.is_decorated)
    }
    assert without == {"pretrain"}


def test_every_key_is_read_somewhere():
    files = [file for file in (ROOT / "stages").rglob("*.py") if "settings" not in file.parts]
    source = "\n".join(file.read_text() for file in [*files, ROOT / "stages/settings/train.py"])  # it writes the card
    for section, values in PARAMS.items():
        for key in next(iter(values.values())) if section in ("sets", "variants") else values:
            assert re.search(rf"\.{key}\b", source), f"nothing reads {section}.{key}"
