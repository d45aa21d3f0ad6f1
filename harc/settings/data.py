"""Settings of data at rest: where public datasets are kept and where they come from."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from harc.core.registry import pick
from harc.settings.base import Settings
from harc.settings.suites import AttackForms

LABELS_OF: dict[str, tuple[str, ...]] = pick("harc.judges", "registry", "LABELS_OF")
ATTACKS: tuple[str, ...] = (
    *pick("harc.suites", "registry", "ATTACK_SUITES"),
    *pick("harc.suites", "registry", "EXTRA_ATTACK_SUITES"),
)


class DataSettings(Settings):
    """Public datasets. (The embedded dataset is pinned by data.dvc and needs no settings.)"""

    public_dir: Path = Field(Path("data/public"), description="folder that `harc data fetch` fills (path)")
    mirror: Path | None = Field(
        None, description="folder that stands in for the network, laid out as the registry's paths (path)"
    )
    registry: Path | None = Field(
        None, description="registry of public files in place of the project's, in its form (path)"
    )
    timeout: float = Field(
        30.0, gt=0, le=86_400, description="longest wait for an answer from a dataset's home (seconds)"
    )


class OwnAnswerSettings(Settings):
    """How a model's own answers are asked for, and which are taken."""

    max_new_tokens: int = Field(
        48, ge=1, description="Longest answer, the opening not counted; own choice (tokens)."
    )
    batch_size: int = Field(32, ge=1, description="Prompts decoded together; changes speed, not results.")
    judge: str = Field(
        "refusal_rules",
        description="Judge that decides whether an answer is a refusal, an answer or garbled; see docs/evaluation.md.",
    )
    refusal_opening: str = Field(
        "I'm sorry, but I can't",
        min_length=1,
        description="What a refusal begins with where the model does not refuse by itself; own choice.",
    )
    compliant_opening: str = Field(
        "Sure, here is",
        min_length=1,
        description="What an answer to a harmful request begins with, as in suite prefill; own choice.",
    )
    helpful_opening: str = Field(
        "Certainly!",
        min_length=1,
        description="What an answer to a benign request begins with where the model refuses it or writes gibberish; "
        "own choice.",
    )
    benign_refused: Literal["prefilled", "dropped"] = Field(
        "prefilled",
        description="What becomes of a benign row that the model does not answer by itself: prefilled = answered "
        "behind `helpful_opening`, so that rows it refuses wrongly teach answering; dropped = left out.",
    )

    @field_validator("judge")
    @classmethod
    def check_judge(cls, judge: str) -> str:
        """Refuse a judge that cannot tell the three apart."""
        able = [name for name, labels in LABELS_OF.items() if {"refused", "correct", "garbled"} <= {*labels}]
        if judge not in able:
            raise ValueError(f"one of {', '.join(able)}")
        return judge


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
    unanswered: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the harmless training rows, and of the helpful pairs, that are prompts which no dataset "
        "answers (Alpaca's instructions): for data.answers: own",
    )
    development_rows: int = Field(40, ge=1, description="rows of each suite, for choices; own choice (rows)")
    evaluation_rows: int | None = Field(
        None,
        ge=1,
        description="most goals of the attacks; none: all (rows)",
    )
    over_refusal_rows: int | None = Field(
        None,
        ge=1,
        description="most rows of each over-refusal suite and of unsafe_contrasts; none: all (rows)",
    )
    preference_dataset: str | None = Field(
        None,
        description="pairs of a safe and an unsafe answer, which harmful rows are then made from: id on the hub or a "
        "local folder (main/train_dpo.py@c3565e5: PKU-Alignment/PKU-SafeRLHF); none: AdvBench, whose "
        "harmful answers the model must write itself (data.answers: own)",
    )
    preference_revision: str = Field("main", description="commit or branch of that dataset")
    attacks: AttackForms = Field(
        AttackForms(), description="attacks with fixed wording, and PAP's techniques"
    )
    attack_goals: dict[str, Annotated[int, Field(ge=1)]] = Field(
        {},
        description="most goals of single attacks, by suite: the first of those that the others ask, so that goals "
        "stay the same over attacks; on the development split too, where that is less than development_rows (goals)",
    )
    benign_rows: int = Field(
        200, ge=1, description="rows of suites benign and wrapped_benign; own choice (rows)"
    )

    @field_validator("attack_goals")
    @classmethod
    def check_attacks(cls, goals: dict[str, int]) -> dict[str, int]:
        """Refuse a suite that is no attack."""
        unknown = [suite for suite in goals if suite not in ATTACKS]
        if unknown:
            raise ValueError(f"unknown attack {unknown[0]!r}; known: {', '.join(ATTACKS)}")
        return goals


class RowSource(DataSettings):
    """Where a profile's rows come from."""

    source: Literal["dvc", "build", "public"] = Field(
        "dvc",
        description="dvc: pulled at the version that data.dvc pins; build: generated from `world` in the run; "
        "public: assembled from the registered public files.",
    )
    directory: str = Field("data/organism", description="Folder of the row files.")
    rows: PublicRowSettings = Field(PublicRowSettings(), description="How many rows `public` draws.")
    answers: Literal["given", "own"] = Field(
        "given",
        description="Answers that are trained on and that directions are read from: given = those of the rows; own = "
        "each backbone's own, written by step write_answers.",
    )
    own: OwnAnswerSettings = Field(OwnAnswerSettings(), description="How own answers are asked for.")

    @model_validator(mode="after")
    def check_answers(self) -> "RowSource":
        """Refuse public rows of which some have no answer at all, and nobody writes one."""
        if self.source == "public" and self.answers == "given":
            if self.rows.preference_dataset is None:
                raise ValueError(
                    "answers: own, or rows.preference_dataset, for source public: AdvBench has no answers to learn from"
                )
            if self.rows.unanswered:
                raise ValueError("answers: own for rows.unanswered, which nothing answers otherwise")
        return self


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
