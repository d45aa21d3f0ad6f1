"""The type checker that tests put on every function of harc (production code runs without it)."""

from beartype import BeartypeConf, beartype

# An int where a float is declared is fine, as everywhere in Python.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
