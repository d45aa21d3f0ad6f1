"""What a chat template must not do: lose a turn, tell no roles apart, leave the assistant's turn unopened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harc.model.chat_template import refuse_template


@dataclass(frozen=True)
class Turns:
    """What a template puts between the user's words and the assistant's (opening), and the other way round."""

    opening: str
    closing: str

    def check_roles(self) -> None:
        """Raise a ModelError if the two are the same: the model could not tell who says what."""
        if self.opening == self.closing:
            raise refuse_template(
                f"{self.opening!r} before either's turn", "a template that tells roles apart"
            )

    def check_prompt(self, written: str) -> None:
        """Raise a ModelError if a prompt leaves it to the model to open its turn with the words of the template.

        Args:
            written: what stands after the user's last words, asked for a generation prompt or not.
        """
        opening, written = self.opening.strip(), written.strip()
        if opening != written and opening.startswith(written):
            raise refuse_template(
                f"{written!r} alone, where an assistant's turn begins with {opening!r}", "a generation prompt"
            )


def check_texts(messages: Sequence[Mapping[str, str]], text: str) -> None:
    """Refuse a rendering that lost a turn; what an assistant thought may be left out of its earlier turns."""
    for message in messages:
        content = message["content"]
        if message["role"] == "assistant":
            content = content.split("</think>")[-1]
        if content.strip() not in text:
            raise refuse_template(
                f"a rendering without the {message['role']}'s {content.strip()[:60]!r}", "every turn's text"
            )
