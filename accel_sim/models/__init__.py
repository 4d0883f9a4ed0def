"""Whole models: everything that a transformer does from the prompt to the last token."""
