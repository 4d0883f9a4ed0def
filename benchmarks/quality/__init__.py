"""What pruning costs in quality, beside what it gains in cycles: one JSON file a cell."""
