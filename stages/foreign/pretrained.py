"""Published networks from local folders: loaded offline, completely or not at all, onto this rank's device."""

import os
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from stages.common import devices
from stages.common.errors import InputError
from stages.foreign import bounded, checkpoints


def library(name: str, extra: str = "published") -> Any:
    """Return a library that only published networks need; raises InputError that says how to install it."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read by the Hugging Face libraries when they are imported
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(None, f"{error.name} is not installed; pip install -e '.[{extra}]' brings it") from error
    if name in ("diffusers", "transformers"):
        module.utils.logging.set_verbosity_error()  # `model` refuses what they only warn of
        module.utils.logging.disable_progress_bar()
    return module


def model(cls: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Return a network of diffusers or transformers, from the folder of its config.json and weights, on the device.

    Pickled weights (.bin) are read where there are no safetensors, and may hold tensors only. Raises InputError when a
    file is missing or broken, and when the tensors are not exactly those of the network: these libraries only log that,
    and fill the rest with random numbers.
    """
    if not (folder / "config.json").is_file():
        allowed = f"the folder of a {cls.__name__}, as published"
        raise InputError(folder / "config.json", "no such file", allowed=allowed)
    options = {"use_safetensors": any(folder.glob("*.safetensors")), "local_files_only": True}
    for file in [] if options["use_safetensors"] else sorted(folder.glob("*.bin")):
        checkpoints.shapes(file)
    if cls.__module__.startswith("transformers"):
        options["ignore_mismatched_sizes"] = True  # named in `info` then; diffusers says it clearly by itself
    try:
        net, info = cls.from_pretrained(folder, output_loading_info=True, **options)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, UnpicklingError) as error:
        raise InputError(folder, f"not a readable {cls.__name__}: {bounded.short(error)}") from error
    wrong = {kind.removesuffix("_keys"): sorted(map(str, keys)) for kind, keys in info.items() if keys}
    if wrong:
        counts = "; ".join(f"{len(keys)} {kind}, such as {keys[0]}" for kind, keys in wrong.items())
        raise InputError(folder, f"not the tensors of this {cls.__name__}: {counts}")
    return net.eval().requires_grad_(False).to(devices.device(), dtype)
