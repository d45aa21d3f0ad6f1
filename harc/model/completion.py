"""What a model's answer is: its text, why it ended, and which part of it was thought."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple


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


TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<reason>", "</reason>"),
    ("<analysis>", "</analysis>"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|start_thinking|>", "<|end_thinking|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought", "<channel|>"),
    ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"),
)
"""Marks around a thought, in lower case; the case of the text does not matter."""
ANSWER_MARKS = ("<|begin_of_solution|>", "<|end_of_solution|>", "<|start_response|>", "<|end_response|>")
"""Marks around an answer that follows a thought; taken out with it."""
LONGEST_MARK = 16  # tokens at the end of a prompt in which a template may open a thought

_OPENINGS = "|".join(re.escape(opening) for opening, _ in TAGS)
_CLOSINGS = "|".join(re.escape(closing) for _, closing in TAGS)
_OPEN = re.compile(rf"^[^\S\n]*({_OPENINGS})", re.IGNORECASE | re.MULTILINE)
# An answer may speak of a mark; one that ends a thought stands at an end of its line.
_LONE_CLOSE = re.compile(rf"^[^\S\n]*(?:{_CLOSINGS})|(?:{_CLOSINGS})[^\S\n]*$", re.IGNORECASE | re.MULTILINE)
_ENDS_OPEN = re.compile(rf"(?:{_OPENINGS})\s*$", re.IGNORECASE)
_ANSWER_MARK = re.compile("|".join(map(re.escape, ANSWER_MARKS)), re.IGNORECASE)
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>(.*?)"
    r"(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.DOTALL,
)
_HARMONY_MARK = re.compile(r"<\|(?:start|end|return|call)\|>(?:assistant)?")
# The same with its marks left out by a tokenizer: `analysisThe user asks ...assistantfinalSorry, ...`.
_BARE_CHANNELS = re.compile(r"\s*analysis(?=\S)(.*?)assistant(?:final|commentary)(?=\S|\Z)(.*)\Z", re.DOTALL)
_BARE_ANALYSIS = re.compile(r"\s*analysis(?=[A-Z\"'(])(.*)\Z", re.DOTALL)


class Said(NamedTuple):
    """One reply, taken apart.

    Attributes:
        answer: what is outside of thoughts; the whole text where there is no thought.
        thought: what is inside; None where there is none.
        closed: whether the last thought came to its end.
    """

    answer: str
    thought: str | None
    closed: bool


def opens_thought(prompt: str) -> bool:
    """Whether a prompt ends with an opened thought, as templates of models that always think do."""
    return bool(_ENDS_OPEN.search(prompt))


def split_thought(text: str, *, opened: bool = False) -> Said:
    """Take a reply apart.

    Args:
        text: the reply.
        opened: whether its prompt opened a thought already (see `opens_thought`).
    """
    if "<|channel|>" in text:
        return _split_channels(text)
    if bare := _BARE_CHANNELS.match(text):
        return Said(bare[2].strip(), bare[1].strip(), True)
    if bare := _BARE_ANALYSIS.match(text):
        return Said("", bare[1].strip(), False)
    return _split_tags(text, opened)


def _split_channels(text: str) -> Said:
    """gpt-oss's form: only the channel `analysis` is a thought."""
    parts = _CHANNEL.findall(text)
    thoughts = [part for channel, part in parts if channel == "analysis"]
    before = _HARMONY_MARK.sub("", text[: text.index("<|channel|>")])
    answers = [before, *(part for channel, part in parts if channel != "analysis")]
    answer = "\n".join(part.strip() for part in answers if part.strip())
    if not parts:  # cut within the marks
        return Said(answer, text[text.index("<|channel|>") :], False)
    return Said(answer, "\n".join(thoughts).strip() if thoughts else None, bool(answer) or not thoughts)


def _split_tags(text: str, opened: bool) -> Said:
    lone, first = _LONE_CLOSE.search(text), _OPEN.search(text)
    if lone and (first is None or lone.end() <= first.start()):
        opened = True  # the template opened it, which a server does not show
    thoughts: list[str] = []
    answers: list[str] = []
    place, closing, closed = 0, (_CLOSINGS if opened else ""), True
    while True:
        if closing:
            end = re.compile(closing, re.IGNORECASE).search(text, place)
            thoughts.append(text[place : end.start() if end else len(text)])
            if end is None:
                closed = False
                break
            place, closing = end.end(), ""
        found = _OPEN.search(text, place)
        if found is not None:
            closing = re.escape(dict(TAGS)[found[1].lower()])
            before = "".join((*answers, text[place : found.start()])).strip()
            if before and not re.compile(closing, re.IGNORECASE).search(text, found.end()):
                found = None  # words of the answer, not a thought
        if found is None:
            answers.append(text[place:])
            break
        answers.append(text[place : found.start()])
        place = found.end()
    if not thoughts:
        return Said(text, None, True)
    answer = _ANSWER_MARK.sub("", "".join(answers)).strip()
    rest = _split_tags(answer, False)  # a thought within a thought leaves its closing mark
    return Said(rest.answer, "\n".join((*thoughts, rest.thought or "")).strip(), closed and rest.closed)


def separate_thought(completion: Any, *, opened: bool = False) -> Any:
    """A completion or reply (`text`, `thought`) with its thought apart; one that has none stays as it is."""
    said = split_thought(completion.text, opened=opened)
    if said.thought is None:
        return completion
    thought = "\n".join(part for part in (completion.thought, said.thought) if part)
    return replace(completion, text=said.answer, thought=thought)


def separate_thoughts(
    completions: Sequence[Any], prompts: Sequence[Sequence[int]], tokenizer: Any
) -> list[Any]:
    """Completions of a model that is loaded here, with their thoughts apart, those that a prompt opened too."""
    ends = [tokenizer.decode(ids[-LONGEST_MARK:]) for ids in prompts]
    return [
        separate_thought(completion, opened=opens_thought(end))
        for completion, end in zip(completions, ends, strict=True)
    ]
