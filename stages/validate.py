"""Refuse bad parameters before any output is touched; every other stage depends on this one.

reads   params.yaml, whole; which folders of the user's exist
writes  data/validate  a constant
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stages.common import artifacts, params, stage
from stages.common.errors import shown
from stages.formats import layouts
from stages.settings.audit import Audit
from stages.settings.baselines import Baselines
from stages.settings.benchmarks import Benchmarks
from stages.settings.embed import Embed
from stages.settings.evaluate import Evaluate
from stages.settings.gallery import Gallery
from stages.settings.generate import Generate
from stages.settings.pack import Pack
from stages.settings.pretrain import Pretrain
from stages.settings.report import Report
from stages.settings.sets import Sets
from stages.settings.train import Train
from stages.settings.variants import Variants
from stages.settings.world import World
from stages.validation import networks

SECTIONS = {
    "world": World, "pretrain": Pretrain, "gallery": Gallery, "embed": Embed, "pack": Pack, "generate": Generate,
    "audit": Audit, "benchmarks": Benchmarks, "baselines": Baselines, "train": Train, "evaluate": Evaluate,
    "report": Report,
}  # fmt: skip
DICTS = {"sets": Sets, "variants": Variants}
DIFFERENTIABLE, WITH_GRADIENTS = ("embedded", "vec2face"), ("embedded", "iresnet")  # generators and recognisers
BENCHMARKS = Path("data/external/benchmarks")
EMBEDDED = ("lfw", "syn-lfw", "cfp-fp", "agedb", "calfw", "cplfw")  # protocols, here without torch
SETS, PRETRAINED = Path("data/sets"), Path("data/pretrain")  # stages make these
NETWORKS = (Path("data/external/weights"), PRETRAINED, Path("stages/recognisers/cards"))  # what `baselines` depends on


def validate(file: Path) -> int:
    """Check every section of a params.yaml by itself and against the others; returns the number of values.

    Raises ValueError with one line that names file, key, value and what is allowed.
    """
    values = params.read(file)
    known = [*SECTIONS, *DICTS]
    for name in values:
        if name not in known:
            raise ValueError(f"{file}: {params.joined([name])} is not a known section; {params.nearest(name, known)}")
    sections: dict[str, Any] = {name: params.load(name, cls, file) for name, cls in SECTIONS.items()}
    dicts = {name: _entries(name, cls, values, file) for name, cls in DICTS.items()}
    _check_counts(file, **sections)
    _check_gradients(file, sections["generate"], sections["embed"])
    _check_networks(file, variants=list(dicts["variants"]), **sections)
    _check_unrelated(file, sections["audit"], dicts["sets"])
    sections["report"].check_variants(dicts["variants"], file)
    for name, variant in dicts["variants"].items():
        _check_variant(file, f"variants.{name}", variant, dicts["sets"], sections["generate"])
    return _leaves(values)


def _entries(section: str, cls: type, values: dict[str, Any], file: Path) -> dict[str, Any]:
    entries = values.get(section)
    if not isinstance(entries, dict) or not entries:
        raise ValueError(f"{file}: {section}: expected a mapping of names, got {shown(entries)}")
    for name in entries:
        params.check_name(f"{file}: {section}", name)
    return {name: params.check(f"{section}.{name}", node, cls, file) for name, node in entries.items()}


def _check_counts(file: Path, pack: Pack, gallery: Gallery, generate: Generate, **_: Any) -> None:
    limits = [
        ("generate.depths", generate.identities(), "pack.identities", pack.identities),
        ("generate.mixup.identities", max(generate.mixup.widths(), default=0), "pack.identities", pack.identities),
        ("generate.control.identities", generate.control.identities, "pack.identities", pack.identities),
        ("generate.poses.identities", generate.poses.identities, "generate.depths", generate.identities()),
        ("generate.control.identities", generate.control.identities, "gallery.identities", gallery.identities),
    ]
    if pack.method == "gallery":
        limits.append(("pack.identities", pack.identities, "gallery.identities", gallery.identities))
    for key, value, bound, most in limits:
        if value > most:
            raise ValueError(f"{file}: {key} = {value} identities; allowed: at most {bound} = {most}")


def _check_networks(
    file: Path, variants: list[str], embed: Embed, audit: Audit, baselines: Baselines, **_: Any
) -> None:
    if audit.judge.weights == embed.weights:
        raise ValueError(f"{file}: audit.judge.weights = {embed.weights!r}, embed's own; allowed: another network")
    for name, network in baselines.networks.items():
        key = f"baselines.networks.{name}"
        if name in ("pixels", "untrained", *variants):
            raise ValueError(f"{file}: {key}: a baseline or a variant has that name; allowed: another name")
        for field, path in (("weights", network.weights), ("card", network.card)):
            if not any(Path(path).is_relative_to(folder) for folder in NETWORKS):
                raise ValueError(
                    f"{file}: {key}.{field} = {shown(path)}; allowed: below {', '.join(map(str, NETWORKS))}"
                )


def _check_unrelated(file: Path, audit: Audit, sets: dict[str, Sets]) -> None:
    path, people = Path(audit.unrelated.path), audit.calibration_identities
    if audit.unrelated.backend == "embedded":
        return
    if path.parent != SETS or path.name not in sets:
        allowed = ", ".join(str(SETS / name) for name in sets)
        raise ValueError(f"{file}: audit.unrelated.path = {str(path)!r}; allowed for a set: {allowed}")
    if people > sets[path.name].identities:
        most = sets[path.name].identities
        raise ValueError(f"{file}: audit.calibration_identities = {people}; allowed: at most {most}, those of {path}")


def _check_gradients(file: Path, generate: Generate, embed: Embed) -> None:
    if not generate.needs_gradients():
        return
    networks = {"embed": embed, "generate.attributes.quality": generate.attributes.quality}
    given = {"generate.backend": (generate.backend, DIFFERENTIABLE)}
    given |= {f"{key}.recogniser": (found.recogniser, WITH_GRADIENTS) for key, found in networks.items()}
    for key, (backend, able) in given.items():
        if backend not in able:
            raise ValueError(
                f"{file}: {key} = {backend!r} has no gradients for AttrOP; allowed: {', '.join(able)}, or "
                "generate.attributes.centres = false and generate.poses.identities = 0"
            )


def _check_variant(file: Path, key: str, variant: Variants, sets: dict[str, Sets], generate: Generate) -> None:
    _check_taken(file, key, "source", variant.source, variant.width, variant.depth, sets, generate)
    _check_source(file, key, "mix", variant.mix, sets)
    if variant.mix_width:
        _check_taken(file, key, "mix", variant.mix, variant.mix_width, variant.mix_depth, sets, generate)
    if not variant.identity_mixup:
        return
    if variant.source != "audit":
        raise ValueError(f"{file}: {key}.identity_mixup = true with source {variant.source!r}; allowed: audit")
    if variant.fewer == "skip":
        raise ValueError(f"{file}: {key}.fewer = 'skip' with identity_mixup, whose partners must stay; allowed: refuse")
    if variant.width not in generate.mixup.widths():  # of each identity some partners may lie beyond another width
        raise ValueError(
            f"{file}: {key}.width = {variant.width}: partners are drawn for {shown(generate.mixup.widths())}"
            " people; allowed with identity_mixup: one of generate.mixup.identities, which may be a list of widths"
        )
    if variant.depth > generate.mixup.images:
        most = generate.mixup.images
        raise ValueError(f"{file}: {key}.depth = {variant.depth}; allowed: at most generate.mixup.images = {most}")


def _check_taken(
    file: Path, key: str, role: str, source: str, width: int, depth: int, sets: dict[str, Sets], generate: Generate
) -> None:
    prefix = "" if role == "source" else "mix_"
    if source == "audit":
        people, images = generate.identities(), generate.images_of(width - 1)
    else:
        _check_source(file, key, role, source, sets)
        found = sets[source.removeprefix("sets/")]
        people, images = found.identities, found.images
    if width > people:
        raise ValueError(f"{file}: {key}.{prefix}width = {width}; allowed: at most the {people} identities of {source}")
    if not 1 <= depth <= images:
        raise ValueError(f"{file}: {key}.{prefix}depth = {depth}; allowed: 1 to {images}, what {source} has")


def _check_source(file: Path, key: str, role: str, source: str, sets: dict[str, Sets]) -> None:
    allowed = ["audit", *(f"sets/{name}" for name in sets)]
    if source not in allowed:
        raise ValueError(f"{file}: {key}.{role} = {source!r}; allowed: {', '.join(allowed)}")


def _leaves(node: Any) -> int:
    if isinstance(node, dict | list):
        return sum(_leaves(item) for item in (node.values() if isinstance(node, dict) else node))
    return 1


def find_external(file: Path) -> None:
    """Raise ValueError when something of the user's that a stage depends on is missing.

    DVC would say so, too, but only after it has removed the outputs of that stage.
    """
    values = params.read(file)
    judge, unrelated, networks = values["audit"]["judge"], values["audit"]["unrelated"], values["baselines"]["networks"]
    given = {f"sets.{name}.path": entry["path"] for name, entry in values["sets"].items()}
    for section, key in (
        ("world", "detector"),
        ("gallery", "path"),
        ("embed", "weights"),
        ("embed", "card"),
        ("generate", "weights"),
    ):
        given[f"{section}.{key}"] = values[section][key]
    named = {"audit.judge": judge, "generate.attributes.quality": values["generate"]["attributes"]["quality"]}
    for key, network in {**named, **{f"baselines.networks.{n}": x for n, x in networks.items()}}.items():
        given |= {f"{key}.{field}": network[field] for field in ("weights", "card")}
    given["audit.unrelated.path"] = unrelated["path"]
    for key, path in given.items():
        made = any(Path(path).is_relative_to(folder) for folder in (PRETRAINED, SETS))
        if not (made or os.path.exists(path)):  # a name too long for the disk is no file, either
            raise ValueError(f"{file}: {key} = {shown(path)}: no such file or folder; allowed: one that exists")
    for name, entry in values["sets"].items():
        try:
            layouts.check_set(entry["backend"], entry["path"])
        except ValueError as error:
            raise ValueError(f"{file}: sets.{name}.path = {shown(entry['path'])}: {error}") from error
    if not BENCHMARKS.is_dir():
        raise ValueError(f"{BENCHMARKS}: no such folder; allowed: a folder of benchmarks, empty where there are none")
    own = layouts.benchmarks(BENCHMARKS)
    for path in own.values():
        layouts.benchmark(path)
    params.load("report", Report, file).check_protocols(_protocols(own), file)


def _protocols(own: Iterable[str]) -> list[str]:
    """Return the protocols that `evaluate` will score: the embedded ones, and each benchmark raw and centred."""
    named = [f"{name}-external" if name in EMBEDDED else name for name in own]
    return [*EMBEDDED, *named, *(f"{name}-centred" for name in named)]


def main() -> str:
    """Run the stage."""
    count = validate(params.FILE)
    find_external(params.FILE)
    networks.check(params.FILE, params.read())
    artifacts.write_json("data/validate", {"valid": True})
    return f"validate: {count} parameters in order -> data/validate"


if __name__ == "__main__":
    stage.run(main)
