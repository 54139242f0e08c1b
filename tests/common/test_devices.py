"""Each rank has its own GPU where there are any, and every network goes there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import detector
import nets
import numpy as np
import onnxruntime
import pytest
import torch
from gpus import Gpus, pretend
from packing.instances import gallery
from packing.test_hyperface import CFG
from tiny import ROOT

from stages import pack
from stages.common import devices, params
from stages.common.world import World
from stages.foreign import alignment
from stages.recognisers import iresnet, onnx
from stages.recognisers.iresnet import Checkpoint

FACES = np.zeros((2, 32, 32, 3), np.uint8)


@pytest.mark.parametrize(("rank", "expected"), [("0", "cuda:0"), ("1", "cuda:1"), ("5", "cuda:1")])
def test_ranks_take_the_gpus_of_a_machine_in_turn(rank: str, expected: str, monkeypatch: pytest.MonkeyPatch):
    pretend(monkeypatch)
    monkeypatch.setenv("LOCAL_RANK", rank)
    assert devices.device() == torch.device(expected)


@pytest.mark.parametrize(
    ("capabilities", "products", "mixed", "split"),
    [
        (("avx512_bf16", "amx_bf16"), torch.bfloat16, True, True),
        (("avx512_bf16",), torch.bfloat16, True, False),
        (("bf16",), torch.bfloat16, False, False),  # ARM's
        (("avx2",), torch.float32, False, False),
    ],
)
def test_products_and_networks_have_their_own_rules_for_bfloat16(
    capabilities: tuple[str, ...], products: torch.dtype, mixed: bool, split: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(capabilities, True))
    assert devices.products_dtype() == products and devices.splits() == split
    assert devices.products_dtype(devices.FAST_FROM - 1) == torch.float32
    with devices.mixed_precision():
        assert torch.is_autocast_enabled("cpu") == mixed
    assert devices.published_dtype() == torch.float32


def test_a_gpu_has_its_own_precisions(monkeypatch: pytest.MonkeyPatch):
    pretend(monkeypatch)
    assert (devices.products_dtype(), devices.published_dtype()) == (torch.bfloat16, torch.float16)
    with devices.mixed_precision():
        assert not torch.is_autocast_enabled("cpu")


def test_a_checkpoint_runs_on_the_gpu_of_its_rank(gpus: Gpus, tmp_path: Path):
    torch.save(nets.adaface(), tmp_path / "net.ckpt")
    nets.write_card(tmp_path / "card.json")
    net = iresnet.load(tmp_path)
    assert isinstance(net, Checkpoint) and gpus.used == {"cuda:1"}
    for run in (lambda: net.embed(FACES), lambda: net.features(torch.from_numpy(FACES).float())):
        gpus.used.clear()
        assert len(run()) == 2 and gpus.used == {"cuda:1"}


def test_packing_is_done_on_the_gpu_of_the_rank(gpus: Gpus):
    assert pack.pack(gallery(60), replace(CFG, identities=20, iterations=2)).shape[0] == 20
    assert gpus.used == {"cuda:1"}


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let onnxruntime offer CUDA; says which providers each session asked for, and makes it on the CPU."""
    asked: list[Any] = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, file: str, options: Any, providers: list[Any]) -> None:
            asked.append(providers)
            super().__init__(file, options, providers=[devices.CPU])

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CoreML", devices.CUDA, devices.CPU])
    return asked


SECOND = [(devices.CUDA, {"device_id": "1", "use_tf32": "0", "cudnn_conv_algo_search": "DEFAULT"}), devices.CPU]


def test_an_onnx_network_runs_on_the_gpu_of_its_rank(
    sessions: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    nets.write_onnx(tmp_path / "net.onnx")
    nets.write_card(tmp_path / "card.json")
    onnx.load(tmp_path)
    pretend(monkeypatch)
    onnx.load(tmp_path)
    assert sessions == [[devices.CPU], SECOND]


def test_a_detector_runs_on_the_gpu_of_its_rank(sessions: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("insightface")
    pretend(monkeypatch)
    world = params.load("world", World, ROOT / "params.yaml")
    alignment.load(replace(world, detector=str(detector.write(tmp_path / "squares.onnx"))))
    assert sessions == [SECOND]
