"""The device that a model runs on: this CPU, an NVIDIA or AMD GPU (cuda), or Apple's (mps)."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from sparse_formats.errors import InputError, SettingError

if TYPE_CHECKING:
    from torch import Tensor, device

DEVICES = ("cpu", "cuda", "mps")


def check_torch() -> None:
    """InputError unless PyTorch and transformers are installed."""
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"this command needs {' and '.join(missing)}; install with pip install -e '.[torch]'"
        )


def find_device(name: str) -> "device":
    """The device of this name, such as "cuda", or "cuda:1" where there are several.

    Raises:
        InputError: PyTorch is not installed, or finds no such device here.
    """
    check_torch()
    import torch

    there = ["cpu"]
    if torch.cuda.is_available():
        there += [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        there.append("mps")
    if not any(name == one or name == one.split(":")[0] for one in there):
        raise SettingError(
            "device",
            f"is {name!r}, but PyTorch {torch.__version__} finds only {', '.join(there)} here; "
            "give one of them",
        )
    return torch.device(name)


def exact(values: "Tensor") -> "Tensor":
    """`values` in float64; on the CPU where their device has no such numbers."""
    return (values.cpu() if values.device.type == "mps" else values).double()
