"""What docs/reliability.md promises, tried on the real commands."""
