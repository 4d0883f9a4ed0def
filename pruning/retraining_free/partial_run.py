"""Running an encoder from a layer on, and watching its sublayers.

A walk up the layers keeps the hidden states that enter the layer it has come to, so what lies
below is not computed again. A sublayer's features F enter its output projection; its residual sum
Y = X + F·Wᵀ + b enters the normalisation that follows, in post-norm and pre-norm layers alike.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pruning.data.examples import Examples, step_numbers
from pruning.retraining_free.sublayers import Encoder, Sublayer
from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, device, nn

BATCH_TOKENS = 1024
"""Tokens run at once, padding included (chosen: BERT-base keeps 0.8 GB of them for a backward)."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Examples of like length.

    inputs: what the model takes. taken: bool (rows, length), padding is False. hidden: what enters
    the layer the walk has come to, (rows, length, hidden); None at layer 0, which the model's own
    embeddings feed.
    """

    inputs: "Mapping[str, Tensor]"
    taken: "Tensor"
    hidden: "Tensor | None" = None

    def rows_of(self, values: "Tensor") -> "Tensor":
        """`values` (rows, length, width) as (tokens, width), without padding."""
        return values[self.taken]


@dataclass(frozen=True, eq=False)
class Seen:
    """What was watched in one run: features and residual sums by sublayer, in order."""

    output: Any
    features: "list[Tensor]"
    sums: "list[Tensor]"
    hidden: "Tensor"


def sampled(examples: Examples, tokens: int, seed: int) -> tuple[Examples, float]:
    """Examples drawn without repeats until they hold `tokens` tokens, and their mean length.

    Source: K-prune takes 100,000 tokens, drawn with repeats; repeats teach nothing new.
    """
    order = step_numbers(len(examples), len(examples), 0, seed)
    lengths = np.array([len(examples.rows[int(number)]["input_ids"]) for number in order])
    count = int(np.searchsorted(np.cumsum(lengths), tokens)) + 1
    chosen = [examples.rows[int(number)] for number in order[:count]]
    return Examples(chosen, examples.pad), float(lengths[:count].mean())


def batches_of(examples: Examples, device: "device | None" = None) -> list[Batch]:
    """All examples in batches of like length, at layer 0, on `device`."""
    import torch

    order = np.argsort([len(row["input_ids"]) for row in examples.rows], kind="stable")
    batches: list[Batch] = []
    first = len(order)
    while first > 0:
        longest = len(examples.rows[int(order[first - 1])]["input_ids"])
        rows = max(1, BATCH_TOKENS // longest)
        inputs = examples.batch(order[max(0, first - rows) : first], device)
        mask = inputs.get("attention_mask")
        taken = torch.ones_like(inputs["input_ids"]).bool() if mask is None else mask.bool()
        batches.append(Batch(inputs, taken))
        first -= rows
    return batches


def run(
    encoder: Encoder,
    batch: Batch,
    first: int,
    last: int | None = None,
    gates: "Mapping[Sublayer, Tensor] | None" = None,
    watched: Sequence[Sublayer] = (),
    with_labels: bool = False,
) -> Seen:
    """Run layers `first` to `last` (all above, if None) on the batch's hidden states.

    gates: multiply a sublayer's features by these, (count · width,). watched: of which features
    (after gates) and residual sums are wanted; gradients reach the features where they are on.
    The output is the model's only where `last` is None.
    """
    features: dict[Sublayer, Tensor] = {}
    sums: dict[Sublayer, Tensor] = {}
    leaving: list[Tensor] = []
    last = len(encoder.layers) if last is None else last
    with contextlib.ExitStack() as hooks:
        enter = hooks.enter_context
        for sublayer in {*watched, *(gates or {})}:
            gate = None if gates is None else gates.get(sublayer)
            enter(_features(sublayer, gate, features))
        if watched:
            enter(_residual_sums(encoder.layers[first:last], watched, sums))
        if batch.hidden is not None:
            enter(_entering(encoder.layers[first], batch.hidden))
        enter(_leaving(encoder.layers[last - 1], leaving))
        enter(_only(encoder, first, last))
        inputs = batch.inputs if with_labels else _without_labels(batch.inputs)
        output = encoder.opened.model(**inputs)
    return Seen(
        output, [features[s] for s in watched], [sums[s] for s in watched], leaving[0].detach()
    )


def advance(
    encoder: Encoder,
    batches: list[Batch],
    layer: int,
    gates: "Mapping[Sublayer, Tensor] | None" = None,
    watched: Sequence[Sublayer] = (),
) -> "list[list[Tensor]]":
    """Put in the place of each batch the one with the hidden states that leave `layer`.

    One after the other, so that those of two layers are never held at once. Returns the residual
    sums of each sublayer watched, by batch, (tokens, hidden).
    """
    import torch

    sums: list[list[Tensor]] = [[] for _ in watched]
    with torch.no_grad():
        for place, batch in enumerate(batches):
            seen = run(encoder, batch, layer, layer + 1, gates, watched)
            for mine, values in zip(sums, seen.sums, strict=True):
                mine.append(batch.rows_of(values))
            batches[place] = Batch(batch.inputs, batch.taken, seen.hidden)
    return sums


@contextlib.contextmanager
def learning_gates(encoder: Encoder) -> Iterator[None]:
    """Gradients of features and gates alone: a weight's would make its layer keep its inputs."""
    import torch

    learning = [p for p in encoder.opened.model.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def _without_labels(inputs: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    labels = ("labels", "start_positions", "end_positions")
    return {key: value for key, value in inputs.items() if key not in labels}


@contextlib.contextmanager
def _only(encoder: Encoder, first: int, last: int) -> Iterator[None]:
    """Let the model have layers `first` to `last` only."""
    from torch import nn

    whole = getattr(encoder.owner, encoder.attribute)
    setattr(encoder.owner, encoder.attribute, nn.ModuleList(encoder.layers[first:last]))
    try:
        yield
    finally:
        setattr(encoder.owner, encoder.attribute, whole)


@contextlib.contextmanager
def _entering(layer: "nn.Module", hidden: "Tensor") -> Iterator[None]:
    """Give `layer` these hidden states instead of what comes from below."""

    def replace(
        module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (hidden, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": hidden}

    handle = layer.register_forward_pre_hook(replace, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def _leaving(layer: "nn.Module", leaving: "list[Tensor]") -> Iterator[None]:
    def note(module: Any, args: tuple[Any, ...], output: Any) -> None:
        leaving.append(output[0] if isinstance(output, tuple) else output)

    handle = layer.register_forward_hook(note)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def _features(
    sublayer: Sublayer, gate: "Tensor | None", seen: "dict[Sublayer, Tensor]"
) -> Iterator[None]:
    import torch

    def note(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        features = args[0] if gate is None else args[0] * gate
        if torch.is_grad_enabled() and not features.requires_grad:
            # The lowest watched sublayer: gradients begin here, and nothing below is kept.
            features = features.detach().requires_grad_(True)
        seen[sublayer] = features
        return (features,)

    handle = sublayer.out.module.register_forward_pre_hook(note)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def _residual_sums(
    layers: Sequence["nn.Module"],
    watched: Sequence[Sublayer],
    seen: "dict[Sublayer, Tensor]",
) -> Iterator[None]:
    """Note what enters the first normalisation called after each output projection."""
    waiting: list[Sublayer] = []
    handles = []

    def normalises(module: Any, args: tuple[Any, ...]) -> None:
        if waiting:
            seen[waiting.pop()] = args[0].detach()

    for sublayer in watched:

        def projected(module: Any, args: Any, output: Any, mine: Sublayer = sublayer) -> None:
            waiting[:] = [mine]

        handles.append(sublayer.out.module.register_forward_hook(projected))
    for layer in layers:
        handles += [
            module.register_forward_pre_hook(normalises)
            for module in layer.modules()
            if "norm" in type(module).__name__.lower()
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    missing = [s.name for s in watched if s not in seen]
    if missing:
        raise InputError(f"no normalisation follows {missing[0]}; this layout is not supported")
