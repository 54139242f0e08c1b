"""Bad parameters end in one line that names file, key, value and what is allowed."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from refusal import refused
from tiny import ENVIRONMENT, ROOT, params, working_in, write_params, write_values

from stages.common.errors import ABSENT, InputError
from stages.common.params import check, read
from stages.foreign import packaged
from stages.validate import DICTS, SECTIONS, find_external, validate
from stages.validation import networks

PUBLISHED = {"recogniser": "onnx", "network": "external/weights/r50"}
RECOGNISER, JUDGE = "pretrain/recogniser", "pretrain/judge"
DLIB = {"recogniser": "dlib", "network": "none"}
MONITOR = {"curves": 0, "path": "sets/wild", "identities": 3, "times": 10}
A_PATH = "a path below data"
LINES = 116  # of params.yaml, at most
CASES: list[tuple[str, Any, str, str]] = [  # a key, a value for it, the key that is named, and what is said of it
    ("pack.alpha", "much", "pack.alpha", "a valid number"),
    ("pack.alpha", float("nan"), "pack.alpha", "a finite number"),
    ("pack.alpha", -0.5, "pack.alpha", "greater than or equal to 0"),
    ("pack.alfa", 0.5, "pack.alfa", "not a known key; did you mean alpha?"),
    ("pack.method", "hyperfaces", "pack.method", "'hyperface', 'code', 'gaussian', 'gallery' or 'random'"),
    ("gallery.backend", "stylegan", "gallery.backend", "'embedded', 'folder' or 'diffusers'"),
    ("gallery.backend", "folder", "gallery.path", A_PATH),
    ("gallery.path", "external/sets/mine", "gallery.path", "allowed: none"),
    ("generate.backend", "arc3face", "generate.backend", "'embedded', 'arc2face' or 'vec2face'"),
    ("generate.weights", "none", "generate.weights", A_PATH),
    ("generate.noise.share", [0.3, 0.3, 0.3], "generate.noise.share", "comes to 0.9; allowed: a sum of 1"),
    ("generate.noise.share", [0.5, 0.5], "generate.noise.share", "as many as sigma, 3"),
    ("generate.depths.images", [42, 14], "generate.depths.images", "as many as identities, 3"),
    ("generate.depths.images", [], "generate.depths.images", "at least 1 item"),
    ("generate.backend", "arc2face", "generate.backend", "no gradients for AttrOP; allowed: embedded, vec2face, or"),
    ("embed.recogniser", "onnx", "embed.recogniser", "no gradients for AttrOP; allowed: embedded, iresnet, or"),
    ("generate.attributes.steps", 0, "generate.attributes.steps", "greater than or equal to 1"),
    ("generate.attributes.min_cosine", 1.5, "generate.attributes.min_cosine", "less than or equal to 1"),
    ("generate.poses.yaw_deg", [90], "generate.poses.yaw_deg.0", "less than or equal to 60"),
    ("generate.poses.identities", 500, "generate.poses.identities", "at most generate.depths = 420"),
    ("world.size_px", 60, "world.size_px", "a multiple of 16"),
    ("world.spread.wild", 3.0, "world.spread.wild", "less than or equal to 2"),
    ("world.detector", "data/external/scrfd.onnx", "world.detector", A_PATH),
    ("world.detector", "/scrfd.onnx", "world.detector", A_PATH),
    ("world.detector", "external/../../scrfd.onnx", "world.detector", A_PATH),
    ("world.detector", "external//scrfd.onnx", "world.detector", A_PATH),
    ("train.runs.seeds", [0, 0], "train.runs.seeds", "a seed twice"),
    ("train.batch", 60_000, "train.samples", "at least one batch of 60000"),
    ("train.runs.micro_batches", 31, "train.runs.micro_batches", "at most 30, so that each has two samples of"),
    ("train.schedule.warm_up", 1, "train.schedule.warm_up", "less than 1, a share of the training"),
    ("train.schedule.drops", [0.5, 1.5], "train.schedule.drops", "each less than 1, a share of the training"),
    ("train.monitor", MONITOR | {"path": "benchmarks/lfw"}, "train.monitor.path", "allowed: sets/wild"),
    ("train.monitor", MONITOR | {"identities": 0}, "train.monitor.identities", "at least 2"),
    ("train.monitor", MONITOR | {"identities": 301}, "train.monitor.identities", "1 to 300, what sets/wild has"),
    ("train.monitor", MONITOR, "train.monitor.path", "variant domain-mixup is trained on it"),
    ("train.levels.widths", [16], "train.levels.widths", "4 of compact"),
    ("train.levels.blocks", [2, 2], "train.levels.blocks", "4 of compact"),
    ("train.backbone", "resnet", "train.backbone", "input should be 'compact', 'iresnet', 'mobilefacenet' or 'vit'"),
    ("embed.recogniser", "arcface", "embed.recogniser", "input should be 'embedded', 'onnx', 'iresnet' or 'dlib'"),
    ("embed.network", "", "embed.network", "at least 1 character"),
    ("embed.network", "none", "embed.network", A_PATH),
    ("audit.judge.network", RECOGNISER, "audit.judge.network", "another network than embed's"),
    ("audit.judge", DLIB | {"network": "external/weights/r50"}, "audit.judge.network", "allowed: none"),
    ("audit.witness", DLIB | {"network": "external/weights/r50"}, "audit.witness.network", "allowed: none"),
    ("audit.witness", {"recogniser": "none", "network": RECOGNISER}, "audit.witness.network", "allowed: none"),
    ("audit.witness", {"recogniser": "onnx", "network": "none"}, "audit.witness.network", A_PATH),
    ("audit.witness", {"recogniser": "embedded", "network": JUDGE}, "audit.witness.network", "than audit.judge's"),
    ("audit.witness", {"recogniser": "embedded", "network": RECOGNISER}, "audit.witness.network", "than embed's"),
    ("audit.witness.recogniser", "arcface", "audit.witness.recogniser", "'dlib' or 'none'"),
    ("audit.judge.colour", "rgb", "audit.judge.colour", "not a known key"),
    ("audit.unrelated", {"backend": "folder", "path": "x"}, "audit.unrelated.backend", "'embedded' or 'set'"),
    ("audit.unrelated", {"backend": "set", "path": "none"}, "audit.unrelated.path", A_PATH),
    ("audit.unrelated", {"backend": "set", "path": "sets/no"}, "audit.unrelated.path", "allowed: sets/wild"),
    ("audit.unrelated", {"backend": "set", "path": "sets/wild"}, "audit.calibration_identities", "at most 300, those"),
    ("baselines.networks.pixels", PUBLISHED, "baselines.networks.pixels", "a baseline or a variant has that name"),
    ("baselines.networks.wide", PUBLISHED, "baselines.networks.wide", "a baseline or a variant has that name"),
    ("baselines.networks.r50", PUBLISHED | {"network": "external/r50"}, "baselines.networks.r50.network", "weights or"),
    ("train.head.name", None, "train.head.name", "'cosface', 'arcface', 'adaface'"),
    ("evaluate.rates.fars", [0], "evaluate.rates.fars.0", "greater than or equal to 0.000000001"),
    ("evaluate.convention", "theirs", "evaluate.convention", "'ours' or 'insightface'"),
    ("evaluate.templates.norm", "both", "evaluate.templates.norm", "'keep' or 'discard'"),
    ("evaluate.rates.fpirs", [1], "evaluate.rates.fpirs.0", "less than 1"),
    ("baselines.untrained.seeds", [0, 0], "baselines.untrained.seeds", "a seed twice"),
    ("benchmarks.templates", 12, "benchmarks.templates", "multiple of 8"),
    ("variants.base.width", -3, "variants.base.width", "greater than or equal to 1"),
    ("variants.base.width", 5000, "variants.base.width", "1 to 420, what audit has"),
    ("variants.base.depth", 15, "variants.base.depth", "1 to 14, what audit has"),
    ("variants.base.source", "sets/mild", "variants.base.source", "allowed: audit, sets/wild"),
    ("variants.base.mix", "audit", "variants.base.mix", "should match pattern"),
    ("variants.base.mix", "sets/wild", "variants.base.mix", "mixed is 0, mix_depth 0"),
    ("variants.domain-mixup.mix", "none", "variants.domain-mixup.mix", "mixed is 30, mix_depth 0"),
    ("variants.domain-mixup.mix", "sets/mild", "variants.domain-mixup.mix", "allowed: sets/wild"),
    ("variants.domain-mixup.mix_depth", 15, "variants.domain-mixup.mix_depth", "1 to 14, what sets/wild has"),
    ("variants.domain-mixup.mixed", 301, "variants.domain-mixup.mixed", "1 to 300, what sets/wild has"),
    ("variants.wild.mixup", True, "variants.wild.source", "mixup; allowed: audit"),
    ("variants.identity-mixup.width", 200, "variants.identity-mixup.width", "one of generate.mixup.identities"),
    ("variants.identity-mixup.fewer", "skip", "variants.identity-mixup.fewer", "allowed: refuse"),
    ("variants", {}, "variants", "a mapping of names"),
    ("sets.wild.backend", "real", "sets.wild.backend", "'embedded', 'folder'"),
    ("sets.wild.backend", "rec", "sets.wild.path", A_PATH),
    ("sets.wild.path", "external/sets/mine", "sets.wild.path", "backend is embedded; allowed: none"),
    ("pack.identities", 100, "generate.depths", "at most pack.identities = 100"),
    ("benchmarks.identities", 100, "benchmarks.identities", "greater than or equal to 200"),
    ("report.contrasts.wide.of", "wid", "report.contrasts.wide.of", "allowed: augmented, base, deep, "),
    ("report.contrasts.wide.against", "bas", "report.contrasts.wide.against", "allowed: augmented, base, deep, "),
    ("report.contrasts.wide.against", "wide", "report.contrasts.wide.against", "leaves nothing to compare"),
    ("report.contrasts.gap.minus", "wild", "report.contrasts.gap.minus", "leaves nothing to compare"),
    ("report.contrasts.wide.expected", 2, "report.contrasts.wide.expected", "input should be -1, 0 or 1"),
    ("report.contrasts.wide.sign", 1, "report.contrasts.wide.sign", "not a known key"),
    ("packing", {"alpha": 0.5}, "packing", "not a known section"),
    ("pack", [1], "pack", "a mapping"),
]


@pytest.mark.parametrize(("key", "value", "named", "said"), CASES)
def test_one_line_names_the_key(tmp_path: Path, key: str, value: Any, named: str, said: str):
    write_params(tmp_path, {key: value})
    file = tmp_path / "params.yaml"
    with pytest.raises(InputError) as error:
        validate(file)
    assert error.value.file == str(file) and error.value.key == named
    assert said in str(error.value) and "\n" not in str(error.value)
    if key == named and error.value.value is not ABSENT:
        assert error.value.value == value or value != value


@pytest.mark.parametrize(
    ("option", "value", "allowed"), [("q", 1, "h, t_alpha"), ("h", -1, "at least 0"), ("t_alpha", 2, "0 to 1")]
)
def test_an_option_of_the_loss_is_checked_by_the_loss(tmp_path: Path, option: str, value: float, allowed: str):
    file = tmp_path / "params.yaml"
    write_params(tmp_path, {"train.head.name": "adaface", "train.head.options": {option: value}})
    with pytest.raises(InputError) as found:
        validate(file)
    error = found.value
    assert (error.file, error.key, error.allowed) == (str(file), f"train.head.options.{option}", allowed)
    assert error.value == (ABSENT if option == "q" else value) and "\n" not in str(error)
    write_params(tmp_path, {"train.head.name": "adaface", "train.head.options": {"h": 0.3, "t_alpha": 1}})
    assert validate(file) > 100


@pytest.mark.parametrize(
    ("on", "convention", "right"),
    [
        ("own-centred", "ours", True), ("own-centred", "insightface", False), ("own", "insightface", True),
        ("ijb-external", "ours", True), ("ijb", "ours", False),
    ],
)  # fmt: skip
def test_a_contrast_is_on_a_protocol_that_evaluation_will_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: str, convention: str, right: bool
):
    monkeypatch.chdir(tmp_path)
    (folder := tmp_path / "data/external/benchmarks").mkdir(parents=True)
    for name in ("own", "ijb"):
        (folder / f"{name}.bin").touch()
    write_params(tmp_path, {"report.contrasts.wide.on": on, "evaluate.convention": convention})
    if right:
        find_external(Path("params.yaml"))
    else:
        with refused("params.yaml", key="report.contrasts.wide.on", value=on):
            find_external(Path("params.yaml"))


def test_without_options_of_the_loss_torch_is_not_loaded():
    """It takes seconds."""
    line = "import sys; from stages import validate as v; v.validate(v.params.FILE); print('torch' in sys.modules)"
    run = [sys.executable, "-c", line]
    done = subprocess.run(run, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_missing_section_or_key_is_named(tmp_path: Path):
    write_params(tmp_path, {})
    file = tmp_path / "params.yaml"
    text = file.read_text()
    file.write_text(text.replace("learning_rate", "lr"))
    with pytest.raises(ValueError, match="lr: not a known key|learning_rate: missing"):
        validate(file)
    file.write_text(text.replace("\npack:", "\npacks:"))
    with pytest.raises(ValueError, match="packs: not a known section"):
        validate(file)


def test_what_is_no_mapping_is_refused(tmp_path: Path):
    file = tmp_path / "params.yaml"
    for text, said in (("- 1\n", "a mapping"), ("a: [1\n", "not valid YAML"), ("", "a mapping of sections")):
        file.write_text(text)
        with pytest.raises(ValueError, match=said):
            validate(file)
    with pytest.raises(ValueError, match="no such file"):
        validate(tmp_path / "none.yaml")


def test_the_committed_parameters_are_in_order():
    assert validate(Path(__file__).parent.parent / "params.yaml") > 100


def refusal(file: Path) -> str:
    """Return why a file is refused: always one line, not long, that names the file."""
    with pytest.raises(ValueError) as error:
        validate(file)
    said = str(error.value)
    assert said.startswith(f"{file}: ") and "\n" not in said and len(said) - len(str(file)) < 300
    return said


BAD_NAMES = ["é", "²", "-x", "_x", "x;touch P", "../x", "a.b", "a b", "a\n", "x" * 65, ""]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("section", ["sets", "variants", "baselines.networks", "benchmarks.crops"])
def test_names_are_single_words_to_a_shell_a_path_and_dvc(tmp_path: Path, section: str, name: str):
    values = params({})
    node = values
    for part in section.split("."):
        node = node[part]
    entry = next(iter(node.values()), {"side_px": 100, "x_px": 125, "y_px": 125})
    node |= {name: entry}
    write_values(tmp_path, values)
    assert section in refusal(tmp_path / "params.yaml")
    node[("Good_name-" + 54 * "9")] = node.pop(name)
    write_values(tmp_path, values)
    validate(tmp_path / "params.yaml")


HOSTILE: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "a mapping of sections"),
    "a list": (b"- 1", "a mapping of sections"),
    "a word": (b"pack", "a mapping of sections"),
    "brackets": (b"pack: " + b"[" * 4000 + b"]" * 4000, "nested deeper than 20"),
    "braces": (b"{a: " * 4000, "nested deeper than 20"),
    "dashes": (b"- " * 4000, "nested deeper than 20"),
    "many values": (b"pack: [" + b"1," * 100_000 + b"]", "more than 20000 values"),
    "laughs": (
        b"a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + b"".join(b"%c: &%c [%s]\n" % (x + 1, x + 1, b", ".join([b"*%c" % x] * 9)) for x in b"abcdefgh"),
        "more than 20000 values",
    ),
    "itself": (b"pack: &x [*x]", "nested deeper than 20"),
    "a size": (b"#" * 400_000, "400000 bytes; allowed"),
    "binary": (b"pack: !!binary aGk=", "pack: of type bytes"),
    "a set": (b"pack: !!set {a}", "pack: of type set"),
    "an object": (b"pack: !!python/object:os.system ls", "line 1: not valid YAML"),
    "a date": (b"pack: {alpha: 2020-01-01}", "pack.alpha: of type date"),
    "a moment": (b"pack: 2020-01-01T00:00:00Z", "pack: of type datetime"),
    "no integer": (b"pack: !!int x", "not valid YAML"),
    "no number": (b"pack: !!float x", "not valid YAML"),
    "no truth": (b"pack: !!bool x", "not valid YAML"),
    "a key twice": (b"pack: 1\npack: 2", "line 2: not valid YAML"),
    "a key of a number": (b"pack: {1: 2}", "pack.1: not a key"),
    "a key of nothing": (b"pack: {null: 2}", "pack.None: not a key"),
    "a key of a list": (b"pack: {? [1, 2] : 3}", "not a key"),
    "a key with a line's end": (b'pack: {"a\\nb": 3}', "not a key"),
    "a comment in Latin-1": (b"pack: 1\n# f\xfcr", "line 2: not UTF-8"),
    "UTF-16": ("pack: 1".encode("utf-16"), "not UTF-8"),
    "NUL": (b"pack: \0", "not valid YAML"),
    "NUL, escaped": (b'pack: "\\0"', "cannot be printed"),
    "half a surrogate": (b'pack: "\\ud800"', "params.yaml"),
    "6,000 digits": (b"pack: " + b"1" * 6000, "not valid YAML"),
    "64 bits": (b"pack: 9223372036854775808", "an integer of more than 63 bits"),
    "an end": (b"pack: 'x", "line 1: not valid YAML"),
    "a tab": (b"pack:\n\t- 1", "line 2: not valid YAML"),
    "a loose alias": (b"pack: *x", "line 1: not valid YAML"),
    "two documents": (b"pack: 1\n---\npack: 2", "not valid YAML"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_yaml_can_hold_ends_in_one_short_line(tmp_path: Path, kind: str):
    text, said = HOSTILE[kind]
    file = tmp_path / "params.yaml"
    file.write_bytes(text)
    start = time.process_time()
    assert said in refusal(file)
    assert time.process_time() - start < 10  # the square of 4,000 brackets were a minute


def test_what_yaml_allows_beside_the_values_does_no_harm(tmp_path: Path):
    file, text = tmp_path / "params.yaml", (ROOT / "params.yaml").read_bytes()
    file.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    assert read(file) == read(ROOT / "params.yaml")
    file.write_bytes(b"a: &x 1\nb: &x 2\nc: *x")
    assert read(file) == {"a": 1, "b": 2, "c": 2}


def sections() -> Iterator[tuple[str, Any, type]]:
    """Yield each section of params.yaml and each entry of those of names: key, values, class."""
    values = read(ROOT / "params.yaml")
    yield from ((name, values[name], cls) for name, cls in SECTIONS.items())
    yield from ((f"{name}.{key}", node, cls) for name, cls in DICTS.items() for key, node in values[name].items())


def leaves(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the container and the key of every value that is no container itself."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if isinstance(value, dict | list):
            yield from leaves(value)
        else:
            yield node, key


@pytest.mark.parametrize("value", [10**12, 1e12, 1e300, -(10**12), -1e300, float("nan"), float("inf")])
def test_no_number_is_without_bounds(value: float):
    for name, node, cls in sections():
        for holder, key in leaves(node):
            before = holder[key]
            if isinstance(before, bool) or not isinstance(before, int | float):
                continue
            holder[key] = value
            with pytest.raises(ValueError, match=re.escape(f"params.yaml: {name}")) as error:
                check(name, node, cls)
            assert len(str(error.value)) < 200, f"{name}: {key}"
            holder[key] = before


@pytest.mark.parametrize("value", ["x" * 100_000, ["x" * 100] * 500, {"x" * 500: 1}, list(range(9000)), None, "\ud800"])
def test_a_value_of_any_size_is_echoed_in_short(value: Any):
    for name, node, cls in sections():
        for holder, key in leaves(node):
            before, holder[key] = holder[key], value
            try:
                check(name, deepcopy(node), cls)
            except ValueError as error:
                assert len(str(error)) < 300 and "\n" not in str(error)
            holder[key] = before


@pytest.mark.parametrize(
    ("key", "typo", "said"),
    [
        ("pack.alpha", "aplha", "pack.aplha: not a known key; did you mean alpha?"),
        ("generate.mixup.images", "image", "generate.mixup.image: not a known key; did you mean images?"),
        (
            "generate.quality.network",
            "netwrok",
            "generate.quality.netwrok: not a known key; did you mean network?",
        ),
        ("variants.base.width", "widht", "variants.base.widht: not a known key; did you mean width?"),
        ("sets.wild.images", "imgs", "sets.wild.imgs: not a known key; did you mean images?"),
        (
            "baselines.networks.judge.network",
            "netwrok",
            "baselines.networks.judge.netwrok: not a known key; did you mean network?",
        ),
        (
            "audit.capacity.confused",
            "zzz",
            "audit.capacity.zzz: not a known key; allowed here: false_match_rate, conf",
        ),
        ("pack", "pakc", "pakc: not a known section; did you mean pack?"),
        ("sets", "set", "set: not a known section; did you mean sets?"),
        ("train.batch", "x" * 1000, "...: not a known key; allowed here: backbone, levels"),
        ("pack.alpha", "x" * 1000, "xxx...: not a known key; allowed here: method"),
    ],
)
def test_a_typo_is_named_before_what_it_leaves_missing(tmp_path: Path, key: str, typo: str, said: str):
    values = params({})
    *path, last = key.split(".")
    node = values
    for part in path:
        node = node[part]
    node[typo] = node.pop(last)
    write_values(tmp_path, values)
    assert said in refusal(tmp_path / "params.yaml")


def test_a_code_that_does_not_exist_is_foreseen():
    values = params({"pack.method": "code", "pack.identities": 33_024})
    with working_in(ROOT):
        networks.check(Path("params.yaml"), values)  # pretrain/recogniser is of size 128
        values["pack"]["identities"] += 1
        with pytest.raises(InputError) as error:
            networks.check(Path("params.yaml"), values)
    found = error.value
    assert (found.file, found.key, found.value) == ("params.yaml", "pack.identities", 33_025)
    assert found.allowed == "at most 33024"


@pytest.mark.parametrize("key", ["audit.witness", "audit.judge", "embed", "baselines.networks.dlib"])
def test_a_recogniser_whose_package_is_missing_is_refused(key: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packaged, "READER", "no_such_package")
    with working_in(ROOT), pytest.raises(InputError) as error:
        networks.check(Path("params.yaml"), params({key: DLIB}))
    found = error.value
    assert (found.file, found.key, found.value) == ("params.yaml", f"{key}.recogniser", "dlib")
    assert found.problem == "no_such_package is not installed; pip install -e '.[dlib]' brings it"


def test_dlib_needs_no_folder_anywhere(tmp_path: Path):
    off = {"generate.poses.identities": 0}  # it has no gradients
    for key in ("audit.witness", "audit.judge", "embed", "baselines.networks.dlib"):
        write_params(tmp_path, {key: DLIB, **off})
        assert validate(tmp_path / "params.yaml") > 100


def test_params_yaml_is_one_screen():
    lines = (ROOT / "params.yaml").read_text().splitlines()
    assert len(lines) <= LINES and max(map(len, lines)) <= 100


@pytest.mark.parametrize("section", [*SECTIONS, *DICTS])
def test_dvc_writes_a_changed_value_and_leaves_the_other_lines_alone(tmp_path: Path, section: str):
    """As `dvc exp run -S` and `--queue` do, with DVC's own function."""
    before = (ROOT / "params.yaml").read_text()
    file = tmp_path / "params.yaml"
    values = read(ROOT / "params.yaml")[section]
    for key in numbers(values, section):
        file.write_text(before)
        apply_overrides(str(file), [f"{key}=7"])
        lines = zip_longest(before.split("\n"), file.read_text().split("\n"))
        changed = [new for old, new in lines if old != new]
        assert len(changed) == 1 and "7" in changed[0], key


def numbers(node: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the dotted keys of the numbers of a section."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{path}.{key}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{path}.{key}"
