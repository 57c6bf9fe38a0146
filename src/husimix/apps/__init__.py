"""Edges for people: run files, command line, plots, and the exact twin by QuTiP."""
