"""Models as people have them, opened for PyTorch: one adapter over all families.

`opening` loads a directory or file, `matrices` lists what can be pruned as (out, in) views,
`masking` puts masks on, `head_counts` reads how many heads a model has without opening it.
"""
