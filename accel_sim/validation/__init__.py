"""Numbers to be met, who they are from, and how close ours come (docs/rivals.md §7)."""
