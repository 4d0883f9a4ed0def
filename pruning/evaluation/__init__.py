"""Quality of a model, dense or masked: one file per measure, and the floors beside it."""
