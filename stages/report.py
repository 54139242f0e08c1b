"""Compare the training sets in tables and figures, on one page.

reads   params.yaml; reports/pack.json, audit.json, baselines.json, evaluate/NAME.json; data/embed x_ref,
        data/pack x_id, course and front, data/generate, data/sets/wild, data/audit, data/judged,
        data/variants/NAME, embed's network, data/evaluate/NAME: PROTOCOL.arrow and replicates.arrow
writes  reports/report.md, reports/index.html, reports/results.csv, reports/metrics.json, reports/figures/,
        reports/tables/NAME.tex
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from stages.common import artifacts, params, stage
from stages.common.evaluate import Evaluate
from stages.common.variants import Variants
from stages.reporting import figures, frame, latex, page, results, scores
from stages.reporting.results import TWIN, WILD
from stages.reporting.sections import (
    accuracy,
    audit,
    capacity,
    differences,
    domains,
    opening,
    packing,
    parameters,
    pictures,
    templates,
)
from stages.reporting.sections.inputs import Inputs
from stages.settings.report import Report

REPORTS = Path("reports")
TITLE = "Facesphere: synthetic training sets compared"
SCORED = {  # protocol, metric and column of what metrics.json holds of a variant
    "wild_accuracy": (WILD, "accuracy", "value"),
    "wild_accuracy_low": (WILD, "accuracy", "low"),
    "wild_accuracy_high": (WILD, "accuracy", "high"),
    "wild_tar_at_far_0.01": (WILD, "tar_at_far_0.01", "value"),
    "syn_lfw_accuracy": (TWIN[1], "accuracy", "value"),
}
SECTIONS = (
    differences.differences,
    accuracy.accuracies,
    differences.gap,
    accuracy.curves,
    templates.templates,
    templates.groups,
    accuracy.external,
    pictures.sheet,
    domains.embedding_map,
    capacity.capacities,
    packing.packing,
    pictures.poses,
    audit.audit,
    parameters.parameters,
)


def read(folder: Path) -> Inputs:
    """Return what the stages measured, for figures in `folder`; raises ValueError when a file is missing or broken."""
    values = params.read()
    names = list(values.get("variants") or {})
    variants = [results.load(name, params.load(f"variants.{name}", Variants)) for name in names]
    results.check(variants)
    cfg = params.load("report", Report)
    cfg.check_variants(names, params.FILE)
    cfg.check_protocols(variants[0].protocols, params.FILE)
    evaluate = params.load("evaluate", Evaluate)
    baselines = frame.baselines(artifacts.read_mapping(REPORTS / "baselines.json"))
    return Inputs(
        variants=variants,
        contrasts=results.contrasts(variants, cfg.contrasts.values(), evaluate.confidence),
        pack=artifacts.read_mapping(REPORTS / "pack.json"),
        audit=artifacts.read_mapping(REPORTS / "audit.json"),
        measured=frame.of({v.name: v.scored for v in variants} | baselines),
        smallest=scores.smallest(variants, evaluate.confidence),
        values=values,
        cfg=cfg,
        colours=figures.palette(names),
        folder=folder,
    )


def metrics(inputs: Inputs) -> dict[str, Any]:
    """Return the few numbers that `dvc metrics diff` compares."""
    packed, audit = inputs.audit["fidelity"]["packed"], inputs.audit
    return {
        **{v.name: _scored(inputs.measured, v.name) for v in inputs.variants},
        "would_show": {
            name: inputs.smallest[protocol, metric]
            for name, (protocol, metric, column) in SCORED.items()
            if column == "value" and (protocol, metric) in inputs.smallest
        },
        "pack": {key: inputs.pack[key] for key in ("objective", "separation", "gallery_term")},
        "audit": {
            "fidelity": packed["recogniser"]["image"]["value"],
            "judge_top1": packed["judge"]["top1"]["value"],
            "judge_spread": audit["spread"]["judge"]["value"],
            "leakage": audit["leakage"]["rate"]["value"],
            "capacity": audit["capacity"]["packed"]["identities"]["value"],
        },
    }


def _scored(measured: pd.DataFrame, variant: str) -> dict[str, float]:
    return {
        name: float(measured.at[(variant, *key), column])
        for name, (*key, column) in SCORED.items()
        if (variant, *key) in measured.index
    }


def main() -> str:
    """Run the stage."""
    with artifacts.output_folder(REPORTS / "figures") as folder:
        inputs = read(folder)
        bar = tqdm(SECTIONS, "report", mininterval=1, ncols=80, file=sys.stdout)
        blocks = opening.opened(inputs, [block for section in bar for block in section(inputs)])
        texts = {"index.html": page.html(blocks, TITLE), "report.md": page.markdown(blocks, TITLE)}
    with artifacts.output_folder(REPORTS / "tables") as folder:
        for name, text in latex.tables(blocks).items():
            (folder / f"{name}.tex").write_text(text)
    frame.write(inputs.measured)
    artifacts.write_json(REPORTS / "metrics.json", metrics(inputs))
    for name, text in texts.items():
        with artifacts.output_file(REPORTS / name) as fresh:
            fresh.write_text(text)
    return f"report: {len(inputs.variants)} training sets compared -> {REPORTS}/index.html"


if __name__ == "__main__":
    stage.run(main)
