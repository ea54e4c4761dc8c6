"""The front page: one self-contained HTML file with every table, plot, search, benchmark and network."""
