"""TF-MVP beside OPTIMUS, one assumption changed at a time, and TF-MVP with patterns of others.

    python -m benchmarks.accel_sim.rivals

prints the tables of docs/validation.md §2 and §3 as Markdown. One layer of GPT-2 small, 128
tokens, a fifth of the weights kept; masks are generated, not trained.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from accel_sim.comparisons.compare import Pair, compare
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.synthetic.shapes import parse_shapes

TOKENS, DENSITY, SEED = 128, 0.2, 0
LAYER = ["^h\\.0\\."]
PUBLISHED = 2.09


@dataclass(frozen=True)
class Assumption:
    """One thing otherwise: settings of each machine, and the pattern of the masks."""

    what: str
    tf_mvp: Sequence[str] = ()
    optimus: Sequence[str] = ()
    pattern: str = "mvp"
    tokens: int = TOKENS


AT_500 = ("clock_hz=500e6", "dram.bytes_per_cycle=64", "first_latency_cycles=50")
AT_200 = ("clock_hz=200e6", "dram.bytes_per_cycle=160", "first_latency_cycles=20")
EQUAL = ("pe_rows=4096",)
DRAM = ("dram.memory=lpddr4_2400",)
BUFFERS = ("weight_buffer.bytes=655360", "weight_buffer.banks=16")
ASSUMPTIONS = (
    Assumption("as shipped, OPTIMUS at 4096 MACs"),
    Assumption("OPTIMUS with 1024 MACs, as remembered", optimus=("pe_rows=1024",)),
    Assumption("OPTIMUS at 500 MHz like TF-MVP", optimus=AT_500),
    Assumption("TF-MVP at 200 MHz like OPTIMUS", tf_mvp=AT_200),
    Assumption("OPTIMUS with TF-MVP's weight buffer", optimus=BUFFERS),
    Assumption("both with LPDDR4-2400, 19.2 instead of 32 GB/s", DRAM, DRAM),
    Assumption("window of 16 inputs in both", ("window_inputs=16",), ("window_inputs=16",)),
    Assumption("window of 768 inputs in both", ("window_inputs=768",), ("window_inputs=768",)),
    Assumption("TF-MVP without packing", tf_mvp=("packing=false",)),
    Assumption(
        "16 tokens share an entry in OPTIMUS too",
        optimus=("pe_rows=256", "token_columns=16", "words_per_cycle=256"),
    ),
    Assumption(
        "the same, at 500 MHz, with TF-MVP's weight buffer and DRAM",
        optimus=(
            *("pe_rows=256", "token_columns=16", "words_per_cycle=256"),
            *(*AT_500, *BUFFERS),
        ),
    ),
    Assumption(
        "TF-MVP with one token column",
        tf_mvp=("token_columns=1", "pe_rows=256", "weight_buffer.banks=256"),
    ),
    Assumption("fine-grained masks", pattern="fine"),
    Assumption("one token", tokens=1),
)


def generated(pattern: str, tokens: int) -> Workload:
    """Generated masks of the layer."""
    return Workload.generated(
        "gpt2-small",
        Activations(tokens),
        density=DENSITY,
        pattern=pattern,
        seed=SEED,
        include=LAYER,
    )


def ratios(assumption: Assumption) -> tuple[float, float]:
    """OPTIMUS over TF-MVP: time and energy."""
    workload = generated(assumption.pattern, assumption.tokens)
    machines = [
        load_machine("tf_mvp", assumption.tf_mvp),
        load_machine("optimus", [*EQUAL, *assumption.optimus]),
    ]
    ours, theirs, *_ = compare({"": workload}, machines)
    return theirs.latency_s / ours.latency_s, theirs.energy_j / ours.energy_j


def fine_grained(rng: np.random.Generator, rows: int, cols: int) -> np.ndarray:
    return rng.random((rows, cols)) < DENSITY


def blocks(height: int, width: int) -> Callable[[np.random.Generator, int, int], np.ndarray]:
    """Aligned blocks of outputs × inputs, each kept or dropped whole."""

    def mask(rng: np.random.Generator, rows: int, cols: int) -> np.ndarray:
        kept = rng.random((-(-rows // height), -(-cols // width))) < DENSITY
        return np.kron(kept, np.ones((height, width), np.bool_))[:rows, :cols].astype(np.bool_)

    return mask


def one_of_four(rng: np.random.Generator, rows: int, cols: int) -> np.ndarray:
    return rng.integers(0, 4, (rows, cols // 4, 1)).repeat(4, 2).reshape(rows, cols) == (
        np.arange(cols) % 4
    )


PATTERNS = {
    "fine-grained": fine_grained,
    "vectors 1 × 4": blocks(1, 4),
    "vectors 1 × 8": blocks(1, 8),
    "vectors 1 × 16": blocks(1, 16),
    "vectors 16 × 1": blocks(16, 1),
    "blocks 4 × 4": blocks(4, 4),
    "blocks 16 × 16": blocks(16, 16),
    "1 of 4 (a quarter kept)": one_of_four,
}
MACHINES = ("tf_mvp", "optimus", "tensor_core_1_4", "tensor_core_vector_wise", "cambricon_x")


def drawn(name: str) -> Workload:
    """Masks of one pattern of the layer's shapes."""
    rng = np.random.default_rng(SEED)
    shapes = [shape for shape in parse_shapes("gpt2-small") if shape.name.startswith("h.0.")]
    matrices = [
        MaskedMatrix(shape.name, PATTERNS[name](rng, shape.rows, shape.cols), kind=shape.kind)
        for shape in shapes
    ]
    return Workload.of(matrices, Activations(TOKENS))


def pattern_rows() -> list[Pair]:
    workloads = {"mixed-length vectors": generated("mvp", TOKENS)}
    workloads |= {name: drawn(name) for name in PATTERNS}
    pairs = compare(workloads, [load_machine(name) for name in MACHINES])
    return [pair for pair in pairs if pair.mask != pair.dense]


def main() -> None:
    print("| assumption | time, OPTIMUS / TF-MVP | energy, OPTIMUS / TF-MVP |")
    print("|---|---:|---:|")
    print(f"| published, on unstated assumptions | | {PUBLISHED} |")
    for assumption in ASSUMPTIONS:
        time, energy = ratios(assumption)
        print(f"| {assumption.what} | {time:.2f} | {energy:.2f} |")
    pairs = pattern_rows()
    print("\n| pattern | machine | stored as | needed | time µs | energy µJ |")
    print("|---|---|---|---:|---:|---:|")
    for pair in pairs:
        needed = "–" if pair.needed_share is None else f"{100 * pair.needed_share:.0f} %"
        print(
            f"| {pair.mask} | {pair.accelerator} | {pair.stored} | {needed} "
            f"| {pair.latency_s * 1e6:,.0f} | {pair.energy_j * 1e6:,.0f} |"
        )


if __name__ == "__main__":
    main()
