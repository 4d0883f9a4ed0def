"""What is simulated where nothing is said. Nothing is imported here: help texts are quick."""

TOKENS = 128
"""Tokens through each matrix."""

DENSITY = 0.2
"""Kept share of generated masks."""

PATTERN = "mvp"
"""Pattern of generated masks."""

ACCELERATOR = "tf_mvp"
