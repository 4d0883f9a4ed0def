"""What every dataflow is and does, and the words in which it counts."""
