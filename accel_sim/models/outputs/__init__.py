"""What a model computes on a machine, and how far that is from the masked model."""
