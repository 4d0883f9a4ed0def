"""JSON schemas of the reports, which come with the package as *.schema.json."""
