"""The one backbone behind four families of checkpoints: rows as a reference, strict files."""

import math
import os
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest
import torch
from torch import Tensor

from stages.foreign.state_dicts import arcface_layout, state_dict
from stages.recognisers import iresnet


class AttributeDict(dict):
    """Pickled under Lightning's name, as its checkpoints hold it."""


AttributeDict.__module__, AttributeDict.__qualname__ = "pytorch_lightning.utilities.parsing", "AttributeDict"


def prepared(faces: np.ndarray) -> Tensor:
    return (torch.from_numpy(faces).permute(0, 3, 1, 2).float() - 127.5) / 127.5


def faces(count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)


def write(folder: Path, tensors: Any) -> None:
    torch.save(tensors, folder / "net.ckpt")
    nets.write_card(folder / "card.json")


@pytest.mark.parametrize("se", [False, True])
@pytest.mark.parametrize("kind", ["lightning", "cvlface", "arcface_torch checkpoint"])
def test_rows_are_those_of_adaface_s_own_layout(tmp_path: Path, se: bool, kind: str):
    tensors = nets.adaface(se)
    expected = nets.adaface_rows(tensors, prepared(faces())).numpy()
    match kind:
        case "lightning":
            head = {"head.kernel": torch.zeros(nets.D, 3), "head.t": torch.ones(1)}
            hyper = AttributeDict(arch="ir_50", head="adaface")
            checkpoint = {
                "state_dict": {**{f"model.{k}": v for k, v in tensors.items()}, **head},
                "hyper_parameters": hyper,
            }
        case "cvlface":
            checkpoint = {f"net.{key}": value for key, value in tensors.items()}
        case _:
            checkpoint = {"epoch": 1, "state_dict_backbone": arcface_layout("", tensors), "state_optimizer": {}}
            checkpoint["state_dict_backbone"] = {k: v for k, v in checkpoint["state_dict_backbone"].items() if v.ndim}
    if kind == "lightning":
        with _importable(AttributeDict):
            write(tmp_path, checkpoint)
    else:
        write(tmp_path, checkpoint)
    x = iresnet.load(tmp_path).embed(faces())
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-5)


def test_features_are_the_rows_and_have_gradients(tmp_path: Path):
    write(tmp_path, nets.adaface())
    nets.write_card(tmp_path / "card.json", colour="bgr", mean=[100, 110, 120])
    loaded = iresnet.load(tmp_path)
    x = torch.from_numpy(faces()).float().requires_grad_()
    rows = loaded.features(x)
    np.testing.assert_allclose(rows.detach().numpy(), loaded.embed(faces()), rtol=1e-4, atol=1e-4)
    rows.norm(dim=1).sum().backward()
    assert x.grad is not None and x.grad.abs().sum((1, 2, 3)).min() > 0
    assert loaded.features(torch.rand(2, 48, 48, 3)).shape == (2, nets.D)


def renamed(prefix: str) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in nets.adaface().items()}


