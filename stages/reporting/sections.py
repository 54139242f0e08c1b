"""The report's sections, in the order in which they are read; each returns blocks for `page`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from stages.common import artifacts, params, recognisers, sphere
from stages.common.images import Shards
from stages.metrics import bootstrap
from stages.reporting import faces, figures, results, spread, tables
from stages.reporting.page import Block, Facts, Figures, Folded, Heading, Text, Verbatim
from stages.reporting.results import FAR_GRID, Contrast, Variant
from stages.reporting.tables import Cell
from stages.settings.embed import Embed
from stages.settings.generate import Generate
from stages.settings.pack import Pack
from stages.settings.report import WILD, Report
from stages.settings.variants import Variants

DATA = Path("data")
SEPARATION = {"closest": "cosine of the closest pair", "mean": "mean cosine to the nearest row"}


@dataclass(frozen=True)
class Inputs:
    """What every section of the report may draw on."""

    variants: list[Variant]
    contrasts: list[Contrast]
    pack: dict[str, Any]
    audit: dict[str, Any]
    baselines: dict[str, Any]  # by name, then by protocol
    values: dict[str, Any]  # of params.yaml
    shown: Report
    colours: dict[str, str]
    folder: Path  # of the figures


def _what_is_rendered(found: Inputs) -> str:
    """Say what of this page is rendered, and so no evidence about photographs."""
    sources = [found.values["generate"], *found.values["sets"].values()]
    if all(source["backend"] == "embedded" for source in sources):
        return (
            "Every face here is rendered by code, in two domains: studio, which the generator draws, and wild, which "
            "stands for photographs and is rendered too. What is shown says nothing about photographs of real people."
        )
    return (
        "The wild protocols and Syn-LFW are rendered by code, whatever the training sets are: what is scored on them "
        "says nothing about photographs of real people."
    )


def opening(found: Inputs) -> list[Block]:
    """Say what this is, and the few numbers that matter most."""
    level = f"{100 * found.values['evaluate']['confidence']:g} %"
    about = (
        f"{_what_is_rendered(found)} Ranges are {level} bootstrap intervals: of accuracies over people and "
        "training seeds, of the audit over identities (always 95 %)."
    )
    items = _facts(found)
    return [Text(about, key=True), *([Facts(items)] if items else [])]


def _facts(found: Inputs) -> list[tuple[str, Cell]]:
    """Return the accuracies of the variants whose gap is asked for, that gap, and what domain mixup gains."""
    facts = {
        f"mean of the wild protocols, trained on {v.name}, %": tables.number(v.wild_mean["accuracy"])
        for v in found.variants
        if v.name in found.shown.gap()
    }
    training = {v.name: v.training for v in found.variants}
    for asked, c in zip(found.shown.contrasts.values(), found.contrasts, strict=True):
        of, against = training[asked.of], training[asked.against]
        if asked.on != WILD:
            continue
        if asked.minus:
            label = f"points by which the gap is wider on wild than on {results.title(asked.minus)}"
            facts.setdefault(label, tables.difference(c, 1))
        elif of.mix_width and not against.mix_width and of.source == against.source:
            facts.setdefault("points gained on wild by domain mixup", tables.difference(c, 1))
    return list(facts.items())


def accuracies(found: Inputs) -> list[Block]:
    """Show results with intervals per variant, and the widths and depths."""
    v, colours = found.variants, found.colours
    scored = {"wild": ("Mean of the wild protocols", {x.name: x.wild_mean["accuracy"] for x in v})}
    for p in v[0].names("studio"):
        scored[p] = (f"{results.title(p)} (studio)", {x.name: x.protocols[p]["accuracy"] for x in v})
    drawn = [
        (figures.accuracy(entries, colours, name, found.folder / f"accuracy-{key}.png"), "")
        for key, (name, entries) in scored.items()
    ]
    more = []
    for name, scale in ((n, 1 if n == "d_prime" else 100) for n in v[0].wild_mean if n != "accuracy"):
        more += [Text(_metric(name)), tables.results(v, colours, name, scale)]
    return [
        Heading("Results"),
        Text(
            "Read along a row how one training set does on each protocol: ten-fold verification accuracy in percent on "
            "unseen people, its interval in grey. Bold appears only from five seeds on, where an interval lies above "
            "all others of its column."
        ),
        tables.results(v, colours, "accuracy"),
        Figures(drawn),
        Text(
            "Dot: mean over seeds; bar: its interval; ticks: single seeds. Two bars that overlap may still differ: the "
            "paired differences below decide."
        ),
        Folded("True accept rates, area under the curve, d′", more),
        Heading("Width and depth"),
        Text("Compare rows with equal image counts: more people (width) or more images of each (depth)."),
        tables.width_depth(v, colours),
    ]


def _metric(name: str) -> str:
    if name.startswith("tar_at_far_"):
        return f"True accept rate at a false accept rate of {name.removeprefix('tar_at_far_')}, percent."
    return {"auc": "Area under the ROC curve, percent.", "d_prime": "d′, standard deviations."}.get(name, name)


def gap(found: Inputs) -> list[Block]:
    """Show the synthetic-to-real gap as SynFace prints it, then the phenomena with paired intervals."""
    blocks: list[Block] = [Heading("Synthetic-to-real gap")]
    table = tables.gap([v for v in found.variants if v.name in found.shown.gap()], found.colours)
    if table.rows:
        blocks += [
            Text(
                "Read down a column: how much is lost by training on the other domain. SynFace's table, with wild in "
                "the place of photographs. Both protocols show the same people in the same pairs."
            ),
            table,
        ]
    if found.contrasts:
        drawn = figures.phenomena(found.contrasts, found.folder / "phenomena.png")
        caption = (
            f"From {bootstrap.SEEDS_FOR_A_VERDICT} training seeds on, filled: the interval excludes 0; blue: with the "
            "expected sign, orange: against it. Grey: none or unclear."
        )
        blocks += [
            Text(results.statement(found.contrasts), key=True),
            Figures([(drawn, caption)], wide=True),
            Text(
                "Each difference is taken on the same pairs and the same draws of people, so its interval is narrower "
                "than two intervals side by side suggest. The column expected has the sign that SynFace suggests."
            ),
            tables.phenomena(found.contrasts),
        ]
    return blocks


def sheet(found: Inputs) -> list[Block]:
    """Show faces of every training set."""
    drawn = []
    for v in found.variants:
        table = faces.manifest(DATA / "variants" / v.name / "manifest.arrow")
        rows = faces.rows(table, DATA, found.shown.sheet_identities, found.shown.sheet_images, v.training.augment)
        file = found.folder / f"faces-{v.name}.jpg"
        drawn.append((figures.sheet(rows, v.name, _size(v.training), file), _remark(v.training)))
    how = (
        "Each row is one person of the training set; what varies along it is all that a recogniser can learn to ignore."
    )
    return [Heading("Faces"), Text(how), Figures(drawn, photos=True)]


def poses(found: Inputs) -> list[Block]:
    """Show identities at designated poses, drawn by AttrOP."""
    said = found.audit.get("attributes", {}).get("poses", {})
    if not said.get("drawn"):
        return []
    asked = params.load("generate", Generate).poses
    rows = faces.grid(Shards(DATA / "generate", "poses-*.arrow"), len(asked.yaw_deg))
    about = f"yaw {', '.join(f'{angle:g}' for angle in asked.yaw_deg)}°; pitch {asked.pitch_deg:g}°"
    drawn = figures.sheet(rows, "poses", about, found.folder / "poses.jpg")
    yaw, pitch, cosine = (said[name] for name in ("yaw_error_deg", "pitch_error_deg", "cosine"))
    how = (
        "Each row is one packed identity, moved by gradient descent (AttrOP) until the recogniser sees it and the pose "
        f"network the pose asked for. {said['drawn']} of {said['asked']} arrived; one that does not is left out. "
        f"As written, their yaw is {yaw['mean']:.1f} degrees from what was asked (at most {yaw['max']:.1f}), "
        f"their pitch {pitch['mean']:.1f} (at most {pitch['max']:.1f}), by the network that also guided them. "
        f"Their cosine to the row is {cosine['recogniser']:.2f}; by the judge, who had no part in it, that to the "
        f"identity's other images is {cosine['judge']:.2f}."
    )
    return [Heading("Designated poses"), Text(how), Figures([(drawn, "")], photos=True)]


def _size(t: Variants) -> str:
    main = f"{t.width} people × {t.depth} images, {tables.domain_of(t.source)}"
    return f"{main}; {t.mix_width} × {t.mix_depth}, {tables.domain_of(t.mix)}" if t.mix_width else main


def _remark(t: Variants) -> str:
    if t.identity_mixup:
        return "Every image mixes its person with another, in a ratio of its own."
    if t.mix_width:
        return f"The last row is mixed in from {tables.domain_of(t.mix)}."
    return "With the blur and the illumination that training adds." if t.augment else ""


def identities(found: Inputs) -> list[Block]:
    """Show cosines before and after rendering and the angles of the packing."""
    x_id, x_ref = artifacts.read_rows(DATA / "pack", "x_id")[0], artifacts.read_rows(DATA / "embed", "x_ref")[0]
    cfg = params.load("pack", Pack)
    some = np.random.default_rng(cfg.seed).permutation(len(x_ref))[: len(x_id)]
    angles_deg = {
        f"gallery, {len(x_ref):,} rows": _nearest_deg(x_ref),
        f"random of it, {len(some):,} rows": _nearest_deg(x_ref[some]),
        f"packed, {len(x_id):,} rows": _nearest_deg(x_id),
    }
    asked = artifacts.read_array(DATA / "generate" / "perturbation_cosine.npy")
    panels = [("asked for", asked, spread.impostor_cosines(x_id))]
    shown = Shards(DATA / "generate", "plain-*.arrow").column("identity")
    for name, label in (("recogniser", "rendered, recogniser"), ("judge", "rendered, judge")):
        x = artifacts.read_array(DATA / "audit" / f"{name}.npy")
        if len(x) != len(shown):
            raise ValueError(
                f"data/audit/{name}.npy: {len(x)} rows; allowed: {len(shown)}, the images of data/generate"
            )
        panels.append((label, *spread.centre_cosines(sphere.unit_rows(x), shown)))
    how = (
        "The further apart blue (genuine) and grey (impostor) lie, the better identities can be told apart; what the "
        "generator loses shows between the first panel and the second, and the judge had no part in the making."
    )
    pairs = (
        "First panel: perturbed rows to their identity, and packed rows to each other. Below: images to the centre of "
        "their person's other images, and centres to each other. Heights are scaled to 1."
    )
    near = (
        "Angle to the nearest other row; dashed: the median. Packed by the method "
        f"{found.pack['method']}, beside as many random rows of the gallery."
    )
    drawn = [
        (figures.cosines(panels, found.folder / "cosines.png"), pairs),
        (figures.nearest(angles_deg, found.folder / "nearest.png"), near),
    ]
    return [
        Heading("Identities before and after rendering"),
        Text(how),
        Figures(drawn),
        Text(_to_the_bound(found.pack, cfg)),
        Figures([*_course(found, cfg), _front(found, cfg)]),
        Folded("Figures of the packing", [tables.tree(found.pack)]),
    ]


def _course(found: Inputs, cfg: Pack) -> list[tuple[Path, str]]:
    """Draw how J fell, where the method has iterations."""
    points = np.reshape(artifacts.read_json(DATA / "pack" / "course.json"), (-1, 2))
    if len(points) < 2:
        return []
    iterations, objective = points.T
    gain = max(objective[:-1].min() - objective[-1], 0)
    caption = (
        f"J, the {SEPARATION[cfg.separation]} plus {cfg.alpha:g} times the mean distance to the gallery, wherever it "
        f"was computed: from {objective[0]:.3f} at the start to {objective.min():.4f}, in {iterations[-1]:.0f} of at "
        f"most {cfg.iterations} iterations; the last {iterations[-1] - iterations[-2]:.0f} lowered it by {gain:.5f}."
    )
    return [(figures.course(iterations, objective, found.folder / "course.png"), caption)]


def _front(found: Inputs, cfg: Pack) -> tuple[Path, str]:
    """Draw what alpha trades on the run's gallery, and where the run lies."""
    front = artifacts.read_mapping(DATA / "pack" / "front.json", "identities", "gallery", "points")
    ends = {
        _alpha(point["alpha"]): np.array([point["gallery_term"], point[cfg.separation]]) for point in front["points"]
    }
    m, few, pack = found.pack["identities"], front["identities"], found.pack
    name = _alpha(cfg.alpha) if cfg.method == "hyperface" and m == few else "this run"
    room = f", in the run's proportion and with more room than its {m:,}" if m > few else ""
    bound = pack["bound"] if cfg.separation == "closest" else None  # no other is proven
    gap = "" if bound is None else f"; dotted: its {pack['gap_deg']:.2f}° to the bound"
    caption = (
        f"Less is better on both axes. Numbers: alpha, of short packings of {few:,} identities beside "
        f"{front['gallery']:,} gallery rows{room}. Orange: this run, by the method {cfg.method}{gap}."
    )
    run = figures.Run(name, np.array([pack["gallery_term"], pack["separation"]]), bound)
    return figures.front(ends, run, SEPARATION[cfg.separation], found.folder / "front.png"), caption


