"""What marks, units and causes are called, in a few words."""

MARK_WORDS = {
    "published": "published by the machine's authors or in a data sheet",
    "secondary": "read in somebody's notes on the source",
    "remembered": "not verified, so shown but never asserted",
    "inferred": "follows from something published",
    "chosen": "our choice, for which there is no source",
    "computed": "computed by us or with another public model",
    "calibrated": "fitted so that a published figure comes out",
    "set": "changed for this run with --set",
}
"""What each mark of docs/microarchitecture.md means."""

UNIT_WORDS = {
    "pe": "the PEs",
    "lane": "the lanes of the PEs",
    "multiplier": "the multipliers",
    "zero_skip": "the zero-skip controllers",
    "decompressor": "the decompressor",
    "matching": "the filling of the window",
    "broadcast": "the broadcast of activations",
    "dram": "the DRAM",
    "writeback": "the write-back port",
}
"""What each kind of unit is called in a sentence."""

BOUND = "a bound, and no recipe: no setting makes such a machine"
"""What stands in place of the settings of a change that no machine reaches."""


def masks_words(model: str | None) -> str:
    """What is said before the commands that make other masks."""
    return (
        "Other masks of the same density are not simulated here. Each command makes one in place "
        f"of this mask, to be given to --mask; $MODEL is the path of {model or 'the model'}."
    )


MODES = {"horizontal": "row", "vertical": "column"}
"""What lies along the lanes of a slot (docs/microarchitecture.md §2), by a layer's orientation."""

_CAUSE_TITLES = {
    "compute": "Compute",
    "empty_lanes": "Lanes: not full",
    "array_edge": "Lanes: edge of the array",
    "imbalance": "Schedule: uneven rows",
    "window": "Schedule: window",
    "decompressor": "Decode: decompressor",
    "dram": "Memory: DRAM",
    "writeback": "Memory: write-back",
    "pipeline": "Filling and draining",
}


def component_title(component: str) -> str:
    """A component of the energy as the head of a line."""
    return {"dram": "DRAM", "mac": "MACs"}.get(component, component.replace("_", " ").capitalize())


def cause_title(cause: str) -> str:
    """A cause as the head of a line: what part of the machine it is about comes first."""
    return _CAUSE_TITLES.get(cause, cause.replace("_", " ").capitalize())
