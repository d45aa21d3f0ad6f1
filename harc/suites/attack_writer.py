"""Having a chat model write texts in a JSON object: tries with other seeds until each reply can be read."""

from collections.abc import Sequence
from dataclasses import dataclass

from harc.core.errors import EnvironmentProblem
from harc.core.files import sha256_text
from harc.model.endpoints.base import ChatEndpoint, Conversation
from harc.settings.attacks import AttackerSettings
from harc.suites.json_replies import read_object


@dataclass(frozen=True)
class Unwritten:
    """Why there is no text: the last problem of all tries."""

    problem: str


def derive_seed(*parts: object) -> int:
    """A seed of 31 bits from anything that has a text."""
    return int(sha256_text("/".join(map(str, parts)))[:8], 16) & 0x7FFFFFFF


def write_objects(
    endpoint: ChatEndpoint,
    conversations: Sequence[Conversation],
    fields: Sequence[str],
    settings: AttackerSettings,
    seed: object,
) -> list[dict[str, str] | Unwritten]:
    """The named texts for each conversation, in order.

    Args:
        endpoint: the writing model.
        conversations: each asks for a JSON object with the fields.
        fields: texts that the object must hold, in the order in which they are asked for.
        settings: temperature, length, tries.
        seed: anything; with the number of the try it gives the seed of the sampling.

    Raises:
        EnvironmentProblem: if the endpoint could not be reached for any of the conversations, however often tried.
    """
    opening = f'{{"{fields[0]}": "' if settings.opens_reply else ""
    written: dict[int, dict[str, str] | Unwritten] = {}
    left = list(range(len(conversations)))
    reached = not conversations
    for attempt in range(settings.attempts):
        if not left:
            break
        replies = endpoint.complete(
            [_open(conversations[place], opening) for place in left],
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            seed=derive_seed(seed, attempt),
        )
        reached |= any(reply.finish_reason != "error" for reply in replies)
        for place, reply in zip(left, replies, strict=True):
            found = None if reply.error else read_object(opening + reply.text, fields)
            problem = (
                f"no reply: {reply.error}" if reply.error else f"no JSON object with {', '.join(fields)}"
            )
            written[place] = found or Unwritten(f"{problem} in {attempt + 1} tries")
        left = [place for place in left if isinstance(written[place], Unwritten)]
    if not reached:
        raise EnvironmentProblem(
            f"endpoint {endpoint.name}",
            expected="a reply",
            found=written[0].problem,
            fix="check the server and start the run again: what is finished is kept",
        )
    return [written[place] for place in range(len(conversations))]


def _open(conversation: Conversation, opening: str) -> Conversation:
    return [*conversation, {"role": "assistant", "content": opening}] if opening else conversation
