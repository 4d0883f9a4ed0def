"""The axis of the residual stream: every parameter that reads or writes it, found by running.

What begins the stream is known (embeddings), and what writes it (attention outputs, FFN2). The
model is run once as it is and once with these in another order. Where a module's input arrives in
that order, the module reads the stream, and its parameters follow before it computes. So no table
says where a family's norms, heads and poolers stand, and an order that gets lost is noticed.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pruning.models.opening import OpenModel
from pruning.models.order import Axis, Move, Place, move_all
from pruning.models.outputs import TOLERANCE, apart, example_inputs, outputs_of
from pruning.structure.layer_matrices import ATTENTION, FEED_FORWARD
from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

WRITERS = ("attention out", "FFN2", "down")

_NEAR = 1e-7
"""Largest relative difference of inputs, in double precision, that counts as none."""


def stream_axis(opened: OpenModel) -> Axis | str:
    """The axis of the residual stream; or why there is none, as the end of a sentence.

    The model is in double precision (`in_double`), and is left as it was.
    """
    width = _width(opened)
    if width is None:
        return "its layers do not all read and write vectors of one width"
    try:
        inputs = example_inputs(opened)
        trace = _first_run(opened, inputs)
        places = _known(opened, trace, width)
        run = _second_run(opened, inputs, trace, places, width)
        if run.lost and run.projection is not None:
            # A head that shares the embedding's order hands it on to what stands before it.
            known = {**places, **run.projection}
            run = _second_run(opened, inputs, trace, known, width)
    except InputError as error:
        return str(error)
    if run.lost:
        return f"its order is lost at {run.lost}"
    if run.apart > TOLERANCE:
        return f"the outputs would differ by {run.apart:.1e} of the largest"
    return Axis("stream", 0, width, tuple(Place(name, axis) for name, axis in run.places))


def _width(opened: OpenModel) -> int | None:
    widths = {
        matrix.shape[0] if matrix.kind in WRITERS else matrix.shape[1]
        for matrix in opened.linears
        if matrix.kind in (*ATTENTION, *FEED_FORWARD)
    }
    return widths.pop() if len(widths) == 1 else None


Places = dict[tuple[str, int], None]
"""Parameters by name and axis, in order."""


@dataclass
class _Trace:
    """The modules that compute, in order, the inputs of every call of each, and the outputs."""

    order: list[str] = field(default_factory=list)
    inputs: "dict[str, list[Tensor]]" = field(default_factory=dict)
    outputs: "list[Tensor]" = field(default_factory=list)


@dataclass
class _SecondRun:
    places: Places
    apart: float = 0.0
    lost: str = ""
    projection: Places | None = None


def _first_run(opened: OpenModel, inputs: dict[str, Any]) -> _Trace:
    trace = _Trace()

    def note(name: str, given: "Tensor | None") -> None:
        if name not in trace.inputs:
            trace.order.append(name)
        if given is not None:
            trace.inputs.setdefault(name, []).append(given.clone())
        else:
            trace.inputs.setdefault(name, [])

    with _hooked(opened, note):
        trace.outputs = outputs_of(opened, inputs)
    return trace


def _known(opened: OpenModel, trace: _Trace, width: int) -> Places:
    """What begins the stream and what writes it."""
    from torch import nn

    modules = dict(opened.model.named_modules())
    names = _names(opened.model)
    places: Places = {}

    def add(module: "nn.Module", parameter: str, axis: int) -> None:
        tensor = getattr(module, parameter, None)
        if tensor is not None:
            places[names[id(tensor)], axis] = None

    for matrix in opened.linears:
        if matrix.kind in WRITERS:
            add(matrix.module, "weight", 1 if matrix.turned else 0)
            add(matrix.module, "bias", 0)
    layers = {m.module_name for m in opened.linears if m.kind in (*ATTENTION, *FEED_FORWARD)}
    first = next((i for i, name in enumerate(trace.order) if name in layers), 0)
    for name in trace.order[:first]:
        module = modules[name]
        if isinstance(module, nn.Linear | nn.Conv2d) and module.weight.shape[0] == width:
            add(module, "weight", 0)
            add(module, "bias", 0)
    for module in modules.values():
        if isinstance(module, nn.Embedding) and module.embedding_dim == width:
            add(module, "weight", 1)
        if any(True for _ in module.children()):
            for parameter, tensor in module.named_parameters(recurse=False):
                if tensor.shape[-1] == width:
                    add(module, parameter, tensor.ndim - 1)
    return places


def _second_run(
    opened: OpenModel, inputs: dict[str, Any], trace: _Trace, known: Places, width: int
) -> _SecondRun:
    import torch
    from torch import nn

    model = opened.model
    order = torch.randperm(width, generator=torch.Generator().manual_seed(1))
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    modules: dict[str, nn.Module] = dict(model.named_modules())
    names, calls = _names(model), dict.fromkeys(trace.order, 0)
    done: Places = {}
    run = _SecondRun(done)
    last: list[str] = []

    def move(places: Places) -> None:
        fresh = {place: None for place in places if place not in done}
        axis = Axis("stream", 0, width, tuple(Place(*place) for place in fresh))
        move_all(parameters, [Move(axis, tuple(order.tolist()))])
        done.update(fresh)

    def follow(name: str, given: "Tensor | None") -> None:
        module, call = modules[name], calls[name]
        # Some embeddings of positions are given vectors and look at their number only.
        if run.lost or given is None or isinstance(module, nn.Embedding):
            return
        calls[name] += 1
        first = trace.inputs[name][call]
        taken = _reading(module, names, width)
        if _near(given, first):
            if any(place in done for place in taken):
                run.lost = name
                run.projection = _projection(last, modules, names, width)
            last.append(name)
        elif given.shape[-1] == width and _near(given, first[..., order.to(first.device)]):
            last[:] = [name]
            move(taken)
        else:
            run.lost = name

    try:
        move(known)
        with _hooked(opened, follow):
            run.apart = apart(trace.outputs, outputs_of(opened, inputs))
    finally:
        axis = Axis("stream", 0, width, tuple(Place(*place) for place in done))
        move_all(parameters, [Move(axis, tuple(order.tolist())).inverse])
    return run


def _reading(module: "nn.Module", names: dict[int, str], width: int) -> Places:
    """The parameters of a module that meet its input channel by channel."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, nn.Linear | Conv1D):
        return {(names[id(module.weight)], int(isinstance(module, nn.Linear))): None}
    own = list(module.parameters(recurse=False))
    # Norms and scales; a convolution has a bias of this shape, too.
    if any(tuple(tensor.shape) != (width,) for tensor in own):
        return {}
    return {(names[id(tensor)], 0): None for tensor in own}


