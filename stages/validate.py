"""Refuse bad parameters before any output is touched; every other stage depends on this one.

reads   params.yaml, whole; which folders of the user's exist
writes  data/validate  a constant
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.common import artifacts, params, stage
from stages.common.errors import InputError, shown
from stages.common.evaluate import Evaluate
from stages.common.params import NONE, Network
from stages.common.variants import Variants
from stages.common.world import World
from stages.formats import layouts
from stages.settings.audit import Audit
from stages.settings.baselines import Baselines
from stages.settings.benchmarks import Benchmarks
from stages.settings.gallery import Gallery
from stages.settings.generate import Generate
from stages.settings.pack import Pack
from stages.settings.pretrain import Pretrain
from stages.settings.report import Report
from stages.settings.sets import Sets
from stages.training.settings import Head, Monitor, Train
from stages.validation import networks

SECTIONS = {
    "world": World, "pretrain": Pretrain, "gallery": Gallery, "embed": Network, "pack": Pack, "generate": Generate,
    "audit": Audit, "benchmarks": Benchmarks, "baselines": Baselines, "train": Train, "evaluate": Evaluate,
    "report": Report,
}  # fmt: skip
DICTS = {"sets": Sets, "variants": Variants}
DIFFERENTIABLE, WITH_GRADIENTS = ("embedded", "vec2face"), ("embedded", "iresnet")  # generators and recognisers
BENCHMARKS = Path("data/external/benchmarks")
EMBEDDED = ("lfw", "syn-lfw", "cfp-fp", "agedb", "calfw", "cplfw")  # protocols, here without torch
TAKEN = (*EMBEDDED, "ijb")  # a benchmark of the user's that is called so joins as NAME-external
PATHS = ("path", "network", "weights", "detector")  # keys of paths below data
MADE = (NONE, "pretrain", "sets")  # how those begin that a stage makes, or git holds
NETWORKS = ("external/weights", "pretrain")  # what `baselines` depends on


def validate(file: Path) -> int:
    """Check every section of a params.yaml by itself and against the others; returns the number of values.

    Raises InputError with one line that names file, key, value and what is allowed.
    """
    values = params.read(file)
    known = [*SECTIONS, *DICTS]
    for name in values:
        if name not in known:
            key = params.joined([name])
            raise InputError(file, f"not a known section; {params.nearest(name, known)}", key=key)
    sections: dict[str, Any] = {name: params.load(name, cls, file) for name, cls in SECTIONS.items()}
    dicts = {name: _entries(name, cls, values, file) for name, cls in DICTS.items()}
    _check_counts(file, **sections)
    _check_gradients(file, sections["generate"], sections["embed"])
    _check_options(file, sections["train"].head)
    _check_networks(file, variants=list(dicts["variants"]), **sections)
    _check_unrelated(file, sections["audit"], dicts["sets"])
    _check_monitor(file, sections["train"].monitor, dicts["sets"], dicts["variants"])
    sections["report"].check_variants(dicts["variants"], file)
    for name, variant in dicts["variants"].items():
        _check_variant(file, f"variants.{name}", variant, dicts["sets"], sections["generate"])
    return _leaves(values)


def _entries(section: str, cls: type, values: dict[str, Any], file: Path) -> dict[str, Any]:
    entries = values.get(section)
    if not isinstance(entries, dict) or not entries:
        raise InputError(file, key=section, value=entries, allowed="a mapping of names")
    for name in entries:
        params.check_name(section, name, file)
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
            raise InputError(file, "too many identities", key=key, value=value, allowed=f"at most {bound} = {most}")


def _check_networks(
    file: Path, variants: list[str], embed: Network, audit: Audit, baselines: Baselines, **_: Any
) -> None:
    taken: dict[str, str] = {}  # by folder: whose network it is
    for key, network in {"embed": embed, "audit.judge": audit.judge, "audit.witness": audit.witness.chosen()}.items():
        if network and network.network in taken:
            allowed = f"another network than {taken[network.network]}'s"
            raise InputError(file, key=f"{key}.network", value=network.network, allowed=allowed)
        if network:
            taken[network.network] = key
    for name, network in baselines.networks.items():
        key = f"baselines.networks.{name}"
        if name in ("pixels", "untrained", *variants):
            raise InputError(file, "a baseline or a variant has that name", key=key, allowed="another name")
        if network.network != NONE and not any(Path(network.network).is_relative_to(folder) for folder in NETWORKS):
            allowed = f"a folder below {' or '.join(NETWORKS)}"
            raise InputError(file, key=f"{key}.network", value=network.network, allowed=allowed)


def _check_unrelated(file: Path, audit: Audit, sets: dict[str, Sets]) -> None:
    path, people = audit.unrelated.path, audit.calibration_identities
    if audit.unrelated.backend == "embedded":
        return
    _check_source(file, "audit.unrelated.path", path, [f"sets/{name}" for name in sets])
    if people > (most := sets[path.removeprefix("sets/")].identities):
        allowed = f"at most {most}, those of {path}"
        raise InputError(file, key="audit.calibration_identities", value=people, allowed=allowed)


def _check_monitor(file: Path, monitor: Monitor, sets: dict[str, Sets], variants: dict[str, Variants]) -> None:
    """Refuse people who choose a training's end and are trained on, or are no set's: benchmarks never choose."""
    key, path, people = "train.monitor", monitor.path, monitor.identities
    if path == NONE:
        return
    _check_source(file, f"{key}.path", path, [f"sets/{name}" for name in sets])
    _check_sizes(file, key, path, {"identities": (people, _size(sets, path)[0])})
    for name, variant in variants.items():
        if path in (variant.source, variant.mix):
            raise InputError(
                file, f"variant {name} is trained on it", key=f"{key}.path", value=path, allowed="another set"
            )


def _check_gradients(file: Path, generate: Generate, embed: Network) -> None:
    if not generate.needs_gradients():
        return
    backends = [
        ("generate.backend", generate.backend, DIFFERENTIABLE),
        ("embed.recogniser", embed.recogniser, WITH_GRADIENTS),
        ("generate.quality.recogniser", generate.quality.recogniser, WITH_GRADIENTS),
    ]
    for key, backend, able in backends:
        if backend not in able:
            allowed = f"{', '.join(able)}, or generate.attributes.centres = false and generate.poses.identities = 0"
            raise InputError(file, "no gradients for AttrOP", key=key, value=backend, allowed=allowed)


def _check_options(file: Path, head: Head) -> None:
    if not head.options:
        return
    from stages.training import heads  # torch takes seconds, and only these options need it

    try:
        heads.check_options(head.name, head.options)
    except InputError as error:
        key = f"train.head.options.{error.key}"
        raise InputError(file, error.problem, key=key, value=error.value, allowed=error.allowed) from error


def _check_variant(file: Path, key: str, variant: Variants, sets: dict[str, Sets], generate: Generate) -> None:
    _check_source(file, f"{key}.source", variant.source, ["audit", *(f"sets/{name}" for name in sets)])
    if variant.source == "audit":
        people, images = generate.identities(), generate.images_of(variant.width - 1)
    else:
        people, images = _size(sets, variant.source)
    sizes = {"width": (variant.width, people), "depth": (variant.depth, images)}
    _check_sizes(file, key, variant.source, sizes)
    if variant.mix != NONE:
        _check_source(file, f"{key}.mix", variant.mix, [f"sets/{name}" for name in sets])
        people, images = _size(sets, variant.mix)
        sizes = {"mixed": (variant.mixed, people), "mix_depth": (variant.depth_of_mix, images)}
        _check_sizes(file, key, variant.mix, sizes)
    if variant.mixup:
        _check_mixed(file, key, variant, generate)


def _size(sets: dict[str, Sets], source: str) -> tuple[int, int]:
    entry = sets[source.removeprefix("sets/")]
    return entry.identities, entry.images


def _check_mixed(file: Path, key: str, variant: Variants, generate: Generate) -> None:
    if variant.source != "audit":
        raise InputError(file, "mixup", key=f"{key}.source", value=variant.source, allowed="audit")
    if variant.fewer == "skip":
        problem = "mixup, whose partners must stay"
        raise InputError(file, problem, key=f"{key}.fewer", value="skip", allowed="refuse")
    widths = generate.mixup.widths()
    if variant.width not in widths:  # of each identity some partners may lie beyond another width
        problem, allowed = (
            f"mixup, of which there are {shown(widths)} people",
            "one of generate.mixup.identities",
        )
        raise InputError(file, problem, key=f"{key}.width", value=variant.width, allowed=allowed)
    if variant.depth > (most := generate.mixup.images):
        allowed = f"at most generate.mixup.images = {most}"
        raise InputError(file, key=f"{key}.depth", value=variant.depth, allowed=allowed)


def _check_sizes(file: Path, key: str, source: str, sizes: dict[str, tuple[int, int]]) -> None:
    """Refuse more people, or images of each, than the source has; sizes: by key, the variant's and the source's."""
    for name, (size, most) in sizes.items():
        if not 1 <= size <= most:
            raise InputError(file, key=f"{key}.{name}", value=size, allowed=f"1 to {most}, what {source} has")


def _check_source(file: Path, key: str, source: str, known: list[str]) -> None:
    if source not in known:
        raise InputError(file, key=key, value=source, allowed=", ".join(known))


def _leaves(node: Any) -> int:
    if isinstance(node, dict | list):
        return sum(_leaves(item) for item in (node.values() if isinstance(node, dict) else node))
    return 1


def find_external(file: Path) -> None:
    """Raise InputError when something of the user's that a stage depends on is missing.

    DVC would say so, too, but only after it has removed the outputs of that stage.
    """
    values = params.read(file)
    for key, path in _paths(values):
        there = path.split("/")[0] in MADE or os.path.exists(params.below_data(path))  # False of too long a name, too
        if not there:
            raise InputError(file, "no such file or folder below data", key=key, value=path, allowed="one that exists")
    for name, entry in values["sets"].items():
        try:
            layouts.check_set(entry["backend"], params.below_data(entry["path"]))
        except ValueError as error:
            raise InputError(file, str(error), key=f"sets.{name}.path", value=entry["path"]) from error
    if not BENCHMARKS.is_dir():
        raise InputError(BENCHMARKS, "no such folder", allowed="a folder of benchmarks, empty where there are none")
    own = layouts.benchmarks(BENCHMARKS)
    for path in own.values():
        layouts.benchmark(path)
    ours = values["evaluate"]["convention"] == "ours"
    params.load("report", Report, file).check_protocols(_protocols(own, ours), file)


def _paths(node: dict[str, Any], key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every path of params.yaml with its key."""
    for name, value in node.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{key}{name}.")
        elif name in PATHS:
            yield f"{key}{name}", value


def _protocols(own: Mapping[str, Path], ours: bool) -> list[str]:
    """Return the protocols of pairs that `evaluate` will score: embedded ones, each benchmark raw, by ours centred."""
    pairs = [name for name, path in own.items() if layouts.benchmark(path) not in layouts.TEMPLATES]
    named = [f"{name}-external" if name in TAKEN else name for name in pairs]
    return [*EMBEDDED, *named, *(f"{name}-centred" for name in named if ours)]


def main() -> str:
    """Run the stage."""
    count = validate(params.FILE)
    find_external(params.FILE)
    networks.check(params.FILE, params.read())
    artifacts.write_json("data/validate", {"valid": True})
    return f"validate: {count} parameters in order -> data/validate"


if __name__ == "__main__":
    stage.run(main)
