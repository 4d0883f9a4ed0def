"""Models as people have them, opened for PyTorch: one adapter over all families.

`opening` loads a directory or file, `matrices` lists what can be pruned as (out, in) views,
`masking` puts masks on, `model_files` reads a model's name and head counts without opening it.
"""
