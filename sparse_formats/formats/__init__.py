"""Sparse formats: one file each, listed in `registry`."""
