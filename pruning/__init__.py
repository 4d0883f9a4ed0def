"""Scores and masks for transformers, from direction strength to mixed-length vectors."""
