"""Patterns: where kept weights may lie. One file per pattern or algorithm."""