PLAIN = nets.adaface()
WRAPPED: dict[str, Any] = {
    "torch.compile": renamed("_orig_mod."),
    "a module of a module": renamed("module.encoder.backbone."),
    "any other name": renamed("face_net."),
    **{f"under {name}": {name: PLAIN} for name in ("model", "net", "backbone", "model_state_dict", "whatever")},
    "under two names": {"checkpoint": {"model": renamed("module.")}, "epoch": 3},
    "beside another network": {"model": PLAIN, "ema": nets.adaface(seed=1)},
    "thop's counters": {**PLAIN, "total_ops": torch.zeros(1), "body.0.res_layer.1.total_params": torch.zeros(1)},
    "class centres": {**PLAIN, "fc7.weight": torch.zeros(9, nets.D), "fc7.bias": torch.zeros(9)},
    "class centres beside a prefix": {**renamed("backbone."), "head.kernel": torch.zeros(nets.D, 9)},
    "class centres alone": {**PLAIN, "weight": torch.zeros(9, nets.D)},
    "numbers of NumPy": {"state_dict": PLAIN, "best": np.float64(0.9), "all": np.arange(3.0), "n": np.int64(3)},
    "an optimiser": {"state_dict": PLAIN, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "groups": [{}]}},
}


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("zipped", [True, False])
def test_the_network_is_found_in_what_was_wrapped_around_it(tmp_path: Path, name: str, zipped: bool):
    torch.save(WRAPPED[name], tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    tensors = state_dict(tmp_path / "net.pth")
    expected = {key: value for key, value in PLAIN.items() if value.ndim}
    assert tensors.keys() == expected.keys() and all(torch.equal(tensors[key], expected[key]) for key in expected)


def changed(**changes: Any) -> dict[str, Any]:
    tensors: dict[str, Any] = nets.adaface()
    for key, value in changes.items():
        if value is None:
            del tensors[key]
        else:
            tensors[key] = value
    return tensors


CASES: list[tuple[Any, str]] = [
    (changed(**{"body.3.res_layer.4.weight": None}), "missing tensors: layer3.0.conv2.weight"),
    (changed(**{"body.4.res_layer.5.bias": None}), "missing tensors: layer3.1.bn3.bias"),
    (changed(**{"output_layer.3.weight": None}), "missing tensors: fc.weight"),
    (changed(**{"body.0.res_layer.6.weight": torch.ones(8)}), "tensors left over: body.0.res_layer.6.weight"),
    (changed(**{"extra": torch.ones(8)}), "tensors left over: extra"),
    (changed(**{"body.2.res_layer.5.bias": torch.ones(9)}), "wrong shapes: layer2.0.bn3.bias (9,) instead of (12,)"),
    (changed(**{"input_layer.0.weight": torch.ones(8, 1, 3, 3)}), "three colours"),
    (changed(**{"output_layer.3.weight": torch.ones(24, 60)}), "(24, 60)); allowed: three colours"),
    (
        changed(**{"output_layer.3.bias": torch.full((24,), math.nan)}),
        "output_layer.3.bias: NaN or infinity",
    ),
    (
        changed(**{"output_layer.3.bias": torch.tensor(1.0)}),
        "output_layer.3.bias: not floats in full, or a bare number",
    ),
    (changed(**{"output_layer.3.weight": torch.ones(24)}), "missing tensors: fc.weight"),
    ({"head.kernel": torch.ones(3, 3)}, "conv1.weight (arcface_torch) or input_layer.0.weight"),
    ({"conv.weight": torch.ones(3)}, "conv1.weight (arcface_torch) or input_layer.0.weight"),
    ([torch.ones(3)], "no mapping of names to tensors"),
    ({"state_dict": {"model.a": 3}}, "no mapping of names to tensors"),
    ({}, "no mapping of names to tensors"),
    (dict(enumerate(PLAIN.values())), "no mapping of names to tensors"),
    (
        {"student": PLAIN, "teacher": nets.adaface(seed=1)},
        "2 networks (/student/, /teacher/); allowed: one",
    ),
    ({**renamed("student."), **renamed("teacher.")}, "2 networks (/student., /teacher.); allowed: one"),
    (
        {**renamed("net."), "projection.weight": torch.ones(nets.D, nets.D)},
        "left over: projection.weight",
    ),
    ({**renamed("net."), "gate": torch.ones(8)}, "tensors left over: gate"),
    (changed(**{"output_layer.3.bias": torch.ones(24, dtype=torch.int8)}), "not floats in full"),
    (changed(**{"output_layer.3.bias": torch.ones(1).expand(10**12)}), "not floats in full"),
    (changed(**{"output_layer.3.bias": torch.ones(24).to_sparse()}), "holds sparse tensors"),
    (changed(**{"output_layer.3.bias": torch.ones(24, device="meta")}), "holds meta (empty) tensors"),
]


@pytest.mark.parametrize(("tensors", "part"), CASES, ids=[f"{i} {part}" for i, (_, part) in enumerate(CASES)])
def test_a_checkpoint_that_does_not_fit_is_one_line(tmp_path: Path, tensors: Any, part: str):
    write(tmp_path, tensors)
    with pytest.raises(ValueError) as error:
        iresnet.load(tmp_path)
    assert part in str(error.value) and str(tmp_path / "net.ckpt") in str(error.value) and "\n" not in str(error.value)


class Code:
    """Pickled, it would run a command when it is read."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self):
        return os.system, (f"touch {self.touched}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_carries_code_is_refused_and_does_not_run_it(tmp_path: Path, zipped: bool):
    touched = tmp_path / "touched"
    nets.write_card(tmp_path / "card.json")
    checkpoint = {**nets.adaface(), "code": Code(touched)}
    torch.save(checkpoint, tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"net.pth: carries code \(posix.system\)") as error:
        iresnet.load(tmp_path)
    assert "\n" not in str(error.value) and not touched.exists()


def _importable(cls: type):
    """Return a context in which pickle finds `cls` under the module that it names."""
    import sys
    from contextlib import contextmanager
    from types import ModuleType

    @contextmanager
    def patched():
        parts = cls.__module__.split(".")
        names = [".".join(parts[: i + 1]) for i in range(len(parts))]
        for name in names:
            sys.modules[name] = ModuleType(name)
        setattr(sys.modules[cls.__module__], cls.__name__, cls)
        try:
            yield
        finally:
            for name in names:
                del sys.modules[name]

    return patched()