def _alpha(value: float) -> str:
    return f"{value:g}".removeprefix("0") or "0"


def _to_the_bound(pack: dict[str, Any], cfg: Pack) -> str:
    """Say how far the closest pair stays behind what any arrangement could reach."""
    closest = pack["nearest_deg"]["min"]
    return (
        f"The closest two of the {pack['identities']:,} packed rows are {closest:.2f}° apart, {pack['gap_deg']:.2f}° "
        f"less than the {closest + pack['gap_deg']:.2f}° that no such number of rows in {pack['embedding_size']} "
        "dimensions can exceed (Rankin's and Levenshtein's bounds, which know of no gallery; "
        f"alpha = {cfg.alpha:g} holds the rows near one). {100 * pack['crowded']:.1f} % of them have a neighbour above "
        f"a cosine of {cfg.crowded_cosine:g}."
    )


def _nearest_deg(x: np.ndarray) -> np.ndarray:
    return sphere.angle_deg(sphere.nearest(x)[1])


def curves(found: Inputs) -> list[Block]:
    """Show ROC curves on the mean of the wild protocols and on the studio ones."""
    first, drawn = found.variants[0], []
    groups = {"Mean of the wild protocols": first.names(WILD)}
    groups |= {f"{results.title(p)} (studio)": [p] for p in first.names("studio")}
    for name, protocols in groups.items():
        rates = {
            v.name: results.mean_roc([DATA / "evaluate" / v.name / f"{p}.arrow" for p in protocols])
            for v in found.variants
        }
        file = found.folder / ("roc-wild.png" if name.startswith("Mean") else f"roc-{protocols[0]}.png")
        caption = f"Mean over seeds{' and protocols' * (len(protocols) > 1)}, at equal false accept rate."
        drawn.append((figures.roc(rates, found.colours, name, file), caption))
    how = (
        f"Higher is better; the left end, a false accept rate of {FAR_GRID[0]:g}, is where recognition systems work "
        "and where a few pairs decide."
    )
    return [Heading("ROC curves"), Text(how), Figures(drawn)]


