"""Tuning: a small grid per method, tried on development prompts, all points kept, one chosen by a declared rule."""
