"""Plan, run and report a study, a set of experiments that answer one question: `python -m stages.tools.study NAME`.

python -m stages.tools.study                 list the studies
python -m stages.tools.study NAME --plan     show its experiments and what they will cost
python -m stages.tools.study NAME            run what is not finished, through DVC's queue, and write the report
python -m stages.tools.study NAME --tiny     the same at the smallest size, to see that it runs

Ctrl-C ends the running experiment; after a `kill -9` of this command alone it goes on. Started again, the command waits
for what runs, runs what failed or was stopped from its last finished stage, and leaves what is finished as it is. A
study is a file of stages/studies, and a new one needs no more; its experiments are like any others (`dvc exp show`).

reads   stages/studies/NAME.yaml, params.yaml; git and DVC
writes  reports/studies/NAME.md, figures/NAME.png beside it, and NAME.json with all numbers
"""

import contextlib
import os
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc_data.index import StorageError
from tqdm import tqdm

from stages.common import artifacts, params
from stages.common.errors import InputError
from stages.common.variants import Variants
from stages.reporting import page, results, study_figure
from stages.reporting import study as reporting
from stages.reporting.results import WILD
from stages.reporting.study import Arm, Found
from stages.tools import command, study_cost, study_plan
from stages.tools.revisions import Revision, resolve
from stages.tools.study_plan import Experiment, Plan
from stages.tools.study_queue import Queue, check_repository, finished

REPORTS = Path("reports/studies")
COLUMNS = 80  # of a terminal


def listing() -> str:
    """Return the studies with their questions."""
    return "\n".join(_filled(f"{name:13} {study_plan.load(name).question}", 14) for name in study_plan.names())


def _filled(text: str, indent: int = 0) -> str:
    return textwrap.fill(text, COLUMNS, subsequent_indent=" " * indent)


def planned(plan: Plan) -> str:
    """Return the experiments with their training sets and their estimated costs."""
    cores = len(os.sched_getaffinity(0))
    minutes = {name: seconds / 60 for name, seconds in study_cost.estimates(plan.experiments, cores).items()}
    lines = [_filled(plan.study.question), _filled(plan.study.size), ""]
    for e in plan.experiments:
        variants = e.values["variants"]
        seeds = len(e.values["train"]["runs"]["seeds"])
        sets = next(iter(variants)) if len(variants) == 1 else f"{len(variants)} training sets"
        lines.append(f"{e.name:40} {sets:17} {seeds} seeds {minutes[e.name]:6.1f} min")
    counts = f"{len(minutes)} experiments, {len(plan.arms())} training sets, {len(plan.questions())} contrasts"
    return "\n".join([*lines, "", _filled(f"{counts}; about {sum(minutes.values()):.0f} minutes on {cores} cores")])


def run(plan: Plan) -> dict[str, str]:
    """Run the experiments that are not finished; returns the commit of each by name.

    Raises InputError when some fail, with the reason of each; all others are finished by then.
    """
    queue = Queue([e.name for e in plan.experiments])
    done = {e.name: commit for e in plan.experiments if (commit := finished(e))}
    missing = [e for e in plan.experiments if e.name not in done]
    if not missing:
        return done
    try:
        fill(plan, queue, missing)
        for name in queue.wait():
            left = f"{len(queue.waiting)} of {len(plan.experiments)} wait"
            print(f"{time.strftime('%H:%M')} {name} runs, {left}", flush=True)
    except KeyboardInterrupt:
        queue.stop()
        raise InputError(plan.name, "interrupted; the same command goes on") from None
    done |= {e.name: commit for e in missing if (commit := finished(e))}
    if failed := [e.name for e in missing if e.name not in done]:
        reasons = [f"{name} failed: {queue.reason(name)} (`dvc queue logs {name}`)" for name in failed]
        raise InputError(plan.name, "; ".join(reasons))
    return done


def fill(plan: Plan, queue: Queue, missing: Sequence[Experiment]) -> None:
    """Queue what is missing and start a worker; what an earlier start left waiting, and not running, is queued anew."""
    if not queue.has_worker():
        queue.stop()
    for name in queue.failed:
        print(f"{name} did not finish: {queue.reason(name)}; it is tried again")
    write(plan, seconds=times(plan, queue))  # for the logs of what is removed are lost
    queue.remove([*queue.waiting, *queue.failed])
    running = queue.running
    for experiment in tqdm([e for e in missing if e.name not in running], "queue", ncols=80, file=sys.stdout):
        queue.put(experiment)
    queue.start()


def times(plan: Plan, queue: Queue) -> dict[str, dict[str, float]]:
    """Return the wall seconds of each experiment's stages, from the logs; what is in no log any more, as it was."""
    before = numbers(plan).get("seconds", {})
    return {e.name: before.get(e.name, {}) | study_cost.measured(queue.log(e.name)) for e in plan.experiments}


