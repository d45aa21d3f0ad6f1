"""Harmless requests, plain and inside the attacks' forms: a model that cannot read a form is not safe from it."""

from harc.suites.base import Suite

FORMS = ("deepinception", "codeattack", "persona")
"""Suites whose forms `wrapped_benign` puts around public goals, in turn."""

SUITES = (
    Suite("benign", "benign", 1, "benign", macro="Benign", about="plain instructions of Alpaca"),
    Suite("wrapped_benign", "benign", 2, "wrapped benign", macro="Wrapped",
          about="plain instructions in the attacks' forms: can the model read them at all?"),
)  # fmt: skip