def embedding_map(found: Inputs) -> list[Block]:
    """Show where images of a few people of each domain lie, by the recogniser that embedded the gallery."""
    shards = {"studio": Shards(DATA / "generate", "plain-*.arrow")}
    if params.load("generate", Generate).mixup.widths():
        shards["identity mixup"] = Shards(DATA / "generate", "mixup-*.arrow")
    if "wild" in found.values.get("sets", {}):
        shards["wild"] = Shards(DATA / "sets" / "wild")
    network = params.load("embed", Embed)
    recogniser = recognisers.load(network.recogniser, network.weights, network.card)
    domains = spread.embed_map(shards, recogniser, found.shown.map_identities, found.shown.map_images)
    file = figures.embedding_map(domains, found.folder / "map.png")
    said = ", ".join(f"{name} {shown.distance:.2f} ({shown.people} people)" for name, shown in domains.items())
    how = (
        "A wide star is a person whose images differ as much as photographs would; SynFace's point is that synthetic "
        f"people are too narrow and that mixup widens them. Mean within-identity cosine distance: {said}."
    )
    caption = (
        "Multidimensional scaling of cosine distances, all domains on one plane. A shape is a person (others in each "
        "domain, but for mixup, which has those of studio), a point an image, tied to the middle of its person."
    )
    return [Heading("Map of the embeddings"), Text(how), Figures([(file, caption)], wide=True)]


