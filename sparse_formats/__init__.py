"""Masks, mask files, sparse encodings, and what they cost in bits."""
