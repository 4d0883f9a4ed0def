"""Direction strength of masks, and what vectors keep of them."""
