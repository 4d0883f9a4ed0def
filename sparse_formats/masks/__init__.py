"""Masks in memory: the matrices of a model, their names, and vectors cut from them."""
