"""A run in time, for viewers and for simulators of DRAM: one file for each format."""
