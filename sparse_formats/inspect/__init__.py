"""What each format would cost for a given mask."""
