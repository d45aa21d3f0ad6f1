"""Figures that come from others' data: computed by a command, committed as numbers with the sources' hashes."""
