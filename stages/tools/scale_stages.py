"""Run a step of a pipeline whose networks cost next to nothing: what is left is what the stages themselves cost.

`Standin` paints an identity's row into the pixels of its faces, under the grain of a photograph, and the recognisers of
`standin`, one linear map each, read it again. All else is real: each stage reads what the one before it wrote, faces of
112 px, DEPTH of each identity, beside as many gallery faces as there are identities. They are packed by `gaussian`:
what the solver of `hyperface` costs is measured by `timing pack`.
"""

import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML
from threadpoolctl import threadpool_limits

from stages.common import artifacts, images, params, parents, pipeline, ranks, shards, sphere
from stages.common.params import Network
from stages.common.shards import Roster
from stages.common.world import World
from stages.formats import cvlface
from stages.tools import command

DEPTH, BATCH = 50, 64  # images an identity, as HSFace has them; of a batch
D, PX, CELL = 512, 112, 8  # of a row; of a face, and of the squares that the networks see
GRAINS, GRAIN = 64, 6  # different pictures of grain, and their standard deviation
CONTRAST = 1000  # grey values for a row's coordinate, so that they spread by 44 about the middle
COST = Path("cost.json")
IN_GALLERY, IN_NEITHER, IN_PAIRS = range(3)  # groups of people
PAIRED = 320_000  # images of a benchmark at most; IJB-C has 470,000
UNRELATED = (400, 4)  # people and images of each
ARCFACE, JUDGE = ({"recogniser": "onnx", "network": f"external/weights/{name}"} for name in ("arcface", "judge"))
GALLERY, UNKNOWN, REC, PAIRS = "external/sets/gallery", "sets/unrelated", "external/sets/rec", "external/pairs"


def directions(seed: int) -> np.ndarray:
    """Return orthonormal rows (d, cells): in which a row is painted into the cells of a face, and read from them."""
    cells = 3 * (PX // CELL) ** 2
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((cells, D)))[0].T


