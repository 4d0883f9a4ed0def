"""Dataflows: how a machine turns a mask into passes. One file or folder each."""
