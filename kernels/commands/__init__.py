"""The commands of `python -m kernels`, one file each."""