def numbers(plan: Plan) -> dict[str, Any]:
    """Return the numbers that an earlier run has written."""
    file = REPORTS / f"{plan.name}.json"
    return artifacts.read_mapping(file) if file.exists() else {}


def write(plan: Plan, **parts: Any) -> None:
    """Write numbers; the other parts stay."""
    artifacts.write_json(REPORTS / f"{plan.name}.json", {**numbers(plan), **parts})


def read(plan: Plan, commits: Mapping[str, str], seconds: Mapping[str, Mapping[str, float]]) -> list[Arm]:
    """Return what all arms scored; raises InputError where their pairs differ, or scores are lost."""
    revisions = {name: resolve(commit) for name, commit in commits.items()}
    arms, pairs = [], {}
    for label, (experiment, variant) in plan.arms().items():
        revision = revisions[experiment.name]
        pack, audit = (revision.json(f"reports/{name}.json") for name in ("pack", "audit"))
        scored = _scored(revision, experiment, variant, label)
        pairs[label] = {name: _pairs(revision, name) for name in scored.names(WILD)}
        spent = study_cost.spent(seconds[experiment.name], variant, scored.training)
        arms.append(Arm(label, scored, experiment.values, pack, audit, spent))
    for label, found in pairs.items():
        if found != pairs[arms[0].name]:
            raise InputError(label, f"other pairs than {arms[0].name}", allowed="experiments on the same benchmarks")
    return arms


def _scored(revision: Revision, experiment: Experiment, variant: str, label: str) -> results.Variant:
    """Return what a variant scored in an experiment, under the name of the arm."""
    report, scores = results.REPORTS / f"{variant}.json", results.SCORES / variant
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for path in (report, scores):
            path.parent.mkdir(parents=True)
            try:
                revision.files.get(f"/{path}", str(path), recursive=True)
            except (OSError, DvcException, StorageError) as error:
                allowed = f"what `dvc exp run -n {experiment.name}` made, in the DVC cache or a remote"
                raise InputError(f"{path} of {revision.name}", "lost", allowed=allowed) from error
        training = params.check(f"variants.{variant}", experiment.values["variants"][variant], Variants)
        loaded = results.load(variant, training)
    return results.Variant(**{**vars(loaded), "name": label})


def _pairs(revision: Revision, protocol: str) -> dict[str, str]:
    """Return the digest of each file of a protocol."""
    files: Any = revision.files.find(f"/data/benchmarks/{protocol}", detail=True)
    return {path: info["md5"] for path, info in files.items()}


def report(plan: Plan, commits: Mapping[str, str], command: str) -> str:
    """Write the page, its figure and its numbers; returns the closing line."""
    seconds = times(plan, Queue([e.name for e in plan.experiments]))
    arms, study = read(plan, commits, seconds), plan.study
    picture = REPORTS / "figures" / f"{plan.name}.png"
    confidence = plan.experiments[0].values["evaluate"]["confidence"]
    found = Found(
        question=study.question,
        size=study.size,
        x=study.x,
        published=[(row.what, row.value, row.source) for row in study.published],
        differences=study.differences,
        arms=arms,
        contrasts=results.contrasts([arm.variant for arm in arms], plan.questions(), confidence),
        confidence=confidence,
        seconds=seconds,
        commands=[f"dvc exp run -n {e.name} " + " ".join(f"-S '{o}'" for o in e.overrides()) for e in plan.experiments],
    )
    picture.parent.mkdir(parents=True, exist_ok=True)
    with artifacts.output_file(picture) as fresh:
        study_figure.figure(found, fresh)
    text = page.markdown(reporting.blocks(found, picture, command), f"Study: {plan.name}")
    with artifacts.output_file(REPORTS / f"{plan.name}.md") as fresh:
        fresh.write_text(text)
    write(plan, seconds=found.seconds, arms={arm.name: reporting.numbers(arm) for arm in arms})
    return f"study {plan.name}: {len(arms)} training sets, {len(found.contrasts)} contrasts -> {REPORTS}/{plan.name}.md"


def main(words: list[str]) -> str:
    """Return what the command line prints."""
    parser = command.parser("study", __doc__)
    parser.add_argument("name", nargs="?", help="of a study; without one they are listed")
    parser.add_argument("--plan", action="store_true", help="show what would run, and what it would cost")
    parser.add_argument("--tiny", action="store_true", help="at the smallest size, to see that it runs")
    args = parser.parse_args(words)
    if args.name is None:
        return listing()
    plan = study_plan.plan(args.name, args.tiny)
    if args.plan:
        return planned(plan)
    check_repository()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(planned(plan).rpartition("\n\n")[2], flush=True)
    return report(plan, run(plan), " ".join(["python -m stages.tools.study", *words]))


if __name__ == "__main__":
    command.run(main)
