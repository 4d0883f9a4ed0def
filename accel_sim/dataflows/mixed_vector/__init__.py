"""The dataflow of mixed-length vectors: docs/microarchitecture.md."""
