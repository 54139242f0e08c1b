"""Stage `train`: it learns, whatever the number of processes it writes the same bytes, and it refuses broken input."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
import trainings
import variant
from ruamel.yaml import YAML
from torch import Tensor
from tqdm import tqdm
from variant import held

from stages import train
from stages.common import artifacts, images, networks, ranks, tables
from stages.common.errors import InputError
from stages.common.frames import Frame
from stages.train import Variant
from stages.training import fit, progress, transform
from stages.training.batches import Batch, batches
from stages.training.learner import CLIP, Learner
from stages.training.samples import Samples, read
from stages.training.settings import Train

ROOT = Path(__file__).parents[1]
CFG = trainings.cfg()
PEOPLE, EACH = 6, 8


def pattern(person: int, seed: int, side: int = 32) -> np.ndarray:
    """Return a face of a toy person: coarse colours of their own, and noise."""
    coarse = np.random.default_rng([1, person]).integers(0, 256, (4, 4, 3), np.uint8)
    noise = np.random.default_rng([2, seed]).normal(0, 12, (side, side, 3))
    face = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC) + noise
    return np.clip(face, 0, 255).astype(np.uint8)


def write_shard(file: Path, first: int, side: int, frame_px: int = images.FRAME_PX) -> None:
    """Write a shard of PEOPLE x EACH toy faces, people counted from `first`."""
    who = np.repeat(np.arange(first, first + PEOPLE), EACH)
    seed = np.arange(len(who)) + 1000 * first
    faces = [pattern(i, s, side) for i, s in zip(who.tolist(), seed.tolist(), strict=True)]
    images.write_shard(file, faces, identity=who, index=seed, seed=seed, domain="studio", frame_px=frame_px)


def rows_of(count: int = PEOPLE * EACH, folder: str = "generate", domain: str = "main", first: int = 0) -> list[dict]:
    """Return manifest rows of a toy shard."""
    rows = []
    for row in range(count):
        label = first + row // EACH
        rows.append({"set": folder, "shard": "00000.arrow", "row": row, "label_a": label, "label_b": label})
        rows[-1] |= {"weight": 1.0, "domain": domain}
    return rows


def write_manifest(name: str, rows: list[dict], **variant) -> Path:
    """Write data/variants/NAME/manifest.arrow over the shards that lie in data/."""
    shards = {f"{row['set']}/{row['shard']}" for row in rows}
    digests = {shard: artifacts.digest(Path("data") / shard) for shard in shards if (Path("data") / shard).exists()}
    described = {"classes": PEOPLE, "augment": False, "digests": digests} | variant
    table = pa.Table.from_pylist(rows, tables.MANIFEST.with_metadata({b"variant": json.dumps(described).encode()}))
    file = Path("data/variants") / name / "manifest.arrow"
    file.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return file


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACESPHERE_SCRATCH", raising=False)
    write_shard(Path("data/generate/00000.arrow"), 0, side=32)
    write_shard(Path("data/sets/wild/00000.arrow"), PEOPLE, side=48)
    write_manifest("base", rows_of())
    YAML().dump({"train": asdict(CFG)}, tmp_path / "params.yaml")
    return tmp_path


def toy(classes: int = PEOPLE, augment: bool = False, mix: int = 0) -> Samples:
    """Return samples in memory; the last `mix` people are of the mix domain."""
    who = np.repeat(np.arange(classes), EACH)
    faces = np.stack([pattern(i, s) for s, i in enumerate(who.tolist())])
    return Samples(faces, who, who, np.ones(len(who), np.float32), who >= classes - mix, classes, augment)


def run_main(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "argv", ["train", name])
    return train.main()


def same_person_wins(model: networks.Embedded) -> float:
    """Return how often an unseen toy face is nearest to the seen face of its own person."""
    seen, unseen = (model.embed(np.stack([pattern(i, 5000 * k + i) for i in range(PEOPLE)])) for k in (1, 2))
    seen, unseen = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (seen, unseen))
    return float(((unseen @ seen.T).argmax(axis=1) == np.arange(PEOPLE)).mean())


def test_learns_a_toy_set_and_writes_models_that_load(workplace, monkeypatch):
    line = run_main("base", monkeypatch)
    assert "2 seeds" in line
    out = Path("data/train/base")
    assert sorted(file.name for file in out.iterdir()) == [
        "loss.json", "seed-0", "seed-1",
    ]  # fmt: skip
    for seed, losses in json.loads((out / "loss.json").read_text()).items():
        assert len(losses) == 10 and losses[-1] < 0.5 * losses[0]
        model = networks.load(out / seed)
        assert model.embedding_size == 16 and same_person_wins(model) == 1
    card = artifacts.read_json(out / "seed-1/card.json")
    assert (card["seed"], card["variant"], card["classes"], card["samples"]) == (1, "base", PEOPLE, 960)
    assert (out / "seed-0/weights.safetensors").read_bytes() != (out / "seed-1/weights.safetensors").read_bytes()
    assert not list(Path(".scratch").iterdir())


def test_a_training_that_learned_nothing_says_so(workplace, monkeypatch):
    assert "guessing" not in run_main("base", monkeypatch)
    YAML().dump({"train": asdict(trainings.cfg(learning_rate=1e-7))}, workplace / "params.yaml")
    assert "no better than guessing (" in run_main("base", monkeypatch)


@pytest.mark.parametrize("squeeze_excitation", [False, True])
def test_an_iresnet_of_any_depth_and_width_learns_and_loads(workplace, squeeze_excitation):
    levels = replace(CFG.levels, blocks=[1, 2, 1, 1])
    shape = {"levels": asdict(levels), "options.squeeze_excitation": squeeze_excitation, "input.size_px": 16}
    cfg = trainings.cfg(backbone="iresnet", **shape, **{"runs.seeds": [0]})
    samples = replace(toy(), faces=images.resize(held(toy()), 16))
    train.train(Variant("base", samples), cfg, workplace)
    model = networks.load(workplace / "seed-0")
    assert artifacts.read_json(workplace / "seed-0/card.json")["blocks"] == [1, 2, 1, 1]
    assert same_person_wins(model) == 1
    assert sum("se.fc1" in key for key in model.net.state_dict()) == 5 * squeeze_excitation
    assert model.net.get_parameter("features.weight").eq(1).all()


def test_a_compact_card_says_nothing_of_what_compact_does_not_have():
    assert list(CFG.card()) == ["architecture", "widths", "embedding_size", "size_px", "colour", "fold_stem"]


def test_a_folded_stem_sees_two_by_two_pixels_as_one():
    nets = [networks.build({**CFG.card(), "fold_stem": folded}) for folded in (False, True)]
    plain, folded = (net.get_parameter("stem.0.weight").shape for net in nets)
    colours = plain[1]
    assert folded[1] == 4 * colours
    x = torch.randn(2, colours, 32, 32)
    assert nets[0](x).shape == nets[1](x).shape
    ahead = nets[1].get_submodule("fold")(x)
    assert torch.equal(ahead[:, :4, 3, 5], x[:, 0, 6:8, 10:12].reshape(2, 4))


def test_arcface_and_soft_labels_learn_too(workplace):
    who = toy().label_a
    soft = replace(toy(), label_b=(who + 1) % PEOPLE, weight=np.full(len(who), 0.9, np.float32))
    _, losses, _ = fit.fit(soft, trainings.cfg(**{"head.name": "arcface"}), seed=0)
    floor = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert floor < losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize(("augment", "mix"), [(True, 0), (False, 3)])
def test_learns_with_augmentation_and_with_domain_mixup(augment, mix):
    net, losses, _ = fit.fit(toy(PEOPLE + mix, augment, mix), CFG, seed=0)
    assert losses[-1] < 0.8 * losses[0]
    assert same_person_wins(networks.Embedded(net, CFG.card())) >= 5 / 6


def test_one_process_and_three_write_the_same_bytes(workplace, monkeypatch):
    YAML().dump({"train": asdict(replace(CFG, samples=64))}, workplace / "params.yaml")
    threads = torch.get_num_threads()  # the third has no seed
    torch.set_num_threads(1)  # as stage.run does
    run_main("base", monkeypatch)
    torch.set_num_threads(threads)
    alone = {file: file.read_bytes() for file in Path("data/train/base").rglob("*.*")}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "-m", "stages.train", "base"], env=environment, check=True, timeout=120)
    together = {file: file.read_bytes() for file in Path("data/train/base").rglob("*.*")}
    assert len(alone) == 5 and alone == together


def test_a_rank_reads_nothing_where_it_has_no_seed_to_train(tmp_path, monkeypatch):
    """But for rank 0, which shows how far all are. Together, each rank has its part of every seed."""
    shared, together = (trainings.cfg(**{"runs.ranks": how}) for how in ("seeds", "data"))  # two seeds

    def working(cfg: Train) -> list[bool]:
        return [monkeypatch.setattr(ranks, "rank", lambda r=r: r) or train.has_work(cfg, tmp_path) for r in range(4)]

    monkeypatch.setattr(ranks, "size", lambda: 4)
    assert working(shared) == [True, True, False, False] and working(together) == [True] * 4
    train.loss_file(tmp_path, 1).touch()
    assert working(shared) == [True, False, False, False] and working(together) == [True] * 4
    train.loss_file(tmp_path, 0).touch()
    assert working(shared) == working(together) == [True, False, False, False]


def test_a_finished_seed_is_not_trained_again(workplace):
    train.train(Variant("base", toy()), trainings.cfg(samples=32, **{"runs.seeds": [0]}), workplace)
    before = (workplace / "seed-0/weights.safetensors").stat().st_mtime_ns
    train.train(Variant("base", toy()), replace(CFG, samples=32), workplace)
    assert (workplace / "seed-0/weights.safetensors").stat().st_mtime_ns == before
    assert (workplace / "seed-1/weights.safetensors").exists()


def test_the_bar_counts_the_samples_of_all_seeds_and_begins_with_those_that_are_done(workplace, monkeypatch, capsys):
    bars = []

    class Bar(tqdm):
        def __init__(self, *given, **named) -> None:
            super().__init__(*given, **named | {"mininterval": 0, "miniters": 1})
            bars.append((self.initial, self.total, self.unit))

    monkeypatch.setattr(progress, "tqdm", Bar)
    train.train(Variant("base", toy()), trainings.cfg(samples=40, **{"runs.seeds": [0]}), workplace)
    (workplace / ".steps-1").write_bytes(bytes(2))  # of a run that was killed
    train.train(Variant("base", toy()), replace(CFG, samples=40), workplace)
    assert bars == [(0, 48, "img"), (48, 96, "img")]
    shown = re.findall(r"(\d+\.\d|\d+)/(?:48|96)\.?0? ", capsys.readouterr().out)
    assert list(dict.fromkeys(map(float, shown))) == [0, 16, 32, 48, 64, 80, 96]


def test_a_loss_that_is_not_finite_ends_in_one_line_and_writes_nothing(tmp_path):
    who = toy().label_a
    lost = replace(toy(), label_b=(who + 1) % PEOPLE, weight=np.full(len(who), np.inf, np.float32))
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at seed 3, step 0") as error:
        train.train(Variant("base", lost), trainings.cfg(**{"runs.seeds": [3]}), tmp_path)
    assert (error.value.key, error.value.value) == ("train.learning_rate", CFG.learning_rate)
    assert not list(tmp_path.glob("[!.]*"))


def test_reads_faces_labels_and_domains_at_the_network_s_size(workplace):
    mix = rows_of(8, "sets/wild", "mix", first=PEOPLE)
    file = write_manifest("mixed", [*rows_of(), *mix], classes=PEOPLE + 1, augment=True)
    samples = read(file, Path("data"), 32, "rgb")
    assert samples.faces.shape == (56, 32, 32, 3) and samples.augment and samples.classes == PEOPLE + 1
    assert samples.mix.tolist() == [False] * 48 + [True] * 8
    assert samples.label_a.tolist() == [*np.repeat(np.arange(PEOPLE), EACH), *[PEOPLE] * 8]
    own = images.Shards("data/generate").faces([5, 47])
    assert np.array_equal(held(samples)[[5, 47]], own)
    assert np.abs(held(samples)[48].astype(float) - pattern(PEOPLE, 0)).mean() < 40
    grey = held(read(file, Path("data"), 32, "grey"))
    assert grey.shape == (56, 32, 32, 1)
    assert np.abs(grey - held(samples) @ np.array([[0.299], [0.587], [0.114]])).max() <= 0.51


def test_faces_of_two_frames_are_brought_to_that_of_the_set_they_are_mixed_into(workplace):
    write_shard(Path("data/generate/00000.arrow"), 0, side=32, frame_px=112)
    mix = rows_of(8, "sets/wild", "mix", first=PEOPLE)
    samples = read(write_manifest("mixed", [*mix, *rows_of()], classes=PEOPLE + 1), Path("data"), 32, "rgb")
    own, other = (images.Shards(f"data/{name}").faces(np.arange(8)) for name in ("generate", "sets/wild"))
    assert samples.frame_px == 112 and np.array_equal(held(samples)[8:16], own)
    assert np.array_equal(held(samples)[:8], Frame(32, 32, 112).of(other, images.FRAME_PX))
    train.train(Variant("mixed", samples), trainings.cfg(samples=32, **{"runs.seeds": [0]}), workplace)
    assert networks.load(workplace / "seed-0").frame.frame_px == 112


def test_one_image_per_person_trains_the_same_network_in_memory_and_streamed(tmp_path):
    manifest = variant.write(tmp_path, {"generate/a": variant.noise(20)})
    in_memory, streamed = (
        fit.fit(read(manifest, tmp_path, 32, "rgb", share), replace(CFG, samples=64), 0)[0] for share in (1.0, 0.0)
    )
    weights = in_memory.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in streamed.state_dict().items())


def test_curves_and_their_last_points_are_outputs_of_their_own(workplace, monkeypatch):
    run_main("base", monkeypatch)
    assert not list(Path("data/curves/base").iterdir()) and not list(Path("data/metrics/base").iterdir())
    networks = [file.read_bytes() for file in sorted(Path("data/train/base").rglob("*.*"))]
    YAML().dump({"train": trainings.values(**{"monitor.curves": 25})}, workplace / "params.yaml")
    run_main("base", monkeypatch)
    assert [file.read_bytes() for file in sorted(Path("data/train/base").rglob("*.*"))] == networks
    for seed in (0, 1):
        last = artifacts.read_json(Path(f"data/metrics/base/seed-{seed}.json"))
        assert last["step"] == 60 and set(last) == {"step", "loss", "learning_rate", "norm", "images_s"}
        points = Path(f"data/curves/base/seed-{seed}/plots/metrics/loss.tsv").read_text().splitlines()
        assert [point.partition("\t")[0] for point in points] == ["step", "25", "50", "60"]


def test_the_closing_line_counts_broken_images_and_not_those_of_people_held_out(workplace, monkeypatch):
    broken = [images.encode(pattern(i // EACH, i)) for i in range(PEOPLE * EACH)]
    broken[3] = b""
    who = np.repeat(np.arange(PEOPLE), EACH)
    images.write_shard("data/generate/00000.arrow", broken, identity=who, index=who, seed=who, domain="studio")
    write_manifest("base", rows_of())
    changes = {"runs.seeds": [0], "loader.unreadable": "skip", "monitor.identities": 2, "monitor.times": 1}
    YAML().dump({"train": trainings.values(samples=32, **changes)}, workplace / "params.yaml")
    assert f"on {(PEOPLE - 2) * EACH - 1} images (1 unreadable skipped)" in run_main("base", monkeypatch)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-700])


BROKEN = {
    "no manifest": (lambda: Path("data/variants/base/manifest.arrow").unlink(), r"manifest.arrow: no such file"),
    "truncated manifest": (lambda: truncate(Path("data/variants/base/manifest.arrow")), r"manifest.arrow: truncated"),
    "no shard": (lambda: Path("data/generate/00000.arrow").unlink(), r"generate/00000.arrow: no such file"),
    "changed shard": (lambda: truncate(Path("data/generate/00000.arrow")), r"generate/00000.arrow: sha256 differs"),
    "truncated shard": (
        lambda: (truncate(Path("data/generate/00000.arrow")), write_manifest("base", rows_of())),
        r"generate/00000.arrow: truncated",
    ),
    "label": (lambda: write_manifest("base", rows_of(), classes=PEOPLE - 1), r"label_a = 5; allowed: 0 to 4"),
    "second label": (
        lambda: write_manifest("base", [*rows_of(8), rows_of(1)[0] | {"label_b": 6}]),
        r"label_b = 6; allowed: 0 to 5",
    ),
    "row": (lambda: write_manifest("base", [*rows_of(8), rows_of(1)[0] | {"row": 48}]), r"row = 48; allowed: 0 to 47"),
    "weight": (lambda: write_manifest("base", [rows_of(1)[0] | {"weight": 1.5}]), r"weight = 1.5; allowed: 0 to 1"),
    "metadata": (
        lambda: write_manifest("base", rows_of(8), classes="six"),
        r"manifest.arrow: schema metadata `variant`",
    ),
    "domain": (lambda: write_manifest("base", rows_of(8, domain="mix")), r"domain = \['mix'\]"),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_broken_input_is_refused_in_one_line(damage, workplace, monkeypatch):
    break_it, message = BROKEN[damage]
    break_it()
    with pytest.raises(ValueError, match=message) as error:
        run_main("base", monkeypatch)
    assert "\n" not in str(error.value)
    assert not Path("data/train").exists()


def test_every_epoch_shows_every_sample_once():
    samples = replace(toy(), label_a=np.arange(PEOPLE * EACH), classes=PEOPLE * EACH)
    seen = torch.cat([batch.main.label_a for batch in batches(samples, 6, 16, seed=0)]).numpy()
    assert np.array_equal(np.sort(seen[:48]), np.arange(48)) and np.array_equal(np.sort(seen[48:]), np.arange(48))
    assert not np.array_equal(seen[:48], seen[48:])


def test_batches_depend_on_the_seed_alone():
    first, again, other = ([batch.faces for batch in batches(toy(), 2, 8, seed)] for seed in (0, 0, 1))
    assert torch.equal(first[1], again[1]) and not torch.equal(first[1], other[1])


def test_the_same_faces_are_transformed_otherwise_in_each_seed_and_step():
    alike = toy()
    held(alike)[:] = held(alike)[0]
    shown = [batch.faces for seed in (0, 1) for batch in batches(alike, 2, 8, seed)]
    assert all(not torch.equal(shown[i], shown[j]) for i in range(4) for j in range(i))


def test_each_seed_has_its_own_order_in_either_domain():
    samples = replace(toy(mix=3), label_a=np.arange(PEOPLE * EACH), classes=PEOPLE * EACH)
    first, other = (next(batches(samples, 1, 24, seed)) for seed in (0, 1))
    assert first.mix is not None and other.mix is not None
    assert not torch.equal(first.main.label_a, other.main.label_a)
    assert not torch.equal(first.mix.label_a, other.mix.label_a)
    assert not torch.equal(first.main.label_a, first.mix.label_a - 24)


def test_labels_and_their_ratio_are_those_of_the_sample():
    numbers = np.arange(PEOPLE * EACH)
    samples = replace(toy(), label_a=numbers, label_b=numbers[::-1], weight=(numbers / 100).astype(np.float32))
    labels = next(batches(samples, 1, 48, seed=0)).main
    assert torch.equal(labels.label_b, 47 - labels.label_a)
    assert torch.allclose(labels.ratio, labels.label_a / 100)


def test_domain_mixup_mixes_pixels_and_labels_by_psi(monkeypatch):
    monkeypatch.setattr(transform, "warped", lambda faces, moves: faces)
    samples = toy(mix=2)
    held(samples)[samples.mix], held(samples)[~samples.mix] = 50, 200
    batch = next(batches(samples, 1, 400, seed=0))
    assert batch.mix is not None
    assert torch.allclose(batch.faces.mean((1, 2, 3)), 50 + 150 * batch.psi, atol=1e-3)
    assert (batch.main.label_a < 4).all() and (batch.mix.label_a >= 4).all()
    assert np.allclose(np.unique(batch.psi), np.arange(21) / 20)


def learner(**changes: Any) -> Learner:
    """Return a network at its start, which drops nothing out."""
    begun = Learner(PEOPLE, trainings.cfg(**changes), 0)
    begun.net.eval()
    return begun


def test_domain_mixup_weighs_the_losses_by_psi():
    begun, batch = learner(), next(batches(toy(mix=2), 1, 16, seed=0))
    part = begun.parts[0]
    ends = [begun.loss(replace(batch, psi=torch.full((16,), psi)), part) for psi in (0.0, 1.0, 0.25)]
    only_main = begun.loss(replace(batch, mix=None), part)
    assert torch.isclose(ends[1], only_main) and not torch.isclose(ends[0], only_main, rtol=0.01)
    assert torch.isclose(ends[2], 0.25 * ends[1] + 0.75 * ends[0])


def test_decorrelation_is_added_as_it_is_weighed():
    batch = next(batches(toy(), 1, 16, seed=0))
    begun = [learner(decorrelation=weight) for weight in (0.0, 1.0, 2.0)]
    none, one, two = (each.loss(batch, each.parts[0]).item() for each in begun)
    assert one - none > 0.01 and two - none == pytest.approx(2 * (one - none), rel=1e-3)


def weights_after(steps: int, seed: int, **changed: Any) -> Tensor:
    """Return the stem's weights after a few steps."""
    cfg = trainings.cfg(samples=steps * CFG.batch, **{"optimiser.weight_decay": 0.0}, **changed)
    net, *_ = fit.fit(toy(), cfg, seed)
    assert not net.training
    return net.get_parameter("stem.0.weight").detach()


