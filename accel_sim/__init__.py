"""A cycle-level simulator of TF-MVP-style sparse transformer accelerators."""
