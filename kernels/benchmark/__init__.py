"""How fast the products are on this machine, beside those of other libraries."""
