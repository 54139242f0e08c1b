"""A network trained elsewhere goes through the stages, and what it is known to reach comes out."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import nets
import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pytest
import torch
from tiny import TINY, run, working_in, write_params
from torch import nn

from stages import benchmarks
from stages.common import artifacts, params
from stages.common.errors import InputError
from stages.common.world import World
from stages.protocols import external
from stages.settings.benchmarks import Benchmarks
from stages.tools import score as score_tool
from stages.world.album import portraits

SIDE_PX, PEOPLE, EACH, FOLDS = 32, 20, 4, 10
WEIGHTS = "data/external/weights/toy/toy.onnx"
TOY = {"recogniser": "onnx", "network": "external/weights/toy"}
JUDGE = {"recogniser": "iresnet", "network": "external/weights/judge"}
OVERRIDES = {
    **TINY, "world.size_px": SIDE_PX, "world.photo_frame_px": 112,
    "embed": TOY, "audit.judge": JUDGE, "audit.unrelated": {"backend": "set", "path": "sets/wild"},
    "generate.poses.identities": 0, "audit.calibration_identities": 10,
    "baselines.networks": {"toy": TOY, "random": JUDGE},
}  # fmt: skip


def rendered(split: str, people: int, depth: int) -> tuple[np.ndarray, np.ndarray]:
    album = portraits(split, 0, people, depth, "wild", 0.3)
    return album.faces(slice(None), SIDE_PX), album.rows.identity


def trained(people: int = 40, depth: int = 6, steps: int = 120) -> nn.Module:
    """Return a small network that has learned to tell rendered people apart, on BGR faces."""
    faces, who = rendered("toy", people, depth)
    x = networks_input(faces, "bgr")
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 12, 4, 4), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 24, 2, 2), nn.ReLU(), nn.Flatten(),
        nn.Linear(24 * 16, 20),
    )  # fmt: skip
    head = nn.Linear(20, people)
    optimiser = torch.optim.Adam([*net.parameters(), *head.parameters()], 0.005)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(head(net(x)), torch.from_numpy(who).long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net


def networks_input(faces: np.ndarray, colour: str) -> torch.Tensor:
    ordered = faces[..., ::-1] if colour == "bgr" else faces
    return torch.from_numpy((ordered.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5)


def write_benchmark(root: Path) -> None:
    """Write 20 rendered people in LFW's layout: ten folds of two people, 12 genuine and 12 impostor pairs each."""
    faces, who = rendered("toy-benchmark", PEOPLE, EACH)
    rng, lines = np.random.default_rng(0), [f"{FOLDS}\t12"]
    for i, (face, person) in enumerate(zip(faces, who, strict=True)):
        folder = root / "images" / f"p{person:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"p{person:02d}_{i % EACH + 1:04d}.png"), face[..., ::-1])
    for fold in range(FOLDS):
        one, two = f"p{2 * fold:02d}", f"p{2 * fold + 1:02d}"
        lines += [f"{p}\t{a}\t{b}" for p in (one, two) for a in range(1, 5) for b in range(a + 1, 5)]
        pairs = rng.choice(EACH**2, 12, replace=False)
        lines += [f"{one}\t{pair // EACH + 1}\t{two}\t{pair % EACH + 1}" for pair in pairs]
    (root / "pairs.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def made(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Work in a copy of the chain that has two networks of the user's and a benchmark of photographs."""
    folder = tmp_path_factory.mktemp("published") / "copy"
    shutil.copytree(chain, folder)
    with working_in(folder):
        write_params(folder, OVERRIDES)
        for name in ("toy", "judge"):
            (folder / "data/external/weights" / name).mkdir()
            nets.write_card(folder / f"data/external/weights/{name}/card.json", colour="bgr")
        nets.export(trained(), Path(WEIGHTS), SIDE_PX)
        tensors = {f"model.{k}": v for k, v in nets.adaface().items()}
        torch.save({"state_dict": tensors}, "data/external/weights/judge/judge.ckpt")
        write_benchmark(external.ROOT / "toy")
        cfg, world = params.load("benchmarks", Benchmarks), params.load("world", World)
        own = benchmarks.External(external.read(external.benchmarks()["toy"]), None)
        entries = benchmarks.external_protocols("toy", own, cfg, world, Path("data/benchmarks"), None)
        index = artifacts.read_json("data/benchmarks/index.json")
        few = [protocol for protocol in index["protocols"] if protocol["name"] in ("lfw", "own")]  # saves time
        artifacts.write_json("data/benchmarks/index.json", {"protocols": [*few, *entries]})
        with pytest.raises(ValueError, match="rows of 20; allowed: a network of 128, which generate.backend embedded"):
            run("validate")
        yield folder


def direct_rows(encoded: Iterable[bytes], mirrored: bool = False, rendered: bool = False) -> np.ndarray:
    """Return embeddings of image files by nothing of ours: OpenCV, numpy and onnxruntime.

    Of a rendered face, which shows 136 px of ArcFace's template, the middle 112 are what the network gets.
    """
    session = ort.InferenceSession(WEIGHTS, providers=["CPUExecutionProvider"])
    rows = []
    for image in encoded:
        bgr = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
        assert bgr is not None
        if rendered:
            bgr = cv2.resize(bgr, (39, 39), interpolation=cv2.INTER_LINEAR)[4:36, 4:36]  # 32 * 136 / 112
        bgr = cv2.resize(bgr, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)
        faces = np.stack([bgr, bgr[:, ::-1]] if mirrored else [bgr]).astype(np.float32)
        prepared = np.ascontiguousarray(((faces - 127.5) / 127.5).transpose(0, 3, 1, 2))
        rows.append(np.asarray(session.run(None, {"image": prepared})[0]).sum(0))
    return np.stack(rows)


def ten_fold(score: np.ndarray, same: np.ndarray, fold: np.ndarray) -> float:
    right = []
    for held_out in range(FOLDS):
        inside = fold == held_out
        thresholds = np.sort(np.append(score[~inside], -np.inf))
        accuracy = [((score[~inside] > t) == same[~inside]).mean() for t in thresholds]
        right.append(((score[inside] > thresholds[int(np.argmax(accuracy))]) == same[inside]).mean())
    return float(np.mean(right))


@pytest.mark.usefixtures("made")
def test_the_gallery_is_embedded_by_it():
    assert "rows of size 20" in run("embed")
    x, norms = artifacts.read_rows("data/embed", "x_ref", 20)
    gallery = [pa.ipc.open_file(str(file)).read_all()["image"] for file in sorted(Path("data/gallery").glob("*.arrow"))]
    expected = direct_rows((image.as_py() for images in gallery for image in images), rendered=True)
    np.testing.assert_allclose(x * norms[:, None], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("made")
def test_its_known_accuracy_comes_out_of_baselines_and_of_score():
    files = sorted((external.ROOT / "toy/images").rglob("*.png"))
    x = direct_rows((file.read_bytes() for file in files), mirrored=True)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    row = {file.stem: i for i, file in enumerate(files)}
    same, score = [], []
    for line in (external.ROOT / "toy/pairs.txt").read_text().splitlines()[1:]:
        one, a, *other, b = line.split()
        same.append(not other)
        score.append(x[row[f"{one}_000{a}"]] @ x[row[f"{other[0] if other else one}_000{b}"]])
    known = ten_fold(np.array(score), np.array(same), np.repeat(np.arange(FOLDS), 24))
    assert 0.6 < known < 1
    line = run("baselines")
    assert [part.split(":")[0] for part in line.splitlines()[:-1]] == ["own", "own-centred", "toy", "toy-centred"]
    scored = artifacts.read_json("reports/baselines.json")
    assert scored["toy"]["toy"]["accuracy"]["value"] == pytest.approx(known, abs=1e-6)
    assert scored["toy"]["toy"]["accuracy"]["low"] < known < scored["toy"]["toy"]["accuracy"]["high"]
    assert scored["random"]["toy"]["accuracy"]["value"] < known
    assert "reports/networks/toy.json" in score_tool.main(["toy"])
    protocols = artifacts.read_json("reports/networks/toy.json")["protocols"]
    for name in ("toy", "toy-centred", "own"):
        assert {key: protocols[name][key] for key in scored["toy"][name]} == scored["toy"][name]
    assert set(protocols) == {*scored["toy"], "lfw"}


@pytest.mark.usefixtures("made")
def test_the_audit_takes_rows_of_its_size_another_judge_and_people_of_a_set():
    for stage in ("embed", "pack"):
        run(stage)
    with pytest.raises(ValueError, match="embedding size = 20; allowed: 128 with generate.backend"):
        run("generate")
    assert run("audit").startswith("audit: fidelity")
    assert artifacts.read_array("data/judged/recogniser.npy").shape[1] == 20
    assert artifacts.read_array("data/judged/judge.npy").shape[1] == nets.D
    drawn = artifacts.read_json("reports/audit.json")["capacity"]["unrelated"]["drawn"]
    assert drawn == 10


def test_a_set_with_too_few_people_or_rows_of_another_size_is_one_line(made: Path):
    with pytest.raises(ValueError, match="calibration_identities = 11; allowed: at most 10, those of sets/wild"):
        write_params(made, {**OVERRIDES, "audit.calibration_identities": 11})
        run("validate")
    write_params(made, {**OVERRIDES, "sets.wild.identities": 11, "audit.calibration_identities": 11})
    with pytest.raises(ValueError, match="at most 10, the people of sets/wild who have two images"):
        run("audit")
    write_params(made, OVERRIDES | {"embed": {"recogniser": "embedded", "network": "pretrain/recogniser"}})
    with pytest.raises(ValueError, match="embedding size = 20; allowed: 128"):
        run("audit")
    write_params(made, OVERRIDES)


@pytest.mark.parametrize("key", ["embed", "audit.judge", "baselines.networks.toy"])
def test_a_network_that_is_not_there_is_named_before_anything_runs(made: Path, key: str):
    write_params(made, {**OVERRIDES, key: {**TOY, "network": "external/weights/nobody"}})
    with pytest.raises(InputError) as error:
        run("validate")
    assert (error.value.key, error.value.value) == (f"{key}.network", "external/weights/nobody")
    write_params(made, OVERRIDES)
