"""A whole layer beside its measured operators, and counts beside another tool's.

Source of the measurements: the artifact of LLMCompass (Zhang et al., ISCA 2024), one layer of GPT-3
on four A100 80 GB with tensor parallelism, batch 8, FP16. The shapes are those of one device.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from accel_sim.machines.load import load_machine
from accel_sim.models.config import read_model
from accel_sim.models.simulate import ModelRun, Request, simulate_model
from accel_sim.models.transformer import ModelMatrix, Step, Transformer, score_elements
from accel_sim.models.weights import MaskedModel
from accel_sim.validation.agreement import Agreement

_WIDTH, _SHARE, _HEADS, _HEAD_WIDTH = 12_288, 3_072, 24, 128
BATCH, PROMPT, CONTEXT = 8, 2_048, 3_072

PREFILL_MS = {
    "QKV": 13.722,
    "QKᵀ": 1.881,
    "AV": 1.183,
    "attention out": 4.540,
    "FFN1": 17.464,
    "FFN2": 17.486,
    "softmax": 2.802,
    "norm": 2 * 0.682,
    "activation": 0.524,
}
"""Measured. The two reductions over the devices, of 2.891 each, are left out."""
DECODE_MS = {
    "QKV": 0.2124,
    "QKᵀ": 0.1061,
    "AV": 0.1386,
    "attention out": 0.0689,
    "FFN1": 0.1860,
    "FFN2": 0.1861,
    "softmax": 0.0167,
    "norm": 2 * 0.0480,
    "activation": 0.0479,
}
"""Measured, with 3,072 tokens cached."""


def gpt3_layer(tokens: int) -> Transformer:
    """A layer as one of four devices has it: all of the width, a quarter of heads and FFN.

    Of a prompt its attention is measured without a causal mask; for one token there is none.
    """
    shapes = {
        "QKV": (3 * _SHARE, _WIDTH),
        "attention out": (_WIDTH, _SHARE),
        "FFN1": (_WIDTH, _WIDTH),
        "FFN2": (_WIDTH, _WIDTH),
    }
    return Transformer(
        family="gpt3-layer",
        layers=1,
        width=_WIDTH,
        heads=_HEADS,
        kv_heads=_HEADS,
        head_width=_HEAD_WIDTH,
        ffn=_WIDTH,
        is_gated=False,
        activation="gelu",
        norm="layer",
        is_pre_norm=True,
        has_rope=False,
        is_causal=tokens == 1,
        embedding_rows=(),
        head_rows=0,
        is_tied=False,
        matrices=tuple(ModelMatrix(kind, kind, 0, *shape) for kind, shape in shapes.items()),
        vectors=0,
    )


@cache
def layer_run(tokens: int, cached: int) -> ModelRun:
    """The layer on a machine with the rates of an A100."""
    machine = load_machine(Path(__file__).with_name("a100_like.toml"))
    request = Request(prefill=tokens, batch=BATCH, context=cached, scores="dram")
    return simulate_model(MaskedModel(gpt3_layer(tokens), {}), request, machine)


def milliseconds(tokens: int, cached: int) -> dict[str, float]:
    """By kind of operator, those that were measured."""
    run = layer_run(tokens, cached)
    found: dict[str, float] = {}
    for total in run.prefill.operators:
        kind = total.work.kind
        found[kind] = found.get(kind, 0) + 1e3 * total.cycles / run.machine.clock.clock_hz
    return {kind: found[kind] for kind in PREFILL_MS}


def _sum(tokens: int, cached: int) -> float:
    return sum(milliseconds(tokens, cached).values())


def viewer_operations(model: Transformer, tokens: int, seen: int, has_mistakes: bool) -> int:
    """Operations as LLM-Viewer counts them: a multiplication and an addition are two.

    Scores are not halved by the causal mask; 5 a score for softmax, 7 a number for norms, 1 for
    residuals, 2 for the activation. has_mistakes: its head lacks the factor 2, and its activation
    has the width of the model in place of the FFN's.
    """
    square = replace(model, is_causal=False)
    scores = score_elements(square, Step(1, tokens, seen - tokens))
    numbers = model.layers * tokens * model.width
    activation = 2 * (numbers if has_mistakes else model.layers * tokens * model.ffn)
    head = model.head_rows * model.width * (1 if has_mistakes else 2)
    products = 2 * model.layer_weights * tokens + 4 * model.head_width * scores
    return products + 5 * scores + 2 * 7 * numbers + 2 * numbers + activation + head


def array_cycles(name: str, tokens: int, arrays: int) -> float:
    """Of all products of a prompt on dense 64×64 arrays that share them evenly, DRAM aside."""
    settings = ["operands.datatype=int8", "array.value_bits=8"]
    machine = load_machine("systolic_ws", settings)
    run = simulate_model(MaskedModel(read_model(name), {}), Request(prefill=tokens), machine)
    on_array = (
        total.cycles - total.waits.dram
        for total in run.prefill.operators
        if total.work.macs_dense and total.work.kind not in ("patch", "head")
    )
    return sum(on_array) / arrays


_MEASURED = "LLMCompass (ISCA 2024), artifact: measured on four A100 80 GB, batch 8, FP16"
_VIEWER = "LLM-Viewer, its own program run on 2,048 tokens"
_OVERHEAD = "a product of 8 rows is memory traffic of short runs and a launch, and ours has neither"


def _viewer_rows() -> Iterator[Agreement]:
    """Its totals, printed with six digits."""
    totals = {
        ("llama-2-7b", 2048): 2.87512e13,
        ("llama-2-7b", 1): 1.41697e10,
        ("llama-3-8b", 2048): 3.08132e13,
        ("llama-3-8b", 1): 1.55706e10,
    }
    for (name, tokens), operations in totals.items():
        what = f"{name}, {'prompt of 2,048' if tokens > 1 else 'a token behind 2,047'}: operations"
        count = partial(viewer_operations, read_model(name), tokens, 2048)
        half = 0.5 * operations * 1e-5
        yield Agreement(
            *("model", f"{what} by its rules", operations, "computed", _VIEWER),
            partial(count, has_mistakes=True),
            tolerance=half,
            from_program=True,
        )
        yield Agreement(
            *("model", f"{what} less its mistakes", operations, "computed", _VIEWER),
            partial(count, has_mistakes=False),
            note="theirs: the head without its factor 2, the activation as wide as the model",
            from_program=True,
        )


AGREEMENTS = (
    Agreement(
        "model",
        "GPT-3 layer, prompt of 2,048, ms",
        sum(PREFILL_MS.values()),
        "published",
        _MEASURED,
        partial(_sum, PROMPT, 0),
        tolerance=0.15 * sum(PREFILL_MS.values()),
        note="the rates of an A100, nothing fitted; all of the scores' traffic counts to QKᵀ here",
        from_program=True,
    ),
    *(
        Agreement(
            "model",
            f"the same, {kind}, ms",
            measured,
            "published",
            _MEASURED,
            partial(lambda kind: milliseconds(PROMPT, 0)[kind], kind),
            from_program=True,
        )
        for kind, measured in PREFILL_MS.items()
    ),
    Agreement(
        "model",
        "GPT-3 layer, a token behind 3,072, ms",
        sum(DECODE_MS.values()),
        "published",
        _MEASURED,
        partial(_sum, 1, CONTEXT),
        note=_OVERHEAD,
        from_program=True,
    ),
    *_viewer_rows(),
    Agreement(
        "model",
        "ViT-tiny, products on three 64×64 arrays, cycles",
        8_017_922,
        "published",
        "TransInferSim, the statistics that it ships: INT8, 200 MHz, 16 MB shared, 4 MB an array",
        partial(array_cycles, "deit-tiny", 197, 3),
        note="at full rate the multiplications take about 100,000 cycles, and nothing that we read "
        "tells what the rest of theirs is",
        from_program=True,
    ),
)
