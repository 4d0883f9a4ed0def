"""Exploring many points: a record on disk, processes that work on it, and the front of the best."""
