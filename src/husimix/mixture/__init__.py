"""The mixture: a signed sum of products, moved by S θ̇ = F with every overlap in closed form."""
