"""Plain text to continue, which accepts a backbone as one that has learnt its language; no part of a comparison."""

from collections.abc import Sequence
from typing import Any

from harc.suites.base import Suite

SUITES = (Suite("documents", "documents", 1, "documents", needs="tokens"),)


def run(target: Any, rows: Sequence[dict], examiner: Any) -> list[dict]:
    """Read the word that the model puts after a text that stands alone in the user turn.

    The template's end of the turn is left out, so the word continues the text.
    """
    conversations = [row["messages"] for row in rows]
    chat = target.backbone.chat
    prompts = [ids[: -chat.post_instruction_count] for ids in chat.encode_prompts(conversations)]
    completions = target.decode(prompts, max_new_tokens=1, names=[row["id"] for row in rows])
    return target.make_records(rows, conversations, completions, examiner.judges)
