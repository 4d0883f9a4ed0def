"""Smaller dense models: heads, neurons and channels that a mask empties are taken out."""
