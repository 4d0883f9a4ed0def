"""What marks mean, and what to look for in pictures, in a few words."""

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
