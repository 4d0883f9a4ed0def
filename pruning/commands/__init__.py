"""The commands of `python -m pruning`, one file each."""
