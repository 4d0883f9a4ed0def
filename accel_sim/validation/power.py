"""Power and area of published chips, and TF-MVP's efficiency, on our tables at the chip's node.

A chip's machine has the buffers and the clock of its paper. Power is core energy over time, at work
that keeps the chip busy. The tables' rows, the distances and the registers were fixed before any of
these figures was computed (docs/microarchitecture.md §9).
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.reports.report import Report
from accel_sim.validation import eie
from accel_sim.validation.agreement import Agreement
from sparse_formats.masks.matrix import MaskedMatrix

FACTOR = 2
EIE_CHIP = (
    "energy.table=45nm",
    f"weight_buffer.bytes={64 * 160 * 1024}",
    f"activation_buffer.bytes={64 * 2 * 1024}",
    "activation_buffer.banks=64",
)
"""128 KB of entries, 32 KB of pointers and 2 KB of activations in each of 64 PEs (remembered)."""
CAMBRICON_X_CHIP = (
    "energy.table=65nm",
    f"weight_buffer.bytes={16 * 2 * 1024}",
    f"activation_buffer.bytes={2 * 8 * 1024}",
    "activation_buffer.banks=2",
    "array.output_words=16",
)
"""2 KB of weights in each of 16 PEs, two neuron buffers of 8 KB (remembered).

An output for each PE at a time, or a tile would not fit half of the weights' buffer.
"""


TPU_CHIP = (
    *("rows=256", "cols=256", "clock_hz=700e6", "array.value_bits=8", "operands.datatype=int8"),
    f"weight_buffer.bytes={4 * 64 * 1024}",
    f"activation_buffer.bytes={24 * 1024 * 1024}",
    "activation_buffer.banks=96",
)
"""256 × 256 MACs of INT8, four tiles of weights, 24 MB of activations (remembered)."""


@cache
def eie_run() -> Report:
    """Alex-7 with a random mask of its densities, one token."""
    layer = eie.LAYERS["Alex-7"]
    keep = np.random.default_rng(0).random((layer.outputs, layer.inputs)) < layer.weight_density
    activations = Activations(1, layer.activation_density)
    return _run("eie", EIE_CHIP, Workload.of([MaskedMatrix("Alex-7", keep)], activations))


@cache
def cambricon_x_run() -> Report:
    """A dense matrix, which keeps all multipliers busy: the published GOP/s are the peak."""
    dense = MaskedMatrix("dense", np.ones((768, 256), np.bool_))
    return _run("cambricon_x", CAMBRICON_X_CHIP, Workload.of([dense], Activations(128)))


@cache
def tpu_run() -> Report:
    """A dense matrix of 4 × 4 tiles and enough tokens to keep the array busy."""
    dense = MaskedMatrix("dense", np.ones((1024, 1024), np.bool_))
    return _run("systolic_ws", TPU_CHIP, Workload.of([dense], Activations(4096)))


@cache
def tf_mvp_run() -> Report:
    """One layer of GPT-2 small, a fifth kept in vectors of mixed lengths, 128 tokens."""
    options = {"density": 0.2, "pattern": "mvp", "include": ["^h\\.0\\."]}
    return _run("tf_mvp", (), Workload.generated("gpt2-small", Activations(128), **options))


def _run(machine: str, settings: Sequence[str], workload: Workload) -> Report:
    return simulate(workload, load_machine(machine, settings), is_checked=False)


def watt(report: Report) -> float:
    """Core energy over time."""
    energy = report.total.energy_by_component_j
    return (sum(energy.values()) - energy["dram"]) / report.total.latency_s


def pj_per_operation(report: Report) -> float:
    """Core energy over two operations for each executed MAC."""
    total = report.total
    return watt(report) * total.latency_s / (2 * total.macs_executed) * 1e12


def _mm2(report: Report) -> float:
    return sum(report.area_mm2.values())


def _gops_per_watt(basis: str) -> float:
    return tf_mvp_run().total.gops_per_watt[basis] or 0.0


_EIE = "EIE (ISCA 2016), abstract"
_CAMBRICON_X = "Zhang et al., MICRO 2016, abstract"
_TF_MVP = "Yoo et al., DAC 2023, abstract; GPT-2 small"
_FULL_LOAD = "ours: a dense product, 74 % of the multipliers busy; theirs: at the peak"

SYSTOLIC = (
    Agreement(
        "systolic",
        "power of TPU v1 at 28 nm, W",
        40,
        "remembered",
        "Jouppi et al., ISCA 2017: busy",
        lambda: watt(tpu_run()),
        relation="within a factor",
        note="ours: core alone, at 79 % of the multipliers",
    ),
)
EIE = (
    Agreement(
        "eie",
        "power at 45 nm, mW",
        600,
        "published",
        _EIE,
        lambda: 1e3 * watt(eie_run()),
        tolerance=FACTOR,
        relation="within a factor",
        note="ours: Alex-7, random mask; buffers as remembered",
    ),
    Agreement(
        "eie",
        "core energy at 45 nm, pJ per executed operation",
        5.88,
        "published",
        f"{_EIE}: 600 mW over 102 GOP/s",
        lambda: pj_per_operation(eie_run()),
        tolerance=FACTOR,
        relation="within a factor",
    ),
    Agreement(
        "eie",
        "area at 45 nm, mm²",
        40.8,
        "remembered",
        "EIE (ISCA 2016)",
        lambda: _mm2(eie_run()),
        relation="within a factor",
        note="ours: 97 % of it SRAM",
    ),
)
CAMBRICON_X = (
    Agreement(
        "cambricon_x",
        "power at 65 nm, mW",
        954,
        "published",
        _CAMBRICON_X,
        lambda: 1e3 * watt(cambricon_x_run()),
        tolerance=FACTOR,
        relation="within a factor",
        note=_FULL_LOAD,
    ),
    Agreement(
        "cambricon_x",
        "core energy at 65 nm, pJ per executed operation",
        1.75,
        "published",
        f"{_CAMBRICON_X}: 954 mW over 544 GOP/s",
        lambda: pj_per_operation(cambricon_x_run()),
        relation="within a factor",
        note="more than a factor of two: every output reads every window anew, and all wires are "
        "half an array long",
    ),
    Agreement(
        "cambricon_x",
        "area at 65 nm, mm²",
        6.38,
        "published",
        _CAMBRICON_X,
        lambda: _mm2(cambricon_x_run()),
        tolerance=FACTOR,
        relation="within a factor",
        note="buffers as remembered",
    ),
)
TF_MVP = (
    Agreement(
        "tf_mvp",
        "GOPS/W of executed operations, core",
        377,
        "published",
        _TF_MVP,
        lambda: _gops_per_watt("executed_core"),
        tolerance=FACTOR,
        relation="within a factor",
        note="how operations are counted is not said; ours: one layer, a fifth kept, 128 tokens",
    ),
    Agreement(
        "tf_mvp",
        "GOPS/W of dense-equivalent operations, core",
        377,
        "published",
        _TF_MVP,
        lambda: _gops_per_watt("dense_equivalent_core"),
        relation="within a factor",
        note="with a fifth kept this basis counts five times the operations",
    ),
)
