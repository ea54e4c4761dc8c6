"""A paper's tables and figures: study files, the runs that they need, and what is printed of them."""