def capacities(found: Inputs) -> list[Block]:
    """Show how many identities fit before one is taken for another."""
    limit = found.audit["capacity"]
    kinds = [name for name, entry in limit.items() if isinstance(entry, dict)]
    curves = {name: artifacts.read_array(DATA / "audit" / f"confused-{name}.npy") for name in kinds}
    rate, allowed = limit["false_match_rate"], limit["confused"]
    how = (
        "The judge compares every image with one enrolled image of each of N identities. The threshold "
        f"(cosine {limit['threshold']:.2f}) accepts {100 * rate:g} % of pairs of unrelated people and "
        f"{100 * limit['true_match_rate']:.1f} % of genuine ones. An image is confused when it matches somebody else; "
        f"the capacity is the largest N at which at most {100 * allowed:g} % of images are. A number equal to those "
        "drawn is a lower bound."
    )
    drawn = figures.capacity(curves, rate, allowed, found.folder / "capacity.png")
    caption = "Band: 95 % interval over identities. Unrelated: people of the face world as they are sampled."
    d = limit["unrelated"]["caps"]["d"]
    room = (
        "Caps that fit: how many caps, each about an identity's centre and as wide as its spread "
        f"(which {100 * (1 - allowed):g} % of its images keep to), can lie on the sphere in {d} dimensions with no two "
        "images of different ones above the threshold: surely the first number, never more than the second (Razeghi, "
        "arXiv 2604.10641). That is geometry, of the worst case and of directions that no face may reach; the capacity "
        "counts confusions among faces, and neither bounds the other. No such caps exist (–) where the spread exceeds "
        "half the threshold's angle."
    )
    return [Heading("Identity capacity"), Text(how), tables.capacity(limit), Text(room), Figures([(drawn, caption)])]


