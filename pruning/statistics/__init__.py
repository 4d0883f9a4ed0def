"""What a model does on examples: what scores look at besides the weights."""
