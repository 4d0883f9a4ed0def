"""Models as people have them, opened for PyTorch: one adapter over all families.

`opening` loads a directory or file, `matrices` lists what can be pruned as (out, in) views,
`structure` says which rows and columns are one head or one neuron, `masking` puts masks on.
"""