def test_each_seed_begins_with_weights_of_its_own():
    first, again, other = (weights_after(1, seed, learning_rate=1e-9) for seed in (0, 0, 1))
    assert torch.equal(first, again) and (first - other).abs().mean() > 0.01


def test_the_first_step_is_a_tenth_of_the_learning_rate():
    """Adam's first step moves every weight by the rate, and the rate begins its way up at a tenth."""
    moved = (weights_after(1, 0, learning_rate=1e-3) - weights_after(1, 0, learning_rate=1e-9)).abs()
    assert moved.median() == pytest.approx(1e-4, rel=0.05) and moved.max() < 1.1e-4


def test_gradients_are_clipped_to_their_largest_norm():
    net, *_ = fit.fit(toy(), trainings.cfg(samples=CFG.batch, **{"head.scale": 1000.0}), 0)
    norm = torch.stack([p.grad.norm() for p in net.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(CLIP, rel=1e-3)


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Batch, float, float]]:
    """Return a list that gets the batch, the margin and the learning rate of every step."""
    steps, learn = [], Learner.learn

    def watched(self: Learner, *how: Any) -> float:
        steps.append(how)
        return learn(self, *how)

    monkeypatch.setattr(Learner, "learn", watched)
    return steps


def test_each_seed_sees_batches_of_its_own(learned: list):
    for seed in (3, 4):
        fit.fit(toy(), replace(CFG, samples=CFG.batch), seed)
    shown = [batch.main.label_a for batch, *_ in learned]
    expected = [next(batches(toy(), 1, CFG.batch, seed)).main.label_a for seed in (3, 4)]
    assert torch.equal(torch.stack(shown), torch.stack(expected)) and not torch.equal(*shown)


