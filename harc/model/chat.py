"""Chat templates: prompts as token ids, and the two positions of a prompt that the method reads.

t_post is the last token of a prompt (generation prompt included); t_inst is the last token of the user's
text, which lies `post_instruction_count` tokens earlier (arXiv 2607.00572; microsoft/HARC
main/directions.py@c3565e5).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harc.core.errors import DataError, ModelError
from harc.model.chat_template import (
    Turns,
    check_texts,
    list_variables,
    refuse_template,
    render_template,
)
from harc.settings.backbones import DEFAULT_DATE, RESERVED

Message = Mapping[str, str]
PROBE = "qzxjkvprobe"  # user text that no template contains; it must come out of the template unchanged

# The raw templates of Zhao et al. (arXiv 2507.11878) as microsoft/HARC uses them
# (main/extract_paper_method.py@c3565e5): no system prompt, no BOS, one newline at most after the header.
RAW_TEMPLATES = {
    "<|start_header_id|>": (
        "<|start_header_id|>user<|end_header_id|>\n",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n",
    ),
    "<|im_start|>": ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant"),
}


def as_messages(prompt: str | Sequence[Message]) -> list[dict[str, str]]:
    """A bare prompt as a one-turn conversation; a conversation unchanged."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [dict(message) for message in prompt]


