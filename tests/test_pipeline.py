"""dvc.yaml, params.yaml, the settings and the imports tell one story."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx
import pytest
import reads
from dvc.repo import Repo
from ruamel.yaml import YAML

from stages import validate

ROOT = Path(__file__).parent.parent
PIPELINE = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
STAGES = sorted(PIPELINE)
TEMPLATE = re.compile(r"\$\{[\w.]+\}")


def body(stage: str) -> dict:
    return PIPELINE[stage].get("do", PIPELINE[stage])


def commands(stage: str) -> list[str]:
    """Return the words of all commands of a stage."""
    found = body(stage)["cmd"]
    return " ".join([found] if isinstance(found, str) else found).split()


def code(stage: str) -> list[str]:
    return [dep for dep in body(stage)["deps"] if dep.startswith("stages/")]


def files(dep: str) -> set[Path]:
    """Return the code of a dependency: a file, a folder's, or of a template every file that it may name."""
    if TEMPLATE.search(dep):
        return {file for file in ROOT.glob(TEMPLATE.sub("*", dep)) if file.name != "__init__.py"}
    path = ROOT / dep
    assert path.exists(), dep
    return {file for file in path.rglob("*.py") if has_code(file)} if path.is_dir() else {path}


def has_code(file: Path) -> bool:
    """Say whether a file holds more than a docstring: what only explains a folder is no dependency."""
    tree = parsed(file)
    return len(tree.body) > (ast.get_docstring(tree) is not None)


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def imports(file: Path) -> frozenset[Path]:
    """Return the files of ours that a file imports by name, and the packages on the way to them."""
    names: set[str] = set()
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    paths = [ROOT / name.replace(".", "/") for name in names if name.split(".")[0] == "stages"]
    return frozenset(f for path in paths for f in (path.with_suffix(".py"), path / "__init__.py") if f.is_file())


def closure(*starts: Path) -> set[Path]:
    todo, seen = list(starts), set()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += imports(file)
    return {file for file in seen if has_code(file)}


def modules(stage: str) -> list[Path]:
    """Return the files of the modules that a stage's commands run."""
    return [ROOT / f"{word.replace('.', '/')}.py" for word in commands(stage) if word.startswith("stages.")]


@cache
def run_by(stage: str) -> set[Path]:
    """Return all code that a stage may run: its commands' modules, backends that it may load, and what these import."""
    found, before = closure(*modules(stage)), set()
    while found != before:
        before, named = found, loadable(found)
        found = closure(*found, *(file for dep in code(stage) if folder_of(dep) in named for file in files(dep)))
    return found


def folder_of(dep: str) -> str:
    return dep.split("/")[1]


def loadable(found: set[Path]) -> set[str]:
    return {folder for file in found for folder in loaded_folders(file)}


