"""Data at rest: the pinned embedded dataset, and the registry of public ones."""
