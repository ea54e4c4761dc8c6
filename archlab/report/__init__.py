"""Rendering that several studies share: tables, plots, labels, drawings, statistics."""
