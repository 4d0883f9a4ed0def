"""Masks made up to the shapes of known models: for scale and speed, never for quality."""
