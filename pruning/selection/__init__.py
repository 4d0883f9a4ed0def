"""Choosing what stays of scored matrices: weights, groups, tiles, or vectors of mixed lengths.

Scores are importances ≥ 0, float32 (out, in). Which choice a pattern takes is the pattern's matter
(`pruning.patterns`); here nothing is known of patterns, budgets or models.
"""
