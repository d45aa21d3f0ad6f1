"""Rows: the pinned embedded dataset, the registry of public ones, and the guard against held-out prompts."""
