"""Time, energy and area from what a dataflow counted."""
