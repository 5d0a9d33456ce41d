"""Hierarchies of the user's own: readers, embedding by a table of points, exact measures."""
