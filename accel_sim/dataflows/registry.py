"""The dataflows by the name that machine files give. A new one is one file and a line here."""

from collections.abc import Mapping
from typing import Any

from accel_sim.dataflows.abstract.causes import BETWEEN_PASSES, Cause
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.machine_sections import SHARED, Clock
from accel_sim.dataflows.cambricon_x import CambriconX
from accel_sim.dataflows.channel_merging import ChannelMerging
from accel_sim.dataflows.dual_side import DualSide
from accel_sim.dataflows.eie import Eie
from accel_sim.dataflows.index_matching import IndexMatching
from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from accel_sim.dataflows.rcsc import Rcsc
from accel_sim.dataflows.scnn import Scnn
from accel_sim.dataflows.sigma import Sigma
from accel_sim.dataflows.systolic import Systolic
from accel_sim.dataflows.tensor_core.dataflow import TensorCore

DATAFLOWS: dict[str, type[Machine]] = {
    "mixed_vector": MixedVector,
    "systolic": Systolic,
    "rcsc": Rcsc,
    "eie": Eie,
    "cambricon_x": CambriconX,
    "tensor_core": TensorCore,
    "index_matching": IndexMatching,
    "sigma": Sigma,
    "dual_side": DualSide,
    "scnn": Scnn,
    "channel_merging": ChannelMerging,
}


def sections_of(dataflow: str) -> dict[str, Any]:
    """Section → its dataclass, in the order in which a machine's file has them."""
    return {"clock": Clock, **DATAFLOWS[dataflow].own_sections(), **SHARED}


def causes_of(dataflow: str) -> Mapping[str, Cause]:
    """Every cause that a report of a machine of this dataflow names, in its order."""
    return {**DATAFLOWS[dataflow].causes, **BETWEEN_PASSES}
