"""model.json of `accel_sim model`: its keys, what they mean, and its JSON schema."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accel_sim.models.report import SCHEMA_VERSION, OperatorResult
from accel_sim.models.simulate import Request
from accel_sim.schemas import run_report
from accel_sim.schemas.json_schema import Layout, schema_of
from accel_sim.schemas.run_report import Value, WaterfallStep


@dataclass(frozen=True)
class TokenTimes:
    """Seconds of a step of decode."""

    first: float
    mean: float
    last: float


@dataclass(frozen=True)
class Ratios:
    """How much faster than the dense model."""

    prefill: float | None
    output_token: float | None
    end_to_end: float | None


@dataclass(frozen=True)
class Stays:
    """A kind of operator that is not pruned."""

    kind: str
    share: float
    cache_bytes: int


@dataclass(frozen=True)
class DenseTwin:
    """The same model with nothing pruned."""

    time_to_first_token_s: float
    mean_time_per_output_token_s: float | None
    weight_bytes: Mapping[str, int]


@dataclass(frozen=True)
class Answer:
    """What was asked for: times, energy and memory."""

    time_to_first_token_s: float
    time_per_output_token_s: TokenTimes | None
    tokens_per_second: float | None
    end_to_end_s: float
    prefill_energy_j: float
    energy_per_output_token_j: float | None
    memory_bytes: Mapping[str, int]
    dense: DenseTwin
    speedup_vs_dense: Ratios
    most_speedup_by_pruning: Ratios
    layer_weight_ratio: float | None
    stays: Mapping[str, Sequence[Stays] | None] | None


@dataclass(frozen=True)
class Attention:
    """How attention ran in the last step of a phase."""

    window: int | None
    scores: str
    query_block: int
    is_on_chip: bool
    hidden_softmax_cycles: int


@dataclass(frozen=True)
class PhaseTotal:
    """A phase, and its operators."""

    steps: int
    tokens: int
    cycles: int
    latency_s: float
    dense_cycles: int
    macs: int
    macs_executed: int
    elements: int
    cycles_by_cause: Mapping[str, int]
    dram_bytes: Mapping[str, int]
    energy_j: float
    energy_by_component_j: Mapping[str, float]
    attention: Sequence[Attention]
    waterfall: Sequence[WaterfallStep] | None
    by_kind: Sequence[OperatorResult]
    operators: Sequence[OperatorResult]


@dataclass(frozen=True)
class ModelChange:
    """One change of the machine or of the request, simulated."""

    key: str
    change: str
    recipe: str
    difference: Mapping[str, float | None]
    prefill_cycles: int
    mean_output_token_cycles: float | None


@dataclass(frozen=True)
class Output:
    """What the model computes, beside the masked model."""

    what: str
    shape: Sequence[int]
    max_abs_error: float
    bound: float
    largest: float
    is_equal: bool
    same_choices: int | None
    prompt: str
    ids: Sequence[Sequence[int]]


@dataclass(frozen=True)
class ModelFile:
    """A report of `accel_sim model`: model.json."""

    schema_version: int
    timestamp: str
    command: str
    versions: Mapping[str, str]
    model: Mapping[str, Any]
    request: Request
    mask: Mapping[str, Any]
    notes: Sequence[str]
    answer: Answer
    phases: Mapping[str, PhaseTotal]
    advice: Sequence[ModelChange] | None
    output: Output | None
    accelerator: Mapping[str, str | int | Mapping[str, Value]]
    peak_macs_per_cycle: int


MEANINGS = {
    **{
        key: run_report.MEANINGS[key]
        for key in (
            *("schema_version", "timestamp", "command", "versions", "mask", "notes", "accelerator"),
            *("advice", "cycles", "latency_s", "macs_executed", "macs_padding", "cycles_by_cause"),
            *("energy_j", "energy_by_component_j", "waterfall", "step", "factor", "speedup"),
            *("value", "mark", "source", "key", "change", "peak_macs_per_cycle", "dense_cycles"),
            *("max_abs_error", "is_equal"),
        )
    },
    "model": "Sizes of the transformer.",
    "request": "What was asked for.",
    "answer": "Times, energy and memory, and ratios to the dense model.",
    "phases": "Prefill, and decode if tokens were generated.",
    "output": "What the model computes. It is null without --check.",
    "prefill": "Tokens of the prompt, or the figure of the prompt.",
    "generate": "Tokens to generate.",
    "batch": "Requests at once.",
    "context": "Tokens that are cached before the prompt.",
    "scores": "Where scores of attention stay. It is null where that is chosen.",
    "cache_bits": "Bits of a number in the KV cache. It is null for those of an operand.",
    "time_to_first_token_s": "Seconds until the first token.",
    "time_per_output_token_s": "Seconds of a step of decode. It is null without decode.",
    "mean_time_per_output_token_s": "Seconds of a step of decode, on average.",
    "first": "Of the first step.",
    "mean": "On average.",
    "last": "Of the last step.",
    "tokens_per_second": "Generated tokens in a second.",
    "end_to_end_s": "Seconds of the whole request.",
    "prefill_energy_j": "Energy of the prompt in joules.",
    "energy_per_output_token_j": "Energy of a generated token in joules.",
    "memory_bytes": "Peak memory in bytes, by what it holds.",
    "dense": "The same model with nothing pruned.",
    "weight_bytes": "Bytes of the weights, by where they are.",
    "speedup_vs_dense": "How much faster than the dense model.",
    "most_speedup_by_pruning": "The same if the pruned products took no time.",
    "layer_weight_ratio": "Bytes of the dense layers ÷ bytes of these.",
    "stays": "Kinds of operators that are not pruned and take most of the time.",
    "output_token": "The figure of a generated token.",
    "end_to_end": "The figure of the whole request.",
    "kind": "Kind of the operator.",
    "share": "Share of the cycles.",
    "cache_bytes": "Bytes of keys and values that it reads.",
    "steps": "Steps of the phase.",
    "tokens": "Tokens of all steps.",
    "macs": "Multiplications of the dense operator.",
    "elements": "Elements of softmax.",
    "dram_bytes": "Bytes to and from the DRAM, by kind.",
    "attention": "How attention ran in the last step, for each window.",
    "window": "Tokens that a query sees at most. It is null for all.",
    "query_block": "Queries that are computed at a time.",
    "is_on_chip": "Whether queries, keys, values and outputs stay on the chip.",
    "hidden_softmax_cycles": "Cycles of softmax beside the array, in one layer.",
    "by_kind": "Each kind of operator, of all layers.",
    "operators": "Each operator of each layer.",
    "layer": "Number of the layer. It is null for what is in none, and for sums.",
    "name": "Name of the operator. It is empty for sums.",
    "recipe": "Options that repeat the change.",
    "difference": "Time with the change ÷ time without it − 1.",
    "prefill_cycles": "Cycles of the prompt with the change.",
    "mean_output_token_cycles": "Cycles of a step of decode with the change, on average.",
    "what": "What was computed: logits or hidden states.",
    "shape": "Shape of the output.",
    "bound": "Largest difference that roundings may come to.",
    "largest": "Largest magnitude of an output.",
    "same_choices": "Logits whose largest is at the same place. It is null without logits.",
    "prompt": "Where the tokens came from.",
    "ids": "The tokens.",
}
"""What each key of model.json means, in sentences."""


def schema() -> dict[str, Any]:
    """The JSON schema of model.json."""
    return schema_of(ModelFile, "model.json of mvpsim", SCHEMA_VERSION, Layout(MEANINGS))
