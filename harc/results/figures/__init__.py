"""Figures: a module each, found by name, so that each rebuilds alone.

A figure is `list_inputs`, the files that it reads, and `draw`, both of the `Results`; `select_units` and
`select_options`, where there are any, say which backbones, methods and seeds it takes from a profile, and what besides.
"""
