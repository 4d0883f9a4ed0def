"""Write the pages of the reference."""

from docs.from_code import write

write()
