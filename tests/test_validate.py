"""Bad parameters end in one line that names file, key, value and what is allowed."""

from pathlib import Path
from typing import Any

import pytest
from tiny import write_params

from stages.validate import validate

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
