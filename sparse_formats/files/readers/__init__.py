"""One file per format that others write; each yields named 2-D arrays or masked matrices."""
