"""Another order of a model's neurons, heads and channels, with the same outputs.

`axes` says which lines of which parameters go together, `stream` finds those of the residual
stream, `partition` looks for an order in which vectors keep more importance, `permute` puts these
together. `models.order` holds what was found, and undoes it.
"""
