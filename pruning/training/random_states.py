"""The states of the random numbers that PyTorch draws: the CPU's, and those of a device."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, device


def random_states(place: "device") -> "dict[str, Tensor]":
    """The states by the type of the device they belong to, uint8."""
    import torch

    states = {"cpu": torch.get_rng_state()}
    if place.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(place)
    elif place.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_states(states: "Mapping[str, Tensor]", place: "device") -> None:
    """Go on drawing where `states` were taken."""
    import torch

    torch.set_rng_state(states["cpu"])
    if place.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], place)
    elif place.type == "mps":
        torch.mps.set_rng_state(states["mps"])
