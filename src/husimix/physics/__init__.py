"""What the system is: sites and lattices, operators, Lindbladians, named models, symmetry."""
