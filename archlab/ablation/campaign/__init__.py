"""A measured campaign: controls, claims and verdicts, and the page that shows them."""
