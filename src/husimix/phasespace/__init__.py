"""How a state is written: metric, manifolds, mixtures of product states, their kernels and observables."""
