"""Settings of the contamination guard."""

from pydantic import Field

from harc.settings.base import Settings


class ContaminationSettings(Settings):
    """When two prompts count as the same."""

    threshold: float = Field(
        0.8,
        gt=0,
        lt=1,
        description="Jaccard similarity of word shingles from which two prompts are duplicates.",
    )
    shingle_words: int = Field(3, ge=1, description="Words per shingle; shorter prompts are one shingle.")
    permutations: int = Field(128, ge=16, description="MinHash permutations; more find more of the pairs.")
    pattern_suites: tuple[str, ...] = Field(
        ("direct", "pair", "benign", "scary_safe", "documents"),
        description="Suites that use sentence patterns of training on purpose and hold out what is put into them: "
        "near-duplicates are listed and allowed, exact ones are not.",
    )
