"""Machines: their descriptions, read from TOML files."""
