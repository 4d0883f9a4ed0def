"""Quality of a model, one file per measure; `comparison` measures a model with and without a mask.

`head_importance` measures how much each attention head matters.
"""
