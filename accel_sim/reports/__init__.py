"""What a run found out, and how people read it."""
