"""What a model wrote; apart from the code that makes it write, which needs torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Completion:
    """One response.

    Attributes:
        text: the decoded response without special tokens.
        finish_reason: `stop` if the model ended its turn, `length` if `max_new_tokens` did; of a served model also
            `tool_calls`, `blocked` and `unanswered`; see harc.suites.records.
        prompt_tokens: tokens of the prompt, template included; None where a server does not say.
        response_tokens: generated tokens, the end token not counted; None where a server does not say.
        thought: what a reasoning model thought before; None where there is none.
        error: why there is no answer; None where there is one.
    """

    text: str
    finish_reason: str
    prompt_tokens: int | None
    response_tokens: int | None
    thought: str | None = None
    error: str | None = None
