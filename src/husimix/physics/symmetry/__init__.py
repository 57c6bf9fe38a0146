"""Symmetry: operations, groups, and which of them a model obeys."""
