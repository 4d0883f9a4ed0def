"""Outputs of a model in double precision, which tell whether two models are the same."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pruning.models.opening import OpenModel, first_line
from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

TOLERANCE = 1e-10
"""Largest difference of outputs in double precision, relative to the largest, of the same model."""

_TOKENS = 24
"""Length of an example (chosen)."""


def example_inputs(opened: OpenModel) -> dict[str, Any]:
    """Two examples of drawn tokens, or of a drawn picture, the same ones every time.

    Raises:
        InputError: the config does not say what the model takes.
    """
    import torch

    config, drawn = opened.model.config, torch.Generator().manual_seed(0)
    if getattr(opened.model, "main_input_name", "input_ids") == "pixel_values":
        side = getattr(config, "image_size", None)
        height, width = side if isinstance(side, list | tuple) else (side, side)
        channels = getattr(config, "num_channels", 3)
        if not isinstance(height, int) or not isinstance(width, int):
            raise InputError(f"{opened.name}: its config has no image_size to draw a picture of")
        shape = (2, channels, height, width)
        picture = torch.randn(shape, generator=drawn, dtype=torch.float64)
        return {"pixel_values": picture.to(opened.model.device)}
    length, words = min(_TOKENS, opened.max_length), getattr(config, "vocab_size", None)
    if not isinstance(words, int):
        raise InputError(f"{opened.name}: its config has no vocab_size to draw tokens from")
    ids = torch.randint(min(words, 50_000), (2, length), generator=drawn).to(opened.model.device)
    given: dict[str, Any] = {"input_ids": ids}
    if getattr(config, "is_encoder_decoder", False):
        given["decoder_input_ids"] = ids
    return given


def outputs_of(opened: OpenModel, inputs: Mapping[str, Any]) -> "list[Tensor]":
    """What the model says of `inputs`: logits, or where it has none, its last hidden states.

    Raises:
        InputError: the model cannot be run on them as it is (`in_double`).
    """
    import torch

    try:
        with torch.inference_mode():
            found = opened.model(**inputs, return_dict=True)
    except Exception as error:  # transformers raises what its parts happen to raise
        raise InputError(
            f"{opened.name} cannot be run in double precision, so nobody knows whether its outputs "
            f"stay the same ({first_line(error)})"
        ) from error
    tensors = {key: value for key, value in found.items() if isinstance(value, torch.Tensor)}
    logits = [value for key, value in tensors.items() if "logits" in key]
    return logits or list(tensors.values())


def apart(ours: "Sequence[Tensor]", theirs: "Sequence[Tensor]") -> float:
    """Largest difference, relative to the largest value of its output; infinite if NaN."""
    import torch

    differences = [
        (a - b).abs().max() / a.abs().max().clamp_min(1e-30)
        for a, b in zip(ours, theirs, strict=True)
    ]
    found = float(torch.stack(differences).max())
    return found if found == found else float("inf")


@contextlib.contextmanager
def in_double(model: "nn.Module") -> Iterator[None]:
    """The model in float64 while the block runs, also where its code asks for float32.

    Norms and softmax of Llama and others compute in float32 whatever the weights are, which would
    hide differences below 1e-7.
    """
    import torch

    before = {name: tensor.dtype for name, tensor in _floats(model)}
    model.double()
    try:
        with _double_mode():
            yield
    finally:
        for name, tensor in _floats(model):
            tensor.data = tensor.data.to(before.get(name, torch.float32))


@contextlib.contextmanager
def where_double_is(model: "PreTrainedModel") -> Iterator[None]:
    """The model on the CPU while the block runs, if its own device has no float64 (Apple's)."""
    device = model.device
    if device.type != "mps":
        yield
        return
    model.to("cpu")  # type: ignore[arg-type]
    try:
        yield
    finally:
        model.to(device)  # type: ignore[arg-type]


def _floats(model: "nn.Module") -> "list[tuple[str, Tensor]]":
    import itertools

    every = itertools.chain(model.named_parameters(), model.named_buffers())
    return [(name, tensor) for name, tensor in every if tensor.is_floating_point()]


def _double_mode() -> Any:
    import torch
    from torch.overrides import TorchFunctionMode

    class Double(TorchFunctionMode):
        """Reads float64 wherever a function of torch is asked for float32."""

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func is torch.Tensor.float:
                return args[0].double()
            args = [torch.float64 if value is torch.float32 else value for value in args]
            named = {
                key: torch.float64 if value is torch.float32 else value
                for key, value in (kwargs or {}).items()
            }
            return func(*args, **named)

    return Double()
