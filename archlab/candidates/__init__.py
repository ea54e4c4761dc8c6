"""Networks of a space, drawn by chance or found by a search: looked at, compared, and written out as variants."""
