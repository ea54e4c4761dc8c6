"""The report of a search: a page, pictures, tables and a summary, from its result alone."""