def test_the_margin_rises_from_nothing_and_then_stays(learned: list):
    fit.fit(toy(), trainings.cfg(samples=10 * CFG.batch, **{"head.margin": 0.3}), 0)
    assert [margin for _, margin, _ in learned] == pytest.approx([0, 0.1, 0.2, *[0.3] * 7])


def test_transforms_keep_shape_and_move_a_face_only_a_little():
    faces = np.stack([pattern(0, 1)] * 64)
    moved = transform.jittered(faces, np.random.default_rng(0))
    assert moved.shape == faces.shape and moved.dtype == np.uint8
    away = np.abs(moved.astype(float) - faces).mean((1, 2, 3))
    away_mirrored = np.abs(moved[:, :, ::-1].astype(float) - faces).mean((1, 2, 3))
    assert 12 <= (away_mirrored < away).sum() <= 52
    assert np.minimum(away, away_mirrored).mean() < 0.7 * np.maximum(away, away_mirrored).mean()
    lit = transform.augmented(faces, np.random.default_rng(0))
    assert lit.shape == faces.shape and lit.dtype == np.uint8
    assert lit.mean((1, 2, 3)).std() > 5 and len(np.unique(lit, axis=0)) == 64


def test_jitter_shifts_and_turns_by_its_constants(monkeypatch):
    monkeypatch.setattr(transform, "SHIFT", 4 / 112)
    monkeypatch.setattr(transform, "ANGLE_DEG", 4.0)
    dots = np.zeros((3000, 64, 64, 3), np.uint8)
    dots[:, 30:34, 30:34] = dots[:, 30:34, 50:54] = 255
    moved = transform.jittered(dots, np.random.default_rng(0))[..., 0] > 127
    centre = np.array([np.argwhere(face).mean(axis=0) for face in moved]) - 31.5
    axis = [np.linalg.svd(np.argwhere(face) - np.argwhere(face).mean(axis=0))[2][0] for face in moved]
    angle = np.degrees(np.arctan2([v[0] for v in axis], [v[1] for v in axis]) + np.pi / 2) % 180 - 90
    assert 0.4 < (centre[:, 1] > 0).mean() < 0.6
    assert centre[:, 0].std() == pytest.approx(transform.SHIFT * 64, rel=0.15)
    assert angle.std() == pytest.approx(transform.ANGLE_DEG, rel=0.15)


