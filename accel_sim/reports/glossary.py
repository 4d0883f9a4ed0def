"""What the words of a report mean, in a few more words."""

CAUSE_WORDS = {
    "compute": "multiplying kept weights",
    "empty_lanes": "multipliers idle beside others, because vectors do not fill an entry",
    "lockstep": "PEs gated while their row serves other tokens, whose activations are not zero",
    "imbalance": "PE rows waiting for the one with the most work",
    "zero_skip": "looking for entries whose activations are not all zero",
    "window": "the activation needed next was not in the window yet",
    "decompressor": "PE rows waiting for weights to be decoded",
    "pipeline": "filling and draining the multiply pipeline",
    "dram": "waiting for weights to arrive from DRAM",
    "writeback": "waiting for results to be written out",
    "dropped_weights": "multiplying weights that the mask drops",
    "unused_slots": "multiplying slots that hold no kept weight",
    "padding": "padding zeros between weights too far apart for the index",
    "array_edge": "parts of the array that the matrix or the tokens do not reach",
    "preload": "bringing the operand that stays into the array",
    "skew": "the wave running into the array and out of it",
    "empty_column": "columns in which a PE has nothing",
    "empty_window": "windows of inputs in which an output keeps nothing",
    "queue_full": "PEs waiting while the queue of another holds the broadcast up",
    "broadcast": "PEs waiting for the next activation to be broadcast",
}
"""What each cause of docs/microarchitecture.md §7 and docs/rivals.md means, in a few words."""

COMPONENT_WORDS = {
    "dram": "bytes and opened rows of the memory (off the chip; all else is the core)",
    "weight_buffer": "compressed weights written once, read once per group of tokens",
    "decompressor": "decoding the format",
    "queues": "entries waiting for their PE row; operands stepping through registers",
    "zero_skip": "inspecting entries for zero activations",
    "matching": "comparing indices, activation window",
    "activation_buffer": "reading the layer's input",
    "mac": "multiplications, and gating of lanes with nothing to multiply",
    "accumulators": "partial sums read and written",
    "writeback": "adding partial sums, writing the output",
    "leakage": "power that flows whatever is done",
}
"""What each component of docs/microarchitecture.md §9 spends its energy on."""

MARK_WORDS = {
    "published": "printed by the machine's authors or in a data sheet",
    "secondary": "read in somebody's notes on the source",
    "remembered": "not verified; shown, never asserted",
    "inferred": "follows from something published",
    "chosen": "our choice; no source gives it",
    "computed": "from another public model",
    "calibrated": "fitted so that a published figure comes out",
    "set": "changed for this run with --set",
}
"""What each mark of docs/microarchitecture.md means."""

CAPTIONS = {
    "cycles_by_cause.png": "Look for bars far longer than their black ideal mark: the colour that "
    "fills the gap names what to improve.",
    "energy_by_component.png": "Look at the hatched part first: it is traffic to DRAM, and only "
    "fewer bytes make it shorter.",
    "pe_load.png": "Look for dark red cells: a PE row with more than its share makes all others "
    "wait; an evenly pale row is a balanced layer.",
    "roofline.png": "Look at the distance to the black roof: points under its slope need fewer "
    "bytes, points under its flat part need fuller lanes (above the slope: fetched in part while "
    "the layer before was running).",
}
"""What to look for in each picture of `pictures.PICTURES`."""
