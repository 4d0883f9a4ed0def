"""What each figure of a page draws, as data: frozen dataclasses that become the page's JSON."""
