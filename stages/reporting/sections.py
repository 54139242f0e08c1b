"""The report's sections, in the order of the page; each returns blocks for `page`.

Their sentences are in prose.md, by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from stages.common import artifacts, catalogue, params, recognisers, sphere
from stages.common.errors import InputError
from stages.common.images import Shards
from stages.common.params import Network
from stages.common.streams import stream
from stages.common.variants import Variants
from stages.metrics import bootstrap
from stages.metrics.faces import Faces
from stages.metrics.verdicts import POWER
from stages.reporting import faces, figures, frame, results, spread, tables
from stages.reporting.page import Block, Facts, Figures, Folded, Heading, Text, Verbatim
from stages.reporting.prose import say
from stages.reporting.results import FAR_GRID, TWIN, Contrast, Variant
from stages.reporting.tables import Cell, Table
from stages.settings.generate import Generate
from stages.settings.pack import Pack
from stages.settings.report import WILD, Report

DATA = Path("data")
NEIGHBOURS = 8192  # rows at most whose nearest neighbours are looked for
SEPARATION = {"closest": "cosine of the closest pair", "mean": "mean cosine to the nearest row"}


@dataclass(frozen=True)
class Inputs:
    """All that the sections of the report show."""

    variants: list[Variant]
    contrasts: list[Contrast]
    pack: dict[str, Any]
    audit: dict[str, Any]
    measured: pd.DataFrame  # the table of results; see `frame`
    values: dict[str, Any]  # of params.yaml
    cfg: Report
    colours: dict[str, str]
    folder: Path  # of the figures


def opening(inputs: Inputs) -> list[Block]:
    """Say what the run is about, then the most important numbers: those of the packing, then accuracies."""
    sources = [inputs.values["generate"], *inputs.values["sets"].values()]
    rendered = "everything" if all(source["backend"] == "embedded" for source in sources) else "protocols"
    intervals = say("intervals", confidence=100 * inputs.values["evaluate"]["confidence"])
    accuracy = _accuracy_facts(inputs)
    return [
        Text(f"{say(f'rendered {rendered}')} {intervals}", key=True),
        _packing_facts(inputs),
        Text(_capacity_in_words(inputs.audit)),
        *([Facts(say("facts accuracy"), accuracy)] if accuracy else []),
    ]


def _capacity_in_words(audit: Mapping[str, Any]) -> str:
    """Say what it means that identities fit, and how many do in the eyes of a witness."""
    text = say("facts capacity", allowed=100 * audit["capacity"]["confused"])
    if "witness" not in audit:
        return text
    capacity = audit["witness"]["capacity"]
    fits = {kind: _in_words(_fitting(capacity[kind])) for kind in ("packed", "gallery", "gaussian")}
    return f"{text} {say('facts witness', recogniser=audit['witness']['recogniser'], **fits)}"


def _packing_facts(inputs: Inputs) -> Facts:
    """Return the gap to the bound, and how many packed identities fit, beside gallery and Gaussian rows."""
    pack, alpha = inputs.pack, inputs.values["pack"]["alpha"]
    title = "hyperface" if pack["method"] == "hyperface" else "other"  # the other methods have no alpha
    items = [(say("fact gap", **_bound(pack)), Cell(f"{pack['gap_deg']:.2f}°"))]
    for kind in ("packed", "gallery", "gaussian"):
        entry = inputs.audit["capacity"][kind]
        items.append((say(f"fact capacity {kind}", drawn=entry["drawn"]), _fitting(entry)))
    return Facts(say(f"facts packing {title}", method=pack["method"], alpha=alpha), items)


def _fitting(entry: Mapping[str, Any]) -> Cell:
    """Return how many identities fit: at least so many, where all that were drawn fit."""
    fits = tables.number(entry["identities"], scale=1, places=0)
    return Cell(f"≥ {fits.text}") if entry["identities"]["value"] == entry["drawn"] else fits


def _in_words(cell: Cell) -> str:
    return f"{cell.text} [{cell.interval}]" if cell.interval else cell.text


def _bound(pack: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values for the texts about the closest pair and the bound on it."""
    closest, gap = pack["nearest_deg"]["min"], pack["gap_deg"]
    return {
        "identities": pack["identities"],
        "d": pack["embedding_size"],
        "closest_deg": closest,
        "gap_deg": gap,
        "bound_deg": closest + gap,
    }


