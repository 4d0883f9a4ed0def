"""The compiled loops of a product, one file for each kind of piece a matrix is cut into."""
