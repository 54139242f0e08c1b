"""Faces of the training sets, and at the poses asked for."""

from stages.common import params
from stages.common.images import Shards
from stages.common.variants import Variants
from stages.reporting import faces, figures, tables
from stages.reporting.blocks import Block, Figures, Heading, Picture, Text
from stages.reporting.prose import say
from stages.reporting.sections.inputs import DATA, Inputs
from stages.settings.generate import Generate


def sheet(inputs: Inputs) -> list[Block]:
    """Show faces of every training set."""
    pictures, size = [], inputs.cfg.figures.sheet
    for v in inputs.variants:
        table = faces.manifest(DATA / "variants" / v.name / "manifest.arrow")
        rows = faces.rows(table, DATA, size.identities, size.images, v.training.augment)
        file = inputs.folder / f"faces-{v.name}.jpg"
        about = _size(v.training)
        alt = say("alt faces", name=v.name, about=about, images=size.images)
        pictures.append(Picture(figures.sheet(rows, v.name, about, file), _remark(v.training), alt))
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
    alt = say("alt poses", about=about)
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
    return [Heading("Designated poses"), Text(text), Figures([Picture(file, alt=alt)], photos=True)]
