"""Bad parameters end in one line that names file, key, value and what is allowed."""

import re
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tiny import ROOT, params, write_params, write_values

from stages.common.params import check, read
from stages.validate import DICTS, SECTIONS, validate
from stages.validation import networks

PUBLISHED = {
    "recogniser": "onnx",
    "weights": "data/external/weights/r50.onnx",
    "card": "stages/recognisers/cards/insightface.json",
}
CASES: list[tuple[str, Any, str]] = [
    ("pack.alpha", "much", "pack.alpha = 'much'"),
    ("pack.alpha", float("nan"), "pack.alpha = NaN"),
    ("pack.alpha", -0.5, "pack.alpha = -0.5"),
    ("pack.alfa", 0.5, "pack.alfa is not a known key"),
    ("pack.method", "hyperfaces", "'hyperface', 'code', 'gaussian', 'gallery' or 'random'"),
    ("gallery.backend", "stylegan", "gallery.backend = 'stylegan'"),
    ("generate.backend", "arc3face", "generate.backend"),
    ("generate.sigma", [{"sigma": 0.3, "share": 0.5}], "shares sum to 0.5"),
    ("generate.depths", [], "generate: depths is empty"),
    (
        "generate.backend",
        "arc2face",
        "generate.backend = 'arc2face' has no gradients for AttrOP; allowed: embedded, vec2",
    ),
    (
        "embed.recogniser",
        "onnx",
        "embed.recogniser = 'onnx' has no gradients for AttrOP; allowed: embedded, iresnet, or",
    ),
    ("generate.attributes.steps", 0, "generate.attributes.steps = 0"),
    ("generate.attributes.min_cosine", 1.5, "generate.attributes.min_cosine = 1.5"),
    ("generate.poses.yaw_deg", [90], "generate.poses.yaw_deg.0 = 90"),
    ("generate.poses.identities", 500, "generate.poses.identities = 500 identities; allowed: at most generate.depths"),
    ("world.size_px", 60, "world.size_px = 60"),
    ("world.wild_spread", 3.0, "world.wild_spread = 3.0"),
    ("train.seeds", [0, 0], "seeds = [0, 0]"),
    ("train.widths", [16], "train.widths"),
    ("train.blocks", [2, 2], "train.blocks"),
    ("train.backbone", "resnet", "train.backbone = 'resnet': input should be 'compact' or 'iresnet'"),
    ("embed.recogniser", "arcface", "embed.recogniser = 'arcface': input should be 'embedded', 'onnx' or 'iresnet'"),
    ("embed.weights", "", "embed.weights = ''"),
    ("audit.judge.weights", "data/pretrain/recogniser.safetensors", "embed's own; allowed: another network"),
    ("audit.judge.colour", "rgb", "audit.judge.colour is not a known key"),
    ("audit.unrelated", {"backend": "folder", "path": "x"}, "audit.unrelated.backend = 'folder'"),
    ("audit.unrelated", {"backend": "set", "path": "data/sets/no"}, "allowed for a set: data/sets/wild"),
    ("audit.unrelated", {"backend": "set", "path": "data/sets/wild"}, "at most 300, those of data/sets/wild"),
    ("baselines.networks.pixels", PUBLISHED, "baselines.networks.pixels: a baseline or a variant has that name"),
    ("baselines.networks.wide", PUBLISHED, "baselines.networks.wide: a baseline or a variant has that name"),
    ("baselines.networks.r50", PUBLISHED | {"weights": "/r50.onnx"}, "allowed: below data/external/weights"),
    ("baselines.networks.r50", PUBLISHED | {"card": "r50.json"}, "baselines.networks.r50.card = 'r50.json'; allowed"),
    ("baselines.networks.r 50", PUBLISHED, "baselines.networks.r 50"),
    ("train.head", None, "train.head = None"),
    ("evaluate.fars", [0], "evaluate.fars.0"),
    ("variants.base.width", -3, "variants.base.width = -3"),
    ("variants.base.width", 5000, "allowed: at most the 420 identities of audit"),
    ("variants.base.depth", 15, "variants.base.depth = 15; allowed: 1 to 14"),
    ("variants.base.source", "sets/mild", "variants.base.source = 'sets/mild'"),
    ("variants.wild.identity_mixup", True, "variants.wild.identity_mixup"),
    ("variants.identity-mixup.width", 200, "variants.identity-mixup.width = 200"),
    ("variants.domain-mixup.mix_depth", 0, "variants.domain-mixup.mix_depth = 0"),
    ("variants.identity-mixup.fewer", "skip", "variants.identity-mixup.fewer = 'skip' with identity_mixup"),
    ("variants", {}, "variants: expected a mapping"),
    ("sets.wild.backend", "real", "sets.wild.backend"),
    ("pack.identities", 100, "generate.depths = 420 identities; allowed: at most pack.identities = 100"),
    ("benchmarks.identities", 100, "benchmarks.identities = 100"),
    ("report.contrasts.wide.of", "wid", "report.contrasts.wide.of = 'wid'; allowed: augmented, base, deep, "),
    ("report.contrasts.wide.against", "bas", "report.contrasts.wide.against = 'bas'; allowed: augmented, base, deep, "),
    ("report.contrasts.wide.against", "wide", "report.contrasts.wide: against = 'wide' leaves nothing to compare"),
    ("report.contrasts.gap.minus", "wild", "report.contrasts.gap: minus = 'wild' leaves nothing to compare"),
    ("report.contrasts.wide.expected", 2, "report.contrasts.wide.expected = 2: input should be -1, 0 or 1"),
    ("report.contrasts.wide.sign", 1, "report.contrasts.wide.sign is not a known key"),
    ("packing", {"alpha": 0.5}, "packing is not a known section"),
    ("pack", [1], "pack: expected a mapping"),
]