def _accuracy_facts(inputs: Inputs) -> list[tuple[str, Cell]]:
    """Return the accuracies of the variants between which there is a gap, the gap, and the gain by domain mixup."""
    facts = {
        say("fact accuracy", variant=v.name): tables.number(frame.entry(inputs.measured, v.name, WILD))
        for v in inputs.variants
        if v.name in inputs.cfg.gap()
    }
    training = {v.name: v.training for v in inputs.variants}
    for question, c in zip(inputs.cfg.contrasts.values(), inputs.contrasts, strict=True):
        of, against = training[question.of], training[question.against]
        if question.on != WILD:
            continue
        if question.minus:
            facts.setdefault(say("fact accuracy gap", protocol=results.title(question.minus)), tables.difference(c, 1))
        elif of.mixed and not against.mixed and of.source == against.source:
            facts.setdefault(say("fact domain mixup"), tables.difference(c, 1))
    return list(facts.items())


def packing(inputs: Inputs) -> list[Block]:
    """Show how far apart the packed rows lie, before and after rendering, and the front over alpha."""
    x_id, x_ref = artifacts.read_rows(DATA / "pack", "x_id")[0], artifacts.read_rows(DATA / "embed", "x_ref")[0]
    cfg = params.load("pack", Pack)
    held = cfg.method == "hyperface" and cfg.alpha > 0
    gallery = say(f"packing gallery {'held' if held else 'free'}", alpha=cfg.alpha)
    crowded = {"crowded": 100 * inputs.pack["crowded"], "crowded_cosine": cfg.crowded_cosine}
    pictures = [
        _nearest(inputs, cfg, x_id, x_ref),
        (figures.cosines(_cosines(x_id), inputs.folder / "cosines.png"), _caption("cosines", len(x_id), spread.MOST)),
        _front(inputs, cfg),
        *_course(inputs, cfg),
    ]
    return [
        Heading("Packing"),
        Text(say("packing bound", **_bound(inputs.pack), **crowded, gallery=gallery)),
        Figures(pictures),
        Folded("All figures of the packing", [tables.tree(inputs.pack)]),
    ]


def _nearest(inputs: Inputs, cfg: Pack, x_id: np.ndarray, x_ref: np.ndarray) -> tuple[Path, str]:
    """Draw the angles to the nearest neighbour: of gallery rows, of as many of them as are packed, of packed rows."""
    sample = stream("packing", cfg.seed).permutation(len(x_ref))[: len(x_id)]
    rows = {
        f"gallery, {len(x_ref):,} rows": x_ref,
        f"random of it, {len(sample):,} rows": x_ref[sample],
        f"packed, {len(x_id):,} rows": x_id,
    }
    angles_deg = {
        name: sphere.angle_deg(sphere.nearest_of(spread.spaced(np.arange(len(x)), NEIGHBOURS), x)[1])
        for name, x in rows.items()
    }
    caption = _caption("nearest", max(map(len, rows.values())), NEIGHBOURS, method=inputs.pack["method"])
    return figures.nearest(angles_deg, inputs.folder / "nearest.png"), caption


def _caption(figure: str, rows: int, most: int, **values: Any) -> str:
    """Return the text of a figure of the packing, and how many rows it shows where there are more."""
    some = f" {say(f'packing {figure} some', most=most)}" if rows > most else ""
    return say(f"packing {figure}", **values) + some


