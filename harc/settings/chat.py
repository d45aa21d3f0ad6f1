"""Settings of a chat template: what it is told beside the conversation."""

import datetime
import json
from typing import Any

from pydantic import Field, field_validator

from harc.settings.base import Settings

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
