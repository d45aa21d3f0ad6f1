"""Reference reproduction of HARC (Harmfulness-And-Refusal Coupling, arXiv 2607.00572)."""

__version__ = "0.2.0"
