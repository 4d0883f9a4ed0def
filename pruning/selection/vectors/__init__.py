"""The best vectors of mixed lengths within a budget.

`dyadic`, `lagrangian` and `threshold` propose candidates: an orientation, lengths and a price.
`search` finds the price of a weight at which the best vectors fill the budget, `line_solver` the
best vectors of one line at a price.
"""
