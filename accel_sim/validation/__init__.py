"""Numbers that we did not make, and how close ours come (docs/rivals.md §7)."""
