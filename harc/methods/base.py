"""The untreated model, which every table has first."""

from harc.settings.methods import Look

LOOKS = {"base": Look("base", 0, ("#000000", "o", "-"))}
