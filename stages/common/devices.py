"""Where a rank computes, and in what precision: on its own GPU where the machine has one, else on the CPU.

Ranks take a machine's GPUs in turn, by the LOCAL_RANK that the launcher or torchrun gives them. Packing, training and
every network run on `device`. The functions import torch themselves, because networks in ONNX run on the CPU without
it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

FAST_FROM = 513  # rows; with fewer, float32 is quick enough, ends lower, and writes the same bytes on more machines
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"  # of onnxruntime


def device() -> torch.device:
    """Return this rank's GPU where there is one, else the CPU."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


def products_dtype(m: int = FAST_FROM) -> torch.dtype:
    """Return the type in which packing multiplies m rows: bfloat16 for many rows on a device that has it, else float32.

    On CPUs, matrix products on their own gain from the bfloat16 of AVX-512 and of ARM.
    """
    import torch

    if m < FAST_FROM:
        return torch.float32
    if device().type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = _cpu_has("avx512_bf16", "bf16")
    return torch.bfloat16 if fast else torch.float32


def splits() -> bool:
    """Return whether three bfloat16 products cost less here than one of float32: on GPUs and where tiles multiply."""
    return device().type == "cuda" or _cpu_has("amx_bf16")


def published_dtype() -> torch.dtype:
    """Return float16 on a GPU, as the published scripts use, and float32 on the CPU."""
    import torch

    return torch.float16 if device().type == "cuda" else torch.float32


def training_dtype(precision: str) -> torch.dtype | None:
    """Return in what type a network multiplies while it is trained, None for float32 throughout.

    `mixed` is bfloat16 on every CPU, so that all train alike, and on GPUs that have it; on others float16, with a
    scaler.
    """
    import torch

    if precision == "full":
        return None
    if device().type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def mixed_precision() -> torch.autocast:
    """Return a context in which a CPU multiplies in bfloat16, if it has that in hardware; elsewhere it does nothing.

    For the convolutions and attention of whole networks. Whether ARM's bfloat16 helps them was not measured.
    """
    import torch

    fast = device().type == "cpu" and _cpu_has("amx_bf16", "avx512_bf16")
    return torch.autocast("cpu", torch.bfloat16, enabled=fast)


def providers() -> list[Any]:
    """Return where onnxruntime runs: on this rank's GPU where the installed build supports it, and on the CPU.

    CoreML is left out because it computes in half precision on some machines and in single on others. So is TF32.
    """
    import onnxruntime

    if CUDA not in onnxruntime.get_available_providers() or (gpu := device()).type != "cuda":
        return [CPU]
    options = {"device_id": str(gpu.index), "use_tf32": "0", "cudnn_conv_algo_search": "DEFAULT"}
    return [(CUDA, options), CPU]


def _cpu_has(*names: str) -> bool:
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in names)