class Standin:
    """A generator whose conditions are rows (b, d), and whose faces show them."""

    domain, frame_px = "studio", images.FRAME_PX

    def __init__(self) -> None:
        """Draw the grain."""
        self._directions, rng = directions(0).astype(np.float32), np.random.default_rng(0)
        self._grain = rng.normal(127.5, GRAIN, (GRAINS, PX, PX, 3)).astype(np.float32)

    def condition(self, x_id: np.ndarray, norms: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return the rows."""
        return x_id

    def perturbed(self, condition: np.ndarray, x_id: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the perturbed rows."""
        return x

    def mixed(self, condition_a: np.ndarray, condition_b: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        """Return rows between two."""
        return ratio[:, None] * condition_a + (1 - ratio[:, None]) * condition_b

    def generate(self, condition: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return faces uint8 (b, 112, 112, 3) of rows (b, d)."""
        faces = np.empty((len(seeds), PX, PX, 3), np.uint8)
        for face, row, seed in zip(faces, condition, seeds, strict=True):
            cells = (CONTRAST * row @ self._directions).reshape(3, PX // CELL, PX // CELL).transpose(1, 2, 0)
            face[:] = np.clip(cells.repeat(CELL, 0).repeat(CELL, 1) + self._grain[seed % GRAINS], 0, 255)
        return faces


def people(group: int, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the random unit rows (b, d) of people of a group by their numbers."""
    return sphere.unit_rows(np.stack([np.random.default_rng([group, int(i)]).standard_normal(D) for i in numbers]))


def settings(identities: int) -> dict[str, object]:
    """Return the project's parameters, as a pipeline of so many identities has them."""
    values = params.read(pipeline.ROOT / params.FILE)
    for section, changes in {
        "world": {"size_px": PX, "photo_frame_px": PX},
        "gallery": {"backend": "folder", "path": GALLERY, "aligned": True, "identities": identities},
        "embed": ARCFACE,
        "pack": {"method": "gaussian", "identities": identities},
        "generate": {
            "depths": {"identities": [identities], "images": [DEPTH]},
            "mixup": {"identities": 0, "images": 1},
        },
        "audit": {"judge": JUDGE, "unrelated": {"backend": "set", "path": UNKNOWN}},
        "train": {"samples": 10 * BATCH, "batch": BATCH},
        "report": {"contrasts": {}},
    }.items():
        values[section] |= changes
    values["generate"]["poses"]["identities"] = 0
    values["train"]["loader"]["memory"], values["train"]["runs"]["seeds"] = 0, [0]
    values["sets"] = {"rec": {"backend": "rec", "path": REC, "identities": identities, "images": DEPTH, "seed": 0}}
    values["variants"] = {"base": {"source": "audit", "mix": "none", "width": identities, "depth": DEPTH}}
    return values


def prepare(count: int) -> None:
    """Write into the working directory what a pipeline of `count` images begins with."""
    identities, drawer = count // DEPTH, Standin()
    YAML().dump(settings(identities), params.FILE)
    from stages.tools import standin

    for seed, network in enumerate((ARCFACE, JUDGE)):
        standin.linear(params.below_data(network["network"]), directions(seed))
    for person in range(identities):
        folder = params.below_data(f"{GALLERY}/{person:06d}")
        folder.mkdir(parents=True)
        face = drawer.generate(people(IN_GALLERY, [person]), np.array([person]))[0]
        (folder / "0.jpg").write_bytes(images.encode(face))
    unrelated = Roster("scale unrelated", 0, "studio", np.full(*UNRELATED))

    def faces(part: slice) -> np.ndarray:
        rows = unrelated[part]
        return drawer.generate(people(IN_NEITHER, rows.identity), rows.seed)

    params.below_data(UNKNOWN).mkdir(parents=True)
    shards.draw("faces", unrelated, faces, params.below_data(UNKNOWN))
    write_pairs(drawer, min(count, PAIRED) // 2)
    artifacts.write_json("reports/baselines.json", {})


def write_pairs(drawer: Standin, count: int) -> None:
    """Write `count` pairs of faces as a benchmark: of one person or, every second one, of two."""
    same = np.arange(count) % 2 == 0

    def encoded(image: int) -> bytes:
        person = image // 2 if same[image // 2] else 2 * count + image
        return images.encode(drawer.generate(people(IN_PAIRS, [person]), np.array([image]))[0])

    with artifacts.output_folder(params.below_data(PAIRS)) as folder:
        cvlface.write(folder, encoded, np.arange(2 * count), same)


def drawn() -> None:
    """Run `generate` with the stand-in."""
    from stages import generate
    from stages.settings.generate import Generate

    generate.run(Standin(), params.load("generate", Generate), params.load("embed", Network))


def epoch() -> None:
    """Show every image of the variant once, as `train` reads them."""
    from stages.training.batches import batches
    from stages.training.samples import read

    samples = read(Path("data/variants/base/manifest.arrow"), Path("data"), PX, "rgb", held_share=0)
    for _ in batches(samples, samples.main_count // BATCH, BATCH, seed=0):
        pass


def exported() -> None:
    """Write the variant as a .rec."""
    from stages.tools import export

    export.export_set(Path("data/variants/base"), "rec", params.below_data(REC), None)


def ingested() -> None:
    """Turn the .rec into shards."""
    from stages.tools import ingest

    ingest.ingest_set("rec", params.below_data(REC), Path("ingested"), "shards")


def compared() -> None:
    """Make a benchmark of as many images, PAIRED at most; the rendered protocols do not grow."""
    from stages import benchmarks
    from stages.protocols import external
    from stages.settings.benchmarks import Benchmarks

    cfg, world = params.load("benchmarks", Benchmarks), params.load("world", World)
    with ranks.kept("benchmarks") as folder:
        benchmark = benchmarks.External(external.read(params.below_data(PAIRS)), None)
        (entry,) = benchmarks.external_protocols("pairs", benchmark, cfg, world, folder, None)
        artifacts.write_json(folder / "index.json", {"protocols": [{**entry, "domain": "wild"}]})
        ranks.publish(folder, "data/benchmarks")


def of_stage(name: str, *item: str) -> Callable[[], None]:
    """Return a function that runs a stage, or a stage for an item of that name."""

    def run() -> None:
        sys.argv[1:] = item
        import_module(f"stages.{name}").main()

    return run


STEPS: dict[str, Callable[[], None]] = {
    "gallery": of_stage("gallery"),
    "embed": of_stage("embed"),
    "pack": of_stage("pack"),
    "generate": drawn,
    "audit": of_stage("audit"),
    "variants": of_stage("variants", "base"),
    "epoch": epoch,
    "train": of_stage("train", "base"),
    "export": exported,
    "sets": of_stage("sets", "rec"),
    "ingest": ingested,
    "benchmarks": compared,
    "evaluate": of_stage("evaluate", "base"),
    "report": of_stage("report"),
}


def main(words: list[str]) -> None:
    """Run a step in the working directory, which `prepare` has filled; writes its CPU seconds into COST."""
    parser = command.parser("scale_stages", __doc__)
    parser.add_argument("step", choices=list(STEPS))
    step = STEPS[parser.parse_args(words).step]
    parents.die_with_parent()
    with threadpool_limits(1):
        begin = time.process_time()
        step()
        artifacts.write_json(COST, {"cpu_s": time.process_time() - begin})


if __name__ == "__main__":
    command.run(main)
