"""Clusters: one product background and all correlations inside small connected clusters of sites."""