def test_amount_multiplies_every_constant_of_the_jitter(monkeypatch):
    faces = np.random.default_rng(0).integers(0, 256, (40, 24, 24, 3), np.uint8)
    some = transform.jittered(faces, np.random.default_rng(0), 0.25)
    none = transform.jittered(faces, np.random.default_rng(0), 0)
    assert all(np.array_equal(x, face) or np.array_equal(x, face[:, ::-1]) for x, face in zip(none, faces, strict=True))
    for name in ("SIDE_LOG", "SHIFT", "ANGLE_DEG"):
        monkeypatch.setattr(transform, name, 0.25 * getattr(transform, name))
    assert np.array_equal(some, transform.jittered(faces, np.random.default_rng(0)))


def only(monkeypatch: pytest.MonkeyPatch, **kept: float) -> None:
    """Switch off every part of the augmentation that is not named."""
    for name in ("BLUR_SHARE", "GAIN_LOG", "GAMMA_LOG", "SHADING"):
        monkeypatch.setattr(transform, name, kept.get(name, 0.0))


def test_the_crop_is_scaled_by_its_constant_and_the_face_stays_round(monkeypatch):
    monkeypatch.setattr(transform, "SHIFT", 0.0)
    y, x = np.mgrid[:64, :64] - 31.5
    disc = np.repeat((255 * (np.hypot(x, y) < 16)).astype(np.uint8)[None, ..., None], 1000, 0)
    moved = transform.jittered(disc, np.random.default_rng(0))[..., 0] / 255.0
    side = np.sqrt(moved.sum((1, 2)) / (np.pi * 16**2))
    assert np.log(side).mean() == pytest.approx(0, abs=0.01)
    assert np.log(side).std() == pytest.approx(transform.SIDE_LOG, rel=0.1)
    width, height = (np.sqrt((moved * axis**2).sum((1, 2)) / moved.sum((1, 2))) for axis in (x, y))
    assert width == pytest.approx(height, rel=0.03)


