"""The version of husimix, kept by hand beside the changelog."""

__version__ = "0.1.0"
