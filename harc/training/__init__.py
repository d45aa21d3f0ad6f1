"""Adapter training: one resumable loop, into which each method's objective plugs."""
