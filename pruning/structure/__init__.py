"""Which rows and columns of which matrices are one attention head, or one hidden neuron.

`heads` reads head counts from a configuration, `slices` says which lines of a matrix a unit takes,
`couplings` collects the units of any matrices by their names. `attention_and_feed_forward` finds
the blocks of a whole model.
"""
