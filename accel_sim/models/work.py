"""What an operator counts once, whatever waits around it, and what it comes to in time."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from accel_sim.costs.energy import energy_of
from accel_sim.costs.tables import energy_pj, node_factor
from accel_sim.dataflows.abstract.account import LayerRun, LayerTime
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.loads import tile_loads
from accel_sim.dataflows.abstract.timeline import alone
from accel_sim.models.attention import AttentionRun
from accel_sim.models.dense_product import Product
from accel_sim.models.vector_unit import VectorWork

VECTOR_OPERATIONS = "vector_operations"
BYTES = ("weights", "cache", "activations", "embedding")
"""Kinds of bytes that the DRAM moves."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One operator in one step. kind: as in the table of docs/whole_models.md §2; name: of a
    matrix, "" of others.

    causes: of its cycles, without what it waits for. macs: multiplications that are needed;
    executed: that were done; elements: of softmax. actions: as `account.ACTIONS`, and operations
    of the vector unit. bytes: that the DRAM moves, by kind.
    """

    kind: str
    layer: int | None = None
    name: str = ""
    macs_dense: int = 0
    executed: int = 0
    padding: int = 0
    elements: int = 0
    causes: Mapping[str, int] = field(default_factory=dict)
    actions: Mapping[str, int] = field(default_factory=dict)
    clocked: int = 0
    bytes: Mapping[str, int] = field(default_factory=dict)


_NUMBERS = ("macs_dense", "executed", "padding", "elements", "clocked")
_COUNTS = ("causes", "actions", "bytes")


def of_weights(run: LayerRun, layer: int | None, machine: Machine) -> Work:
    """Of a product of weights."""
    time = alone(run, machine)
    account = machine.account(run, time)
    waits = ("dram", "decoder", "writeback")
    by_time = ("dram_bytes", "dram_activations", "clocked_cycles", "leaking_cycles")
    return Work(
        kind=run.kind,
        layer=layer,
        name=run.name,
        macs_dense=run.shape[0] * run.shape[1] * run.tokens,
        executed=account.executed,
        padding=account.padding,
        causes={cause: n for cause, n in account.causes.items() if cause not in waits and n},
        actions={key: n for key, n in account.actions.items() if key not in by_time and n},
        clocked=run.pass_cycles,
        bytes=_weight_bytes(run, machine),
    )


def _weight_bytes(run: LayerRun, machine: Machine) -> dict[str, int]:
    loads = tile_loads(run, machine)
    return {
        "weights": sum(load.weights.bytes for load in loads),
        "activations": sum(load.inputs.bytes + load.outputs.bytes for load in loads),
    }


def of_vector(
    kind: str, layer: int | None, work: VectorWork, bits: int, moved: Mapping[str, int]
) -> Work:
    """Of an operator of the vector unit; `bits` of a number in the activation buffer."""
    return Work(
        kind=kind,
        layer=layer,
        causes={"vector": work.cycles},
        actions=_vector_actions(work, bits),
        bytes=moved,
    )


def of_attention(run: AttentionRun, width: int, machine: Machine) -> list[Work]:
    """QKᵀ, softmax and AV of some layer; `width` of a head. Keys and values are QKᵀ's."""
    needed = run.heads * sum(each.elements for each in run.work)
    bits = 8 * machine.operand_bytes
    half = {
        "weight_bits_written": run.weight_buffer_bits // 2,
        "activation_bits_read": run.activation_bits_read // 2,
    }
    return [
        _of_products("QKᵀ", run.scores, needed * width, half, run.bytes),
        Work(
            kind="softmax",
            elements=needed,
            causes={"vector": run.exposed_cycles},
            actions=_vector_actions(run.softmax, bits),
        ),
        _of_products("AV", run.values, needed * width, half, {}),
    ]


def _of_products(
    kind: str,
    products: Counter[Product],
    needed: int,
    more: Mapping[str, int],
    moved: Mapping[str, int],
) -> Work:
    executed = sum(count * product.executed for product, count in products.items())
    padding = sum(count * product.padding for product, count in products.items())
    return Work(
        kind=kind,
        macs_dense=needed,
        executed=needed,
        padding=padding + executed - needed,
        causes=added((product.causes, count) for product, count in products.items()),
        actions=added(
            [*((product.actions, count) for product, count in products.items()), (more, 1)]
        ),
        clocked=sum(count * product.clocked for product, count in products.items()),
        bytes=moved,
    )


def _vector_actions(work: VectorWork, bits: int) -> dict[str, int]:
    return {
        VECTOR_OPERATIONS: work.operations,
        "activation_bits_read": bits * work.read,
        "activation_bits_written": bits * work.written,
    }


def together(works: Sequence[Work]) -> Work:
    """What an operator counted in some steps."""
    first = works[0]
    if all(work is first for work in works):
        counted = [(first, len(works))]
    else:
        counted = [(work, 1) for work in works]
    return replace(
        first,
        **{key: sum(n * getattr(work, key) for work, n in counted) for key in _NUMBERS},
        **{key: added((getattr(work, key), n) for work, n in counted) for key in _COUNTS},
    )


def added(counted: Iterable[tuple[Mapping[str, int], int]]) -> dict[str, int]:
    """Counts, each as often as the number beside it says."""
    found: dict[str, int] = {}
    for counts, times in counted:
        for key, count in counts.items():
            found[key] = found.get(key, 0) + times * count
    return found


@dataclass(frozen=True)
class Waits:
    """What operators waited for, and what the DRAM moved, in all steps of a phase."""

    dram: int
    decoder: int
    writeback: int
    dram_bytes: int
    dram_activations: int

    @classmethod
    def of(cls, times: Iterable[LayerTime]) -> "Waits":
        found = list(times)
        return cls(
            dram=sum(time.wait_dram for time in found),
            decoder=sum(time.wait_decoder for time in found),
            writeback=sum(time.wait_writeback + time.tail for time in found),
            dram_bytes=sum(time.dram_read_bytes + time.dram_write_bytes for time in found),
            dram_activations=sum(time.dram_activations for time in found),
        )

    @classmethod
    def sum(cls, waits: Iterable["Waits"]) -> "Waits":
        """Of all of them."""
        found = [tuple(vars(each).values()) for each in waits]
        return cls(*(sum(values) for values in zip(*found, strict=True)))


def energy(
    actions: Mapping[str, int], clocked: int, cycles: int, waits: Waits, machine: Machine
) -> dict[str, float]:
    """Joule by component; "vector" is the operations of the vector unit."""
    found = energy_of(
        {
            **actions,
            "clocked_cycles": clocked,
            "leaking_cycles": cycles,
            "dram_bytes": waits.dram_bytes,
            "dram_activations": waits.dram_activations,
        },
        machine,
    )
    logic = node_factor("energy", machine.energy.table, machine.energy.case)
    price = energy_pj("vector_op", machine.energy.case) * logic * machine.energy.scale
    return {**found, "vector": 1e-12 * price * actions.get(VECTOR_OPERATIONS, 0)}
