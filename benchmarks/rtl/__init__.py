"""Measurements of the RTL: many tiles, wrong lines, and gates."""
