"""Dataflow families beside the mixed-vector machine (docs/rivals.md)."""
