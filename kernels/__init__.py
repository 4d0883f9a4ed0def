"""Sparse × dense products on this CPU."""