def loaded_folders(file: Path) -> Iterator[str]:
    """Yield the folders of ours from which a file loads a module by its name: import_module(f"stages.heads.{name}")."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.JoinedStr) and (found := re.match(r"f['\"]stages\.(\w+)\.", ast.unparse(node))):
            yield found[1]


def test_every_stage_is_a_file_and_every_file_a_stage():
    assert sorted(file.stem for file in (ROOT / "stages").glob("*.py") if file.name != "__init__.py") == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_runs_the_stage(stage: str):
    assert modules(stage)[-1] == ROOT / f"stages/{stage}.py"


@pytest.mark.parametrize("stage", STAGES)
def test_every_import_of_a_stage_lies_within_its_deps(stage: str):
    """Whatever backend is chosen."""
    fixed = set().union(*(files(dep) for dep in code(stage) if not TEMPLATE.search(dep)))
    assert closure(*modules(stage)) <= fixed
    for dep in code(stage):
        for backend in files(dep) if TEMPLATE.search(dep) else ():
            assert closure(backend) - {backend} <= fixed | files(dep), backend


@pytest.mark.parametrize("stage", STAGES)
def test_every_dep_holds_what_the_stage_imports(stage: str):
    for dep in code(stage):
        assert files(dep) & run_by(stage), dep


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_loads_by_name_lies_within_its_deps(stage: str):
    assert loadable(run_by(stage)) <= {folder_of(dep) for dep in code(stage)}


def test_pretrain_lists_exactly_what_it_imports():
    """A clone must not train anew because something else was edited."""
    assert set().union(*(files(dep) for dep in code("pretrain"))) == run_by("pretrain")


def test_folders_are_rooms():
    """No folder imports one that imports it, directly or through others, and none imports a stage."""
    graph = nx.DiGraph()
    for file in (ROOT / "stages").rglob("*.py"):
        here = file.relative_to(ROOT / "stages").parts
        there = [found.relative_to(ROOT / "stages").parts for found in imports(file)]
        if len(here) > 1 and here[0] != "tools":
            assert not [name for *folder, name in there if not folder and name != "__init__.py"], file
            graph.add_edges_from((here[0], folder[0]) for *folder, _ in there if folder and folder[0] != here[0])
    assert not list(nx.simple_cycles(graph))
    assert set(graph["settings"]) == {"common"} and not graph["common"]


def test_params_sections_are_the_stages_and_world():
    assert sorted(PARAMS) == sorted([*(set(STAGES) - {"validate"}), "world"])


def sections_read(stage: str) -> set[str]:
    """Return the sections that a stage loads: the first word of every `params.load("SECTION...", Class)`."""
    calls = (node for file in run_by(stage) for node in ast.walk(parsed(file)) if isinstance(node, ast.Call))
    first = [ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "params.load"]
    return {found[1] for text in first if (found := re.match(r"f?'(\w+)", text))}


@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"validate"}))
def test_a_stage_names_the_sections_that_it_reads(stage: str):
    assert sections_read(stage) <= {param.split(".")[0] for param in body(stage)["params"]}


@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"validate"}))
def test_a_stage_depends_on_the_settings_of_the_sections_that_it_reads(stage: str):
    read = {**validate.SECTIONS, **validate.DICTS}
    modules = [read[name].__module__ for name in sections_read(stage)]
    assert {ROOT / f"{module.replace('.', '/')}.py" for module in modules} <= run_by(stage)


def module_of(file: Path) -> str:
    """Return the full name of a file's module."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_key_is_read():
    """By code that a stage other than `validate` runs, through a value of the key's own class."""
    run = set().union(*(run_by(stage) for stage in STAGES if stage != "validate"))
    files = run | set((ROOT / "stages/settings").glob("*.py"))
    code = reads.Code({module_of(file): parsed(file) for file in files})
    keys = {
        f"{cls}.{field}"
        for cls, fields in code.settings.items()
        if cls.startswith(("stages.settings.", "stages.common.params."))
        for field in fields
    }
    assert len(keys) > 100
    assert keys - code.read_by(map(module_of, run)) == set()


# DVC's own dependency pygtrie warns about itself
@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")
def test_every_stage_waits_for_validate():
    graph = Repo(str(ROOT)).index.graph
    first = next(node for node in graph if node.addressing == "validate")
    assert {node for node in graph if not node.is_data_source} == {first, *nx.ancestors(graph, first)}


@pytest.mark.parametrize("section", sorted(PARAMS))
def test_the_settings_have_the_keys_of_the_section(section: str):
    """All those that have no default, and in a section that is no mapping of names the others, too."""
    cls = {**validate.SECTIONS, **validate.DICTS}[section]
    fields = {field.name: field.default is dataclasses.MISSING for field in dataclasses.fields(cls)}
    if section not in validate.DICTS:
        assert set(PARAMS[section]) == set(fields)
        return
    for entry in PARAMS[section].values():
        assert {name for name, needed in fields.items() if needed} <= set(entry) <= set(fields)
        assert not [name for name, value in entry.items() if cls.__dataclass_fields__[name].default == value]


def downstream(*starts: str) -> set[str]:
    """Return the stages that DVC would visit after any of `starts`, by DVC's own graph (edges to what is needed)."""
    graph = Repo(str(ROOT)).index.graph
    found = {node for node in graph if node.addressing in starts}
    assert len(found) == len(starts)
    return {node.addressing for node in graph if found & nx.descendants(graph, node)}


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


def test_artifacts_are_networks_that_a_stage_writes():
    repo = Repo(str(ROOT))
    outs = {Path(out.def_path) for stage in repo.index.stages for out in stage.outs}
    artifacts = repo.artifacts.read()["dvc.yaml"]
    assert artifacts
    for artifact in artifacts.values():
        path = Path(artifact.path)
        assert artifact.type == "model" and outs & {path, *path.parents}, path
        assert path.parent.name in PARAMS["variants"] and path.name in {
            f"seed-{seed}" for seed in PARAMS["train"]["runs"]["seeds"]
        }
