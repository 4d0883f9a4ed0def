"""Tensor cores: dense tiles, and the modes in which they leave weights out (docs/rivals.md §5)."""
