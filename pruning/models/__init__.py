"""Models as people have them, opened for PyTorch: one adapter over all families.

`opening` loads a directory or file, `matrices` lists what can be pruned as (out, in) views,
`masking` puts masks on, `order` moves units to other places, `outputs` compares two models,
`model_files` reads a model's name and head counts without opening it.
"""
