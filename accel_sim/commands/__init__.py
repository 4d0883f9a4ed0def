"""The commands of `python -m accel_sim`, one file each."""
