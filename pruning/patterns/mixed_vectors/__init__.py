"""Mixed-length vector pruning: the patterns and the search behind them."""
