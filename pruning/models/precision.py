"""The numbers that a model computes in while it trains; its weights are float32 in any case.

With bf16 matrices multiply in bfloat16, and what needs more digits, as norms and losses do, stays
in float32: PyTorch's autocast decides. Weights, gradients and the optimiser's state are float32.
"""

import contextlib
from typing import TYPE_CHECKING

from sparse_formats.errors import SettingError

if TYPE_CHECKING:
    from torch import device

PRECISIONS = ("fp32", "bf16")


def computing_in(precision: str, place: "device") -> contextlib.AbstractContextManager[object]:
    """Run what is in the block in these numbers."""
    if precision == "fp32":
        return contextlib.nullcontext()
    import torch

    return torch.autocast(place.type, torch.bfloat16)


def full_precision(place: "device") -> contextlib.AbstractContextManager[object]:
    """Run what is in the block in float32, whatever is around it."""
    import torch

    if not torch.is_autocast_enabled(place.type):
        return contextlib.nullcontext()
    return torch.autocast(place.type, enabled=False)


def check_precision(precision: str, place: "device") -> None:
    """InputError unless the device has these numbers."""
    import torch

    if precision == "bf16" and place.type == "cuda" and not torch.cuda.is_bf16_supported():
        name = torch.cuda.get_device_name(place)
        raise SettingError("precision", f"is bf16, which {name} does not have; give fp32")
