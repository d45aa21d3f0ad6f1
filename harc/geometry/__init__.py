"""Directions of harmfulness and refusal: extraction, choice of layers, projections, trajectories."""