def audit(found: Inputs) -> list[Block]:
    """Show what the second recogniser measured."""
    how = (
        "The judge is another network, trained on other people: fidelity and separation should hold in its eyes too, "
        "and leakage counts only as far as it exceeds the rate that unrelated people give."
    )
    shown = {name: entry for name, entry in found.audit.items() if name != "capacity"}  # has its own section
    return [Heading("Audit"), Text(how), tables.tree(shown)]


def external(found: Inputs) -> list[Block]:
    """Show the user's own sets, if there are any."""
    if not found.variants[0].names("external"):
        return []
    people = {name: found.variants[0].protocols[name]["identities"] for name in found.variants[0].names("external")}
    said = ", ".join(f"{name} {count}" for name, count in people.items())
    how = (
        "Accuracy in percent on your own sets, raw and, as NAME-centred, after subtracting the mean embedding of other "
        f"people; where the two differ, the domain is what separates. Few people mean wide intervals ({said} people): "
        "read them before the numbers. The first rows are what training has to beat."
    )
    return [Heading("Your own sets"), Text(how), tables.external(found.variants, found.colours, found.baselines)]


def parameters(found: Inputs) -> list[Block]:
    """Print the parameters that made the sets."""
    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump({key: found.values[key] for key in ("pack", "generate", "train")}, text)
    return [
        Heading("Parameters"),
        Text("What these numbers depend on; params.yaml has the rest, with units."),
        Folded("pack, generate, train", [Verbatim(text.getvalue())]),
    ]
