"""Settings of an evaluation: suites, decoding, the iterative attack, and the statistics of its scores."""

from typing import Literal

from pydantic import Field, model_validator

from harc.core.registry import pick
from harc.settings.base import Settings
from harc.settings.endpoints import EndpointSettings
from harc.settings.suites import AttackerSettings, ClassifierSettings, PairSettings, PrefillSettings

# Declared in rooms above this one, and asked for by name: settings import nothing that uses them.
LABELS_OF: dict[str, tuple[str, ...]] = pick("harc.judges", "registry", "LABELS_OF")
ALL_SUITES, METHOD_SUITES, WRITTEN_SUITES, ATTACK_SUITES, EXTRA_ATTACK_SUITES, is_published_mean = (
    pick("harc.suites", "registry", name)
    for name in (
        "ALL_SUITES", "METHOD_SUITES", "WRITTEN_SUITES", "ATTACK_SUITES", "EXTRA_ATTACK_SUITES", "is_published_mean",
    )
)  # fmt: skip


class EvaluationSettings(Settings):
    """What is asked of each model, how it answers, and how its answers are counted."""

    split: Literal["development", "evaluation"] = Field(
        "evaluation",
        description="Data split that is asked; choices are made on `development`, `evaluation` comes last.",
    )
    suites: tuple[str, ...] = Field(METHOD_SUITES, description="Suites to run; see docs/evaluation.md.")
    mean_attacks: tuple[str, ...] = Field(
        ATTACK_SUITES,
        min_length=1,
        description="Attacks over which `mean_asr` is taken, where all of them are run: default, those of the paper's "
        "main table; others are named wherever the mean is shown.",
    )
    max_new_tokens: int = Field(
        32, ge=1, description="Longest response, tokens; own choice: twice the longest right answer."
    )
    batch_size: int = Field(64, ge=1, description="Prompts decoded together; changes speed, not results.")
    judges: tuple[str, ...] = Field(
        ("exact", "string_rules"),
        min_length=2,
        description="Judges of every response, two at least: the first that can give the label that a rate counts "
        "decides it, the others are reported beside it; see docs/evaluation.md.",
    )
    classifier: ClassifierSettings | None = Field(
        None,
        description="The model behind judge harmbench_classifier; none: HarmBench's own, where the judge is named.",
    )
    target_endpoint: EndpointSettings | None = Field(
        None,
        description="Server of the model under test, by hand only; none: the model is loaded here. Suites that need "
        "its weights or likelihoods cannot run.",
    )
    prompts_in_flight: int | None = Field(
        None,
        ge=1,
        description="Prompts (goals, for PAIR) answered between two saves, which is what a kill can lose; none: a "
        "whole suite. Changes speed, not results.",
    )
    attacker: Literal["organism", "endpoint"] = Field(
        "organism",
        description="Who writes the prompts of PAIR: `organism` searches strategies and fillers by rule; `endpoint` "
        "is the chat model of attacker_endpoint.",
    )
    attacker_endpoint: EndpointSettings | None = Field(
        None, description="Chat model that writes the prompts of PAIR and, for rows without a text, of PAP."
    )
    attacker_replies: AttackerSettings = Field(AttackerSettings(), description="How that model is asked.")
    judge_endpoint: EndpointSettings | None = Field(
        None, description="Chat model behind the judges that are chat models."
    )
    pair: PairSettings = Field(PairSettings(), description="The iterative attack.")
    prefill: PrefillSettings = Field(PrefillSettings(), description="The attack that begins the reply.")
    project: bool = Field(
        True, description="Whether to save projections of prompts and responses onto the base directions."
    )
    projected_prompts: int | None = Field(
        None,
        ge=1,
        description="Most answers of each suite whose projections are saved, chosen by a hash of their ids, so that "
        "methods share them; none: all.",
    )
    response_window: int = Field(
        32, ge=1, description="Response tokens averaged in a projection; window of microsoft/HARC@c3565e5."
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Coverage of every interval; share.")
    power: float = Field(
        0.8, gt=0.5, lt=1, description="Power at which the minimum detectable effect is computed; share."
    )

    @model_validator(mode="after")
    def check_suites(self) -> "EvaluationSettings":
        """Refuse unknown, repeated or absent suites where the profile is read, not an hour later."""
        unknown = [suite for suite in self.suites if suite not in ALL_SUITES]
        if unknown:
            raise ValueError(f"unknown suite {unknown[0]!r}; known: {', '.join(ALL_SUITES)}")
        if not self.suites or len(set(self.suites)) != len(self.suites):
            raise ValueError("suites must name at least one suite, each once")
        return self

    @model_validator(mode="after")
    def check_mean(self) -> "EvaluationSettings":
        """Refuse a mean over suites that are no attacks, or over one of them twice."""
        attacks = (*ATTACK_SUITES, *EXTRA_ATTACK_SUITES)
        if other := [suite for suite in self.mean_attacks if suite not in attacks]:
            raise ValueError(f"mean_attacks among {', '.join(attacks)} (not {other[0]!r})")
        if len(set(self.mean_attacks)) != len(self.mean_attacks):
            raise ValueError("mean_attacks must name each attack once")
        return self

    def list_shown_attacks(self) -> tuple[str, ...]:
        """Attacks that tables and figures show one by one: the paper's four beside its mean, else all that are run."""
        if is_published_mean(self.mean_attacks):
            return ATTACK_SUITES
        run = tuple(name for name in (*ATTACK_SUITES, *EXTRA_ATTACK_SUITES) if name in self.suites)
        return run or self.mean_attacks

    @model_validator(mode="after")
    def check_attacker(self) -> "EvaluationSettings":
        """Refuse an attacking model that is not named, and a steering judge that does not judge."""
        if self.attacker == "endpoint" and self.attacker_endpoint is None:
            raise ValueError("attacker_endpoint for attacker `endpoint`")
        if self.pair.judge is not None and self.pair.judge not in self.judges:
            raise ValueError(f"pair.judge as one of the judges {', '.join(self.judges)}")
        return self

    def require_writer(self) -> None:
        """Refuse suites whose prompts a model must write, if none is named: rules write for the embedded world only.

        Raises:
            ValueError: naming the suite.
        """
        if self.attacker_endpoint is None and (asked := set(WRITTEN_SUITES) & set(self.suites)):
            raise ValueError(f"evaluation.attacker_endpoint for suite {min(asked)} on public prompts")
        if self.attacker != "endpoint" and "pair" in self.suites:
            raise ValueError("evaluation.attacker: endpoint for suite pair on public prompts")

    @model_validator(mode="after")
    def check_judges(self) -> "EvaluationSettings":
        """Refuse unknown or repeated judges, and a set of them that cannot tell a refusal or an answer."""
        unknown = [judge for judge in self.judges if judge not in LABELS_OF]
        if unknown:
            raise ValueError(f"unknown judge {unknown[0]!r}; known: {', '.join(LABELS_OF)}")
        if len(set(self.judges)) != len(self.judges):
            raise ValueError("judges must be named once each")
        if not any("refused" in LABELS_OF[judge] for judge in self.judges):
            raise ValueError("judges must hold one that can tell a refusal")
        return self
