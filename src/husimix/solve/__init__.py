"""How a state moves: metric solvers, the variational velocity, adaptive steps, runs and their results."""