@dataclass(frozen=True)
class ChatFormat:
    """How one tokenizer lays out a conversation.

    Attributes:
        tokenizer: a fast Hugging Face tokenizer.
        template: "chat" (the tokenizer's own) or "raw" (Zhao et al., single turn; only for the release).
        system: text of a system turn put before every conversation that has none; None leaves it to the
            template.
        template_options: further arguments of the chat template (e.g. {"enable_thinking": False}).
        date: what the template takes for today (YYYY-MM-DD), so that a prompt is the same tomorrow.
    """

    tokenizer: Any
    template: str = "chat"
    system: str | None = None
    template_options: Mapping[str, Any] = field(default_factory=dict)
    date: str = DEFAULT_DATE

    def describe(self) -> dict[str, Any]:
        """What prompts depend on beside the model's own files."""
        return {"system": self.system, "template_options": dict(self.template_options), "date": self.date}

    def render(self, prompt: str | Sequence[Message]) -> str:
        """The prompt's text with the generation prompt, ready to be tokenized without special tokens."""
        messages = as_messages(prompt)
        if not messages or messages[-1].get("role") != "user":
            raise DataError(
                "conversation",
                expected="a last turn by the user",
                found=str(messages[-1].get("role")) if messages else "no turn",
                fix="end the conversation with a user message",
            )
        if self.template == "raw":
            return self._render_raw(messages)
        messages = self._add_system(messages)
        text = self._fill_template(messages)
        check_texts(messages, text)
        if any(message["role"] == "assistant" for message in messages) and self.turns is not None:
            self.turns.check_roles()
        return text

    def _add_system(self, messages: list[dict[str, str]]) -> list[dict[str, str]]:
        if self.system is None or messages[0]["role"] == "system":
            return messages
        return [{"role": "system", "content": self.system}, *messages]

    def _fill_template(self, messages: list[dict[str, str]], opened: bool = True) -> str:
        template = self._checked_template
        variables = {**self.tokenizer.special_tokens_map, **self.template_options}
        return render_template(template, messages, variables, self.date, add_generation_prompt=opened)

    @cached_property
    def _checked_template(self) -> Any:
        """The tokenizer's template, if it reads every option that is set."""
        try:
            template = self.tokenizer.get_chat_template()
        except ValueError as problem:  # none, or several without a default
            raise refuse_template(str(problem)) from problem
        reserved = [name for name in self.template_options if name in RESERVED]
        if reserved or (self.template_options and self.template_options.keys() - list_variables(template)):
            unread = reserved or sorted(self.template_options.keys() - list_variables(template))
            raise ModelError(
                "template_options",
                expected="names that the chat template reads",
                found=", ".join(unread),
                fix="take them out, or check their spelling in the model's chat template",
            )
        return template

    @cached_property
    def turns(self) -> Turns | None:
        """What the template puts around an assistant's turn; None where it takes no conversation of three turns."""
        probes = [f"{PROBE}{letter}" for letter in "abc"]
        roles = ("user", "assistant", "user")
        messages = [{"role": role, "content": text} for role, text in zip(roles, probes, strict=True)]
        try:
            text = self._fill_template(self._add_system(messages))
        except ModelError:
            return None
        if any(text.count(probe) != 1 for probe in probes):
            return None
        before, after = text.split(probes[1])
        return Turns(before.split(probes[0])[1], after.split(probes[2])[0])

    @cached_property
    def turn_ends(self) -> frozenset[int]:
        """The marker by which the template ends an assistant's turn, where that is a token of its own."""
        if self.turns is None:
            return frozenset()
        ids = self.tokenize(self.turns.closing.lstrip())[:1]
        return frozenset(ids) & {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}

    def _render_raw(self, messages: list[dict[str, str]]) -> str:
        if len(messages) != 1:
            raise DataError(
                "raw template",
                expected="one user turn",
                found=f"{len(messages)} turns",
                fix="set position_template to chat for conversations",
            )
        prefix, suffix = self._raw_parts()
        return f"{prefix}{messages[0]['content']}{suffix}"

    def _raw_parts(self) -> tuple[str, str]:
        vocabulary = self.tokenizer.get_vocab()
        for header, parts in RAW_TEMPLATES.items():
            if header in vocabulary:
                return parts
        raise ModelError(
            "raw template",
            expected=f"a tokenizer with one of {', '.join(RAW_TEMPLATES)}",
            found="none of them",
            fix="set position_template to chat",
        )

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text, special tokens only where the text spells them."""
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    @cached_property
    def suffix_ids(self) -> tuple[int, ...]:
        """Tokens that the template puts after the user's text.

        The probe is located by characters, so any tokenizer's way of splitting it will do.

        Raises:
            ModelError: if the user's text is not in the rendered prompt exactly once, runs into the
                template's tokens, or ends the prompt. The release silently took the Llama-3.1 header then.
        """
        messages = as_messages(PROBE)
        text = (
            self._render_raw(messages)
            if self.template == "raw"
            else self._fill_template(self._add_system(messages))
        )
        if text.count(PROBE) != 1:
            raise self._unlocated(f"the probe {text.count(PROBE)} times")
        if not getattr(self.tokenizer, "is_fast", False):
            raise self._unlocated("a tokenizer without character offsets")
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        end = text.index(PROBE) + len(PROBE)
        after = [index for index, (start, _) in enumerate(encoded.offset_mapping) if start >= end]
        if not after:
            raise self._unlocated("no token after it")
        if encoded.offset_mapping[after[0] - 1][1] > end:
            raise self._unlocated("its last token merged with the template")
        chat = self.template != "raw"
        if chat and self.turns is not None and text == self._fill_template(self._add_system(messages), False):
            self.turns.check_prompt(text[end:])
        return tuple(encoded.input_ids[after[0] :])

    @staticmethod
    def _unlocated(found: str) -> ModelError:
        return ModelError(
            "chat template",
            expected="the user's text unchanged, followed by tokens of the template",
            found=found,
            fix="use a chat template that keeps the user's text and adds a generation prompt",
        )

    @property
    def post_instruction_count(self) -> int:
        """Number of template tokens after the user's last token (5 for Llama-3.1 and Qwen2.5)."""
        return len(self.suffix_ids)

    def encode_prompts(
        self,
        prompts: Sequence[str | Sequence[Message]],
        max_length: int | None = None,
        truncation: str = "left",
    ) -> list[list[int]]:
        """Token ids of each prompt, cut to `max_length` tokens.

        Args:
            prompts: texts (one user turn) or conversations that end with a user turn.
            max_length: most tokens to keep; None keeps all.
            truncation: "left" drops the oldest tokens, so that the template's end stays and t_inst, t_post mean
                what they say; "right" drops the newest, as the release's extraction does
                (main/directions.py@c3565e5), so that both positions of a long prompt lie in the user's
                text.

        Raises:
            DataError: if a prompt leaves no token of the user's text before the template's end.
            ModelError: if the end of a prompt is not the template's (left truncation only).
        """
        encoded = []
        _ = self.suffix_ids  # what is wrong with the template at large is said first
        for number, prompt in enumerate(prompts):
            ids = self.tokenize(self.render(prompt))
            if truncation == "left":
                self._check_end(ids, number)
            if max_length is not None and len(ids) > max_length:
                ids = ids[-max_length:] if truncation == "left" else ids[:max_length]
            if len(ids) <= self.post_instruction_count:
                raise DataError(
                    f"prompt {number}",
                    expected=f"more than the template's {self.post_instruction_count} last tokens",
                    found=f"{len(ids)} tokens",
                    fix="raise the token limit",
                )
            encoded.append(ids)
        return encoded

    def _check_end(self, ids: list[int], number: int) -> None:
        count = self.post_instruction_count
        if tuple(ids[-count:]) != self.suffix_ids:
            raise ModelError(
                f"prompt {number}",
                expected="the template's tokens at the end",
                found=f"{ids[-count:]} instead of {list(self.suffix_ids)}",
                fix="the user's last characters merge with the template: end the prompt with a letter",
            )

    def locate_positions(self, ids: Sequence[int]) -> tuple[int, int]:
        """(t_inst, t_post) as indices into a prompt's token ids."""
        return len(ids) - 1 - self.post_instruction_count, len(ids) - 1

    def encode_responses(
        self, responses: Sequence[str], max_length: int | None = None, *, add_eos: bool = False
    ) -> list[list[int]]:
        """Token ids of assistant texts, cut on the right to `max_length`; the end token comes on top.

        Raises:
            DataError: if a response has no token.
        """
        encoded = []
        for number, response in enumerate(responses):
            ids = self.tokenize(response)[:max_length]
            if not ids:
                raise DataError(
                    f"response {number}",
                    expected="a text with at least one token",
                    found=repr(response),
                    fix="remove the row or fill in its response",
                )
            encoded.append([*ids, self.end_id] if add_eos else ids)
        return encoded

    @property
    def end_id(self) -> int:
        """The token that ends an assistant turn."""
        if self.tokenizer.eos_token_id is None:
            raise ModelError(
                "tokenizer",
                expected="an end token",
                found="none",
                fix="set eos_token in tokenizer_config.json",
            )
        return self.tokenizer.eos_token_id

    @property
    def pad_id(self) -> int:
        """The token that fills rows on the right; attention never reaches it."""
        pad = self.tokenizer.pad_token_id
        return self.end_id if pad is None else pad
