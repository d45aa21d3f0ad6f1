"""Prompts that only sound harmful, and their harmful twins: asked as they are."""

from harc.suites.base import Suite

SUITES = (
    Suite("scary_safe", "over_refusal", 1, "scary but safe", column="scary", macro="Scary",
          about="XSTest's 250 safe prompts"),
    Suite("refusable_benign", "over_refusal", 2, "refusable benign", column="refus.", macro="Refusable",
          about="CoCoNot's 379 contrast prompts"),
    Suite("unsafe_contrasts", "contrast", 1, "unsafe contrasts", about="XSTest's 200 unsafe prompts"),
)  # fmt: skip
