"""Settings of data at rest: where public datasets are kept and where they come from."""

from pathlib import Path

from pydantic import Field

from harc.settings.base import Settings
from harc.settings.suites import AttackForms


class DataSettings(Settings):
    """Public datasets. (The embedded dataset is pinned by data.dvc and needs no settings.)"""

    public_dir: Path = Field(Path("data/public"), description="folder that `harc data fetch` fills (path)")
    mirror: Path | None = Field(
        None, description="folder that stands in for the network, laid out as the registry's paths (path)"
    )
    timeout: float = Field(
        30.0, gt=0, le=86_400, description="longest wait for an answer from a dataset's home (seconds)"
    )


class PublicRowSettings(Settings):
    """How many rows of each kind are drawn from the public files; a pool that is smaller gives all it has."""

    seed: int = Field(0, description="seed of every draw")
    extraction_rows: int = Field(
        300,
        ge=1,
        description="harmful and as many harmless prompts (rows of each; main/data.py@c3565e5: 300)",
    )
    pair_rows: int = Field(200, ge=1, description="helpful answers of the response side; own choice (rows)")
    training_rows: int | None = Field(
        None, ge=1, description="most rows of each category; none takes all that are left (rows)"
    )
    development_rows: int = Field(40, ge=1, description="rows of each suite, for choices; own choice (rows)")
    evaluation_rows: int | None = Field(
        None,
        ge=1,
        description="most goals of the attacks, and rows of each over-refusal suite; none: all (rows)",
    )
    preference_dataset: str | None = Field(
        None,
        description="pairs of a safe and an unsafe answer, which harmful rows are then made from: id on the hub or a "
        "local folder (main/train_dpo.py@c3565e5: PKU-Alignment/PKU-SafeRLHF); none: AdvBench, with a placeholder "
        "for every harmful answer, and no rows for methods that need one",
    )
    preference_revision: str = Field("main", description="commit or branch of that dataset")
    attacks: AttackForms = Field(
        AttackForms(), description="attacks with fixed wording, and PAP's techniques"
    )
    benign_rows: int = Field(
        200, ge=1, description="rows of suites benign and wrapped_benign; own choice (rows)"
    )


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
