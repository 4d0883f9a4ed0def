"""The commands of `python -m sparse_formats`, one file each."""
