"""Settings of looks at what a defence leaves: how it reads its own answers, and how fine-tuning wears it away."""

from typing import Any, ClassVar

from pydantic import Field, model_validator

from harc.settings.base import Settings

# Of a profile's shared training settings, what a harmful fine-tuning takes over: shape, lengths, memory.
SHARED = (
    "lora",
    "max_prompt_tokens",
    "max_response_tokens",
    "precision",
    "gradient_checkpointing",
    "tokens_per_forward",
    "head_rows",
)


class TrajectorySettings(Settings):
    """Projection of every generated token onto the base model's response directions."""

    methods: tuple[str, ...] = Field(
        (),
        description="methods whose recorded answers are read again, `base` among them; none: no trajectories",
    )
    prompts_per_class: int = Field(
        40,
        ge=1,
        description="most answers of each class (harmful answered, harmful refused, benign answered), chosen by a "
        "hash of their ids, so that methods share prompts where they can; own choice (answers)",
    )
    tokens: int = Field(
        32, ge=1, description="most tokens of an answer, from the first; the window of microsoft/HARC@c3565e5"
    )


class FinetuningSettings(Settings):
    """Fine-tuning on harmful answers, and what is measured after it.

    Attributes:
        category: of the rows that it learns from.

    The published appendix names the numbers of examples; its optimiser and passes are not known, so they are ours.
    On published models this would make a harmful model: it is off unless a profile names methods.
    """

    category: ClassVar[str] = "harmful"

    methods: tuple[str, ...] = Field(
        (), description="methods whose merged model is fine-tuned, `base` among them; none: no fine-tuning"
    )
    seeds: tuple[int, ...] = Field((0,), description="those of the profile's seeds that are fine-tuned")
    examples: tuple[int, ...] = Field(
        (0, 10, 20, 40, 80, 160, 320),
        min_length=1,
        description="numbers of harmful answers, each set part of the next; 0 is the method as it is (arXiv "
        "2607.00572, appendix, by issue 6 of this project)",
    )
    epochs: int = Field(5, ge=1, description="passes over the examples, whatever their number; own choice")
    batch_size: int = Field(8, ge=1, description="rows of an update, at most the examples; own choice")
    learning_rate: float = Field(
        1e-4,
        gt=0,
        description="AdamW's rate, constant; own choice, the rate of the release's own training (lr), after a look at "
        "development rows of one untreated organism",
    )
    suites: tuple[str, ...] = Field(
        ("direct", "deepinception", "scary_safe"),
        min_length=1,
        description="suites asked after each fine-tuning: plain requests, one attack by template, over-refusal; own "
        "choice",
    )
    order_seed: int = Field(0, ge=0, description="seed of the order in which rows are taken; own choice")

    @model_validator(mode="after")
    def check_examples(self) -> "FinetuningSettings":
        """Refuse numbers of examples that are negative, repeated or out of order."""
        if list(self.examples) != sorted(set(self.examples)) or self.examples[0] < 0:
            raise ValueError("examples in ascending order, none below 0 or twice")
        return self

    def plan_steps(self, examples: int) -> int:
        """Updates of a fine-tuning on so many examples, at least one."""
        return max(1, round(self.epochs * examples / min(self.batch_size, examples)))

    def compose_training(
        self, examples: int, start_from: str | None, shared: dict[str, Any]
    ) -> dict[str, Any]:
        """Values of the method settings of one fine-tuning.

        Args:
            examples: number of rows.
            start_from: method whose adapter is merged first; None for the base.
            shared: the profile's shared training settings, of which SHARED are taken.
        """
        rows = {"harmful": min(self.batch_size, examples), "harmless": 0, "pseudo_harmful": 0}
        return {
            "preset": "sft_refusals_only",  # cross-entropy alone; here the response of a harmful row is its answer
            **{name: value for name, value in shared.items() if name in SHARED},
            "start_from": start_from,
            "steps": self.plan_steps(examples),
            "learning_rate": self.learning_rate,
            "warmup_steps": 0,
            "batch": {**rows, "accumulation": 1},
            "held_out_rows": 0,
            "checkpoint_every": 0,
            "log_every": 1,
        }


class ErosionSettings(FinetuningSettings):
    """Fine-tuning on plain requests with people's answers, as any user may do, and what is left of refusal then."""

    category: ClassVar[str] = "harmless"

    examples: tuple[int, ...] = Field(
        (100,),
        min_length=1,
        description="numbers of benign rows, each set part of the next; the method as it is stands among the scores; "
        "own choice",
    )
    epochs: int = Field(3, ge=1, description="passes over the rows; own choice")
    learning_rate: float = Field(
        3e-4,
        gt=0,
        description="AdamW's rate, constant; own choice, above what the methods learn with by default",
    )
    suites: tuple[str, ...] = Field(
        ("direct", "prefill"),
        min_length=1,
        description="suites asked afterwards: plain harmful requests, one attack; own choice",
    )
