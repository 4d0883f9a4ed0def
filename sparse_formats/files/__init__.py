"""Mask files: read in any form that people have, written whole or not at all."""
