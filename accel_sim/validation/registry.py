"""All agreements, machine by machine."""

from collections.abc import Iterator

from accel_sim.validation import (
    cambricon_x,
    channel_merging,
    dual_side,
    eie,
    fpga_zero_skip,
    index_matching,
    optimus,
    power,
    scnn,
    sigma,
    systolic,
    tensor_core,
    whole_models,
    xor_net,
)
from accel_sim.validation.agreement import Agreement, Finding

AGREEMENTS: dict[str, tuple[Agreement, ...]] = {
    "systolic": (*systolic.AGREEMENTS, *power.SYSTOLIC),
    "optimus": optimus.AGREEMENTS,
    "eie": (*eie.AGREEMENTS, *power.EIE),
    "cambricon_x": (*cambricon_x.AGREEMENTS, *power.CAMBRICON_X),
    "tensor_core": tensor_core.AGREEMENTS,
    "index_matching": index_matching.AGREEMENTS,
    "sigma": sigma.AGREEMENTS,
    "dual_side": dual_side.AGREEMENTS,
    "scnn": scnn.AGREEMENTS,
    "channel_merging": channel_merging.AGREEMENTS,
    "fpga_zero_skip": fpga_zero_skip.AGREEMENTS,
    "xor_net": xor_net.AGREEMENTS,
    "tf_mvp": power.TF_MVP,
    "model": whole_models.AGREEMENTS,
}


def findings() -> Iterator[Finding]:
    """Every agreement, recomputed in order."""
    for agreements in AGREEMENTS.values():
        for agreement in agreements:
            yield Finding(agreement, float(agreement.ours()))