def _cosines(x_id: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (panel, genuine, impostor) cosines: of the rows asked for, then of the images by each network."""
    images = catalogue.audited().select(["embedding", "identity", "cosine"])
    plain = images.filter(images["embedding"].is_valid())
    row, identity = plain["embedding"].to_numpy(), np.empty(len(plain), np.int64)
    identity[row] = np.unique(plain["identity"].to_numpy(), return_inverse=True)[1]
    panels = [("asked for", plain["cosine"].to_numpy(), spread.impostor_cosines(x_id))]
    for name, label in (("recogniser", "rendered, recogniser"), ("judge", "rendered, judge")):
        x = artifacts.map_array(DATA / "audit" / f"{name}.npy")
        if len(x) != len(plain):
            allowed = f"{len(plain)}, as many as {catalogue.AUDITED} has"
            raise InputError(DATA / "audit" / f"{name}.npy", f"{len(x)} rows", allowed=allowed)
        panels.append((label, *spread.centre_cosines(Faces(x, identity))))
    return panels


def _course(inputs: Inputs, cfg: Pack) -> list[tuple[Path, str]]:
    """Draw how J fell; nothing where the method has no iterations."""
    points = np.reshape(artifacts.read_json(DATA / "pack" / "course.json"), (-1, 2))
    if len(points) < 2:
        return []
    iterations, objective = points.T
    caption = say(
        "packing course",
        separation=SEPARATION[cfg.separation],
        alpha=cfg.alpha,
        start=objective[0],
        least=objective.min(),
        iterations=int(iterations[-1]),
        allowed=cfg.iterations,
        step=int(iterations[-1] - iterations[-2]),
        gain=max(objective[:-1].min() - objective[-1], 0),
    )
    return [(figures.course(iterations, objective, inputs.folder / "course.png"), caption)]


def _front(inputs: Inputs, cfg: Pack) -> tuple[Path, str]:
    """Draw the front over alpha on the run's gallery, and where the run lies."""
    front = artifacts.read_mapping(DATA / "pack" / "front.json", "identities", "gallery", "points")
    ends = {
        _alpha(point["alpha"]): np.array([point["gallery_term"], point[cfg.separation]]) for point in front["points"]
    }
    pack, m, m_front = inputs.pack, inputs.pack["identities"], front["identities"]
    name = _alpha(cfg.alpha) if cfg.method == "hyperface" and m == m_front else "this run"
    bound = pack["bound"] if cfg.separation == "closest" else None  # there is none for the mean
    caption = say(
        "packing front",
        few=m_front,
        gallery=front["gallery"],
        room=say("packing front room", identities=m) if m > m_front else "",
        method=cfg.method,
        gap="" if bound is None else say("packing front gap", gap_deg=pack["gap_deg"]),
    )
    run = figures.Run(name, np.array([pack["gallery_term"], pack["separation"]]), bound)
    return figures.front(ends, run, SEPARATION[cfg.separation], inputs.folder / "front.png"), caption


def _alpha(value: float) -> str:
    return f"{value:g}".removeprefix("0") or "0"


def capacities(inputs: Inputs) -> list[Block]:
    """Show how many identities fit before one is taken for another."""
    report, witness = inputs.audit["capacity"], inputs.audit.get("witness")
    text = say(
        "capacity",
        threshold=report["threshold"],
        false_match=100 * report["false_match_rate"],
        true_match=100 * report["true_match_rate"],
        allowed=100 * report["confused"],
    )
    caps = say("capacity caps", d=report["unrelated"]["caps"]["d"], inside=100 * (1 - report["confused"]))
    pictures = [(_confused(report, "judge", inputs.folder / "capacity.png"), say("capacity curves"))]
    heading = [Heading("Identity capacity"), Text(text)]
    if witness is None:
        return [*heading, tables.capacity(report), Text(caps), Figures(pictures)]
    pictures.append((_confused(witness["capacity"], "witness", inputs.folder / "capacity-witness.png"), ""))
    table = tables.capacity(report, witness["capacity"])
    return [*heading, Text(witnessed(witness)), table, Text(caps), Figures(pictures)]


def _confused(report: Mapping[str, Any], by: str, file: Path) -> Path:
    """Draw the share of confused probes among more and more identities, by the judge or by the witness."""
    kinds = [name for name, entry in report.items() if isinstance(entry, dict)]
    prefix = "" if by == "judge" else f"{by}-"
    curves = {name: artifacts.read_array(DATA / "audit" / f"{prefix}confused-{name}.npy") for name in kinds}
    return figures.capacity(curves, report["false_match_rate"], report["confused"], file, by)


def witnessed(witness: Mapping[str, Any]) -> str:
    """Say who the witness is, and how well it tells people of this world."""
    capacity, usual = witness["capacity"], witness.get("usual_threshold")
    accepted = {"threshold": capacity["threshold"], "true_match": 100 * capacity["true_match_rate"]}
    text = say("witness", recogniser=witness["recogniser"], **accepted)
    if usual is None:
        return text
    return f"{text} {say('witness usual', distance=usual['distance'], taken=100 * usual['taken_for_one'])}"


def accuracies(inputs: Inputs) -> list[Block]:
    """Show the accuracy of every variant, then that of the unmixed ones by width and depth."""
    v, measured, colours = inputs.variants, inputs.measured, inputs.colours
    files = []
    for p in (WILD, *frame.names(measured, "studio")):
        name = "Mean of the wild protocols" if p == WILD else f"{results.title(p)} (studio)"
        scored, per_seed = frame.column(measured, colours, p), {x.name: x.accuracy(p).per_seed[:, 0] for x in v}
        files.append(figures.accuracy(scored, per_seed, colours, name, inputs.folder / f"accuracy-{p}.png"))
    others: list[Block] = []
    for name in (n for n in frame.level(measured, "metric") if n != "accuracy"):
        others += [Text(_metric(name)), tables.results(measured, colours, name, 1 if name in frame.UNITS else 100)]
    captions = [say("results figures"), *[""] * (len(files) - 1)]  # one caption for all of them
    shown = [*frame.names(measured, WILD), WILD, *frame.names(measured, "studio")]
    by_size = [TWIN[0], WILD, TWIN[1]]
    return [
        Heading("Results"),
        Text(say("results")),
        tables.add_smallest(tables.results(measured, colours, "accuracy"), _smallest(inputs, shown)),
        Figures(list(zip(files, captions, strict=True))),
        Folded("True accept rates, area under the curve, d′", others),
        Heading("Width and depth"),
        Text(say("width and depth")),
        tables.add_smallest(tables.width_depth(v, measured, colours), _smallest(inputs, by_size)),
    ]


def _smallest(inputs: Inputs, protocols: Sequence[str]) -> list[float | None]:
    """Return the difference in accuracy that would show on each protocol; None where there is nothing to compare."""
    confidence, known = inputs.values["evaluate"]["confidence"], [WILD, *inputs.variants[0].protocols]
    return [results.smallest(inputs.variants, p, confidence) if p in known else None for p in protocols]


def _metric(name: str) -> str:
    kind, _, far = name.partition("tar_at_far_")
    return say("metric tar_at_far", far=far) if far else say(f"metric {kind}")


def gap(inputs: Inputs) -> list[Block]:
    """Show the synthetic-to-real gap as SynFace prints it, then the phenomena with paired intervals."""
    blocks: list[Block] = [Heading("Synthetic-to-real gap")]
    variants = [v for v in inputs.variants if v.name in inputs.cfg.gap()]
    table = tables.gap(variants, inputs.measured, inputs.colours)
    if table.rows:
        blocks += [Text(say("gap")), tables.add_smallest(table, _smallest(inputs, TWIN))]
    if inputs.contrasts:
        file = figures.phenomena(inputs.contrasts, inputs.folder / "phenomena.png")
        kind = "verdicts" if any(c.decides for c in inputs.contrasts) else "intervals"
        caption = say(f"differences figure {kind}", enough=bootstrap.SEEDS_FOR_A_VERDICT)
        blocks += [
            Text(results.statement(inputs.contrasts), key=True),
            Figures([(file, caption)], wide=True),
            Text(differences(inputs.contrasts, inputs.values["evaluate"]["confidence"])),
            tables.phenomena(inputs.contrasts),
        ]
    return blocks


def differences(contrasts: Sequence[Contrast], confidence: float) -> str:
    """Say how the differences are taken, which is the primary one, and for how many comparisons the others pay."""
    primary = [f"{results.minus_sign(c.name)} on {results.title(c.protocol)}" for c in contrasts if c.primary]
    kind = f"{'one' if primary else 'no'} primary"
    family = say(f"differences {kind}", primary="".join(primary), others=len(contrasts) - len(primary))
    return say("differences", family=family, level=100 * (1 - confidence), power=100 * POWER)


def sheet(inputs: Inputs) -> list[Block]:
    """Show faces of every training set."""
    pictures, size = [], inputs.cfg.figures.sheet
    for v in inputs.variants:
        table = faces.manifest(DATA / "variants" / v.name / "manifest.arrow")
        rows = faces.rows(table, DATA, size.identities, size.images, v.training.augment)
        file = inputs.folder / f"faces-{v.name}.jpg"
        pictures.append((figures.sheet(rows, v.name, _size(v.training), file), _remark(v.training)))
    return [Heading("Faces"), Text(say("faces")), Figures(pictures, photos=True)]


def _size(t: Variants) -> str:
    main = f"{t.width} people × {t.depth} images, {tables.domain_of(t.source)}"
    return f"{main}; {t.mixed} × {t.depth_of_mix}, {tables.domain_of(t.mix)}" if t.mixed else main


def _remark(t: Variants) -> str:
    if t.mixup:
        return say("faces identity mixup")
    if t.mixed:
        return say("faces domain mixup", domain=tables.domain_of(t.mix))
    return say("faces augmented") if t.augment else ""


def poses(inputs: Inputs) -> list[Block]:
    """Show identities at the poses that AttrOP was asked to draw."""
    report = inputs.audit.get("attributes", {}).get("poses", {})
    if not report.get("drawn"):
        return []
    cfg = params.load("generate", Generate).poses
    rows = faces.grid(Shards(DATA / "generate", "poses-*.arrow"), len(cfg.yaw_deg), faces.POSE_PX)
    about = f"yaw {', '.join(f'{angle:g}' for angle in cfg.yaw_deg)}°; pitch {cfg.pitch_deg:g}°"
    file = figures.sheet(rows, "poses", about, inputs.folder / "poses.jpg")
    yaw, pitch, cosine = (report[name] for name in ("yaw_error_deg", "pitch_error_deg", "cosine"))
    text = say(
        "poses",
        drawn=report["drawn"],
        asked=report["asked"],
        missing=say("poses missing") if report["drawn"] < report["asked"] else "",
        yaw=yaw["mean"],
        yaw_most=yaw["max"],
        pitch=pitch["mean"],
        pitch_most=pitch["max"],
        **cosine,
    )
    return [Heading("Designated poses"), Text(text), Figures([(file, "")], photos=True)]


def curves(inputs: Inputs) -> list[Block]:
    """Show ROC curves on the mean of the wild protocols and on the studio ones."""
    of, pictures = inputs.variants[0], []
    groups = {"Mean of the wild protocols": of.names(WILD)}
    groups |= {f"{results.title(p)} (studio)": [p] for p in of.names("studio")}
    for name, protocols in groups.items():
        rates = {
            v.name: results.mean_roc([DATA / "evaluate" / v.name / f"{p}.arrow" for p in protocols])
            for v in inputs.variants
        }
        file = inputs.folder / ("roc-wild.png" if name.startswith("Mean") else f"roc-{protocols[0]}.png")
        caption = say(f"roc mean of {'protocols' if len(protocols) > 1 else 'seeds'}")
        pictures.append((figures.roc(rates, inputs.colours, name, file), caption))
    return [Heading("ROC curves"), Text(say("roc", least=FAR_GRID[0])), Figures(pictures)]


def embedding_map(inputs: Inputs) -> list[Block]:
    """Show how the images of a few people of each domain lie to each other, as the gallery's recogniser sees them."""
    shards = {"studio": Shards(DATA / "generate", "plain-*.arrow")}
    if params.load("generate", Generate).mixup.widths():
        shards["identity mixup"] = Shards(DATA / "generate", "mixup-*.arrow")
    if "wild" in inputs.values.get("sets", {}):
        shards["wild"] = Shards(DATA / "sets" / "wild")
    recogniser = recognisers.load(params.load("embed", Network))
    size = inputs.cfg.figures.map
    domains = spread.embed_map(shards, recogniser, size.identities, size.images)
    file = figures.embedding_map(domains, inputs.folder / "map.png")
    people = {name: images.people for name, images in domains.items()}
    text = widths({name: images.distance for name, images in domains.items()}, people)
    return [Heading("Map of the embeddings"), Text(text), Figures([(file, say("map figure"))], wide=True)]


def widths(distance: Mapping[str, Mapping[str, float]], people: Mapping[str, int]) -> str:
    """Say how far images of one person lie apart in each domain, and whether SynFace's findings hold here.

    distance: {value, low, high} by domain, studio first; the intervals decide.
    """
    verdicts, studio = [], distance["studio"]
    if "wild" in distance:
        side = {-1: "narrower", 0: "alike", 1: "wider"}[_side(studio, distance["wild"])]
        verdicts.append(say(f"map {side}"))
    if "identity mixup" in distance:
        wider = _side(distance["identity mixup"], studio) > 0
        verdicts.append(say(f"map mixup {'wider' if wider else 'not wider'}"))
    distances = [say("map distance", domain=name, **entry, people=people[name]) for name, entry in distance.items()]
    return say("map", verdict=" ".join(verdicts), distances=", ".join(distances))


def _side(a: Mapping[str, float], b: Mapping[str, float]) -> int:
    """Return 1 where the interval of a lies above that of b, -1 where it lies below, 0 where they overlap."""
    return int(a["low"] > b["high"]) - int(a["high"] < b["low"])


def audit(inputs: Inputs) -> list[Block]:
    """Show what the judge measured: a summary, and below it every figure, folded."""
    rest = {name: entry for name, entry in inputs.audit.items() if name != "capacity"}  # has its own section
    return [
        Heading("Audit"),
        Text(audited(inputs.audit)),
        audit_summary(inputs.audit),
        Folded("All figures of the audit", [tables.tree(rest)]),
    ]


def audited(audit: Mapping[str, Any]) -> str:
    """Say in words what the judge measured; the intervals decide whether more images leak than by chance."""
    rate, unrelated = audit["leakage"]["rate"], audit["leakage"]["unrelated_rate"]
    side = {-1: "less", 0: "alike", 1: "more"}[_side(rate, unrelated)]
    leakage = say(f"audit leakage {side}", rate=100 * rate["value"], unrelated=100 * unrelated["value"])
    pairs, kept, images = audit["near_duplicates"]["pairs"], audit["kept"], audit["images"]
    return say("audit", leakage=leakage, pairs=pairs, kept=kept, images=images)


def audit_summary(audit: Mapping[str, Any]) -> Table:
    """Return the main figures of the audit, of packed identities beside gallery rows or unrelated people."""
    packed, gallery = audit["fidelity"]["packed"], audit["fidelity"]["gallery"]
    leakage, dimension = audit["leakage"], audit["dimension"]
    by_judge = packed["judge"], gallery["judge"]
    rows = {
        "cosine to the row asked for (recogniser)": (
            packed["recogniser"]["image"],
            gallery["recogniser"]["image"],
            None,
        ),
        "cosine to the person's other images": (*(x["to_the_others"] for x in by_judge), None),
        "the right person comes first, %": (*(x["top1"] for x in by_judge), None),
        "cosine of two images of one person": (audit["spread"]["judge"], None, None),
        "cosine to the nearest other person": (audit["separation"]["judge"]["mean"], None, None),
        "taken for someone of the gallery, %": (leakage["rate"], None, leakage["unrelated_rate"]),
        "dimensions that the people fill": (dimension["packed"]["judge"], None, dimension["unrelated"]["judge"]),
        **_by_witness(audit),
    }
    table = Table(["", "packed", "gallery rows", "unrelated people"])
    for label, entries in rows.items():
        table.rows.append([Cell(label), *(_measure(entry, percent="%" in label) for entry in entries)])
    return table


def _by_witness(audit: Mapping[str, Any]) -> dict[str, tuple[Mapping[str, float], Mapping[str, float], None]]:
    """Return the row of the audit's summary that is the witness's: its cosines are on a scale of its own."""
    if "witness" not in audit:
        return {}
    packed, gallery = (audit["witness"]["fidelity"][kind]["top1"] for kind in ("packed", "gallery"))
    return {"the right person comes first (witness), %": (packed, gallery, None)}


def _measure(entry: Mapping[str, float] | float | None, percent: bool) -> Cell:
    if entry is None or isinstance(entry, Mapping):
        return tables.number(entry, scale=100 if percent else 1, places=1 if percent else 2)
    return Cell(results.digits(entry, 1 if entry > 1 else 2))


def external(inputs: Inputs) -> list[Block]:
    """Show the user's own sets, if there are any."""
    names = inputs.variants[0].names("external")
    if not names:
        return []
    people = ", ".join(f"{name} {inputs.variants[0].protocols[name]['identities']}" for name in names)
    table = tables.add_smallest(tables.external(inputs.measured, inputs.colours), _smallest(inputs, names))
    return [Heading("Your own sets"), Text(say("external", people=people)), table]


def parameters(inputs: Inputs) -> list[Block]:
    """Print the parameters that made the sets."""
    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump({key: inputs.values[key] for key in ("pack", "generate", "train")}, text)
    return [
        Heading("Parameters"),
        Text(say("parameters")),
        Folded("pack, generate, train", [Verbatim(text.getvalue())]),
    ]
