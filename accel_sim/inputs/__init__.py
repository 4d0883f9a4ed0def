"""What is run: the matrices of a model, their activations, and the numbers they are in."""