def test_gain_varies_by_its_constant(monkeypatch):
    only(monkeypatch, GAIN_LOG=0.1)
    lit = transform.augmented(np.full((2000, 8, 8, 1), 80, np.uint8), np.random.default_rng(0))[:, 4, 4, 0]
    drawn = np.log(lit / 80)
    assert drawn.mean() == pytest.approx(0, abs=0.01) and drawn.std() == pytest.approx(0.1, rel=0.1)


def test_gamma_varies_by_its_constant_and_leaves_black_and_white(monkeypatch):
    only(monkeypatch, GAMMA_LOG=0.1)
    steps = np.tile(np.array([0, 80, 255], np.uint8).repeat(9), (2000, 27, 1))[..., None]
    black, lit, white = transform.augmented(steps, np.random.default_rng(0))[:, 13, [4, 13, 22], 0].T
    assert (black == 0).all() and (white == 255).all()
    drawn = np.log(np.log(lit / 255) / np.log(80 / 255))
    assert drawn.mean() == pytest.approx(0, abs=0.01) and drawn.std() == pytest.approx(0.1, rel=0.1)


def test_light_falls_from_any_side_and_is_even_on_the_mean(monkeypatch):
    only(monkeypatch, SHADING=0.5)
    lit = transform.augmented(np.full((2000, 17, 17, 1), 100, np.uint8), np.random.default_rng(0))[..., 0] / 100.0
    assert lit[:, 8, 8] == pytest.approx(1, abs=0.01)
    along_x, along_y = (lit[:, 8, -1] - lit[:, 8, 0]) / 2, (lit[:, -1, 8] - lit[:, 0, 8]) / 2
    strength = np.hypot(along_x, along_y)
    assert strength.max() == pytest.approx(0.5 / np.sqrt(2), abs=0.01)
    assert strength.mean() == pytest.approx(0.25 / np.sqrt(2), rel=0.05)
    quarter = np.bincount((np.degrees(np.arctan2(along_y, along_x)) % 360 // 90).astype(int)) / len(lit)
    assert quarter == pytest.approx(np.full(4, 0.25), abs=0.04)
    assert lit[:, -1, -1] - 1 == pytest.approx(along_x + along_y, abs=0.02)


def test_half_of_the_faces_are_blurred(monkeypatch):
    only(monkeypatch, BLUR_SHARE=0.5)
    stripes = np.tile(np.array([0, 0, 255, 255], np.uint8), (1000, 64, 16))[..., None]
    left = transform.augmented(stripes, np.random.default_rng(0)).std((1, 2, 3)) / stripes.std()
    assert 0.45 < (left > 0.999).mean() < 0.65  # some are blurred too little to be seen
    least = np.exp(-((np.pi / 2 * transform.BLUR * 64) ** 2) / 2)  # of a wave of four pixels
    assert 0.5 * least < left.min() < 2 * least
