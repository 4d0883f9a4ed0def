"""Quality of a model, one file per measure; `comparison` measures it dense and masked, and its floors.

`head_importance` measures how much each attention head matters.
"""