def _projection(
    last: list[str], modules: "dict[str, nn.Module]", names: dict[int, str], width: int
) -> Places | None:
    """What computed the input of a head that has the embedding's order: a matrix and its norms."""
    from torch import nn

    found: Places = {}
    for name in reversed(last):
        module = modules[name]
        if isinstance(module, nn.Linear) and module.out_features == width:
            found[names[id(module.weight)], 0] = None
            if module.bias is not None:
                found[names[id(module.bias)], 0] = None
            return found
    return None


def _near(given: "Tensor", first: "Tensor") -> bool:
    if given.shape != first.shape:
        return False
    return float((given - first).abs().max()) <= _NEAR * float(first.abs().max().clamp_min(1e-30))


def _names(model: "nn.Module") -> dict[int, str]:
    return {id(parameter): name for name, parameter in model.named_parameters()}


def _hooked(opened: OpenModel, call: Any) -> Any:
    """While the block runs, `call` gets the name and the first input of every module at work."""
    import contextlib

    import torch

    handles = contextlib.ExitStack()
    for name, module in opened.model.named_modules():
        has_own = any(True for _ in module.parameters(recurse=False))
        if not has_own or any(True for _ in module.children()):
            continue

        def before(_: Any, args: Any, kwargs: Any, name: str = name) -> None:
            given = (*args, *kwargs.values())
            floats = (v for v in given if isinstance(v, torch.Tensor) and v.is_floating_point())
            call(name, next(floats, None))

        handle = module.register_forward_pre_hook(before, with_kwargs=True)
        handles.callback(handle.remove)
    return handles