@pytest.mark.parametrize(("key", "value", "said"), CASES)
def test_one_line_names_the_key(tmp_path: Path, key: str, value: Any, said: str):
    write_params(tmp_path, {key: value})
    file = tmp_path / "params.yaml"
    with pytest.raises(ValueError) as error:
        validate(file)
    assert said in str(error.value) and str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_section_or_key_is_named(tmp_path: Path):
    write_params(tmp_path, {})
    file = tmp_path / "params.yaml"
    text = file.read_text()
    file.write_text(text.replace("learning_rate", "lr"))
    with pytest.raises(ValueError, match="lr is not a known key|learning_rate is missing"):
        validate(file)
    file.write_text(text.replace("\npack:", "\npacks:"))
    with pytest.raises(ValueError, match="packs is not a known section"):
        validate(file)


def test_what_is_no_mapping_is_refused(tmp_path: Path):
    file = tmp_path / "params.yaml"
    for text, said in (("- 1\n", "expected a mapping"), ("a: [1\n", "not valid YAML"), ("", "expected a mapping")):
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
    "an empty file": (b"", "expected a mapping"),
    "a list": (b"- 1", "expected a mapping"),
    "a word": (b"pack", "expected a mapping"),
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
    "binary": (b"pack: !!binary aGk=", "pack is a bytes"),
    "a set": (b"pack: !!set {a}", "pack is a set"),
    "an object": (b"pack: !!python/object:os.system ls", "not valid YAML: line 1"),
    "a date": (b"pack: {alpha: 2020-01-01}", "pack.alpha is a date"),
    "a moment": (b"pack: 2020-01-01T00:00:00Z", "pack is a"),
    "no integer": (b"pack: !!int x", "not valid YAML"),
    "no number": (b"pack: !!float x", "not valid YAML"),
    "no truth": (b"pack: !!bool x", "not valid YAML"),
    "a key twice": (b"pack: 1\npack: 2", "not valid YAML: line 2"),
    "a key of a number": (b"pack: {1: 2}", "pack.1 is no key"),
    "a key of nothing": (b"pack: {null: 2}", "pack.None is no key"),
    "a key of a list": (b"pack: {? [1, 2] : 3}", "no key"),
    "a key with a line's end": (b'pack: {"a\\nb": 3}', "no key"),
    "a comment in Latin-1": (b"pack: 1\n# f\xfcr", "line 2 is not UTF-8"),
    "UTF-16": ("pack: 1".encode("utf-16"), "not UTF-8"),
    "NUL": (b"pack: \0", "not valid YAML"),
    "NUL, escaped": (b'pack: "\\0"', "cannot be printed"),
    "half a surrogate": (b'pack: "\\ud800"', "params.yaml"),
    "6,000 digits": (b"pack: " + b"1" * 6000, "not valid YAML"),
    "64 bits": (b"pack: 9223372036854775808", "an integer of more than 63 bits"),
    "an end": (b"pack: 'x", "not valid YAML: line 1"),
    "a tab": (b"pack:\n\t- 1", "not valid YAML: line 2"),
    "a loose alias": (b"pack: *x", "not valid YAML: line 1"),
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
        ("pack.alpha", "aplha", "pack.aplha is not a known key; did you mean alpha?"),
        ("generate.mixup.images", "image", "generate.mixup.image is not a known key; did you mean images?"),
        ("generate.attributes.quality.card", "cards", "generate.attributes.quality.cards is not a known key; did you"),
        ("variants.base.width", "widht", "variants.base.widht is not a known key; did you mean width?"),
        ("sets.wild.images", "imgs", "sets.wild.imgs is not a known key; did you mean images?"),
        (
            "baselines.networks.judge.card",
            "crad",
            "baselines.networks.judge.crad is not a known key; did you mean card?",
        ),
        (
            "audit.capacity.confused",
            "zzz",
            "audit.capacity.zzz is not a known key; allowed here: false_match_rate, conf",
        ),
        ("pack", "pakc", "pakc is not a known section; did you mean pack?"),
        ("sets", "set", "set is not a known section; did you mean sets?"),
        ("train.scale", "x" * 1000, "... is not a known key; allowed here: backbone, fold_stem"),
        ("pack.alpha", "x" * 1000, "xxx... is not a known key; allowed here: method"),
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
    card = str(ROOT / "data/pretrain/recogniser.json")  # of size 128
    values = params({"pack.method": "code", "pack.identities": 33_024, "embed.card": card})
    networks.check(Path("params.yaml"), values)
    values["pack"]["identities"] += 1
    with pytest.raises(ValueError, match="params.yaml: pack.identities = 33025; allowed .* at most 33024"):
        networks.check(Path("params.yaml"), values)


def test_a_typo_in_a_list_is_named_too(tmp_path: Path):
    write_params(tmp_path, {"generate.depths": [{"identities": 420, "image": 42}]})
    assert "generate.depths.0.image is not a known key; did you mean images?" in refusal(tmp_path / "params.yaml")
