"""The model under test: conversations in, completions out; and the records that hold them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harc.core.files import sha256_text
from harc.judges.base import Judge
from harc.model.backbones import Backbone
from harc.model.generation import Completion, end_token_ids, generate_greedy
from harc.model.thoughts import separate_thoughts
from harc.settings.evaluation import EvaluationSettings
from harc.suites.records import Conversation, make_records


class TextTarget:
    """What suites of text need of a model: answers, and records of them; how it answers is up to the kind of target."""

    settings: EvaluationSettings

    def answer(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str] | None = None,
        opening: str = "",
    ) -> list[Completion]:
        """One response to each conversation that ends with a user turn, in order.

        Args:
            conversations: turns by role.
            names: of the conversations, for errors.
            opening: words that every response begins with; they are not part of what is returned.

        Raises:
            ModelError: naming a conversation that cannot be answered.
        """
        raise NotImplementedError

    def hash_prompt(self, messages: Conversation) -> str:
        """SHA-256 of what the model saw of a conversation."""
        raise NotImplementedError

    def answer_turns(
        self, conversations: Sequence[Conversation], names: Sequence[str]
    ) -> tuple[list[list[dict]], list[Completion]]:
        """Answer user turns one after the other, the model's own replies in between.

        Returns:
            What the model saw before its last reply, and that reply, for each conversation.
        """
        seen: list[list[dict]] = [[] for _ in conversations]
        replies: list[Completion | None] = [None] * len(conversations)
        for turn in range(max(map(len, conversations))):
            live = [index for index, turns in enumerate(conversations) if turn < len(turns)]
            for index in live:
                if replies[index] is not None:
                    seen[index].append({"role": "assistant", "content": replies[index].text})
                seen[index].append(dict(conversations[index][turn]))
            answers = self.answer([seen[index] for index in live], [names[index] for index in live])
            for index, completion in zip(live, answers, strict=True):
                replies[index] = completion
        return seen, replies

    def make_records(
        self,
        rows: Sequence[dict],
        seen: Sequence[Conversation],
        completions: Sequence[Completion],
        judges: Sequence[Judge],
        attacks: Sequence[dict | None] | None = None,
        verdicts: Sequence[dict] | None = None,
    ) -> list[dict]:
        """Generation records: one per row; see `harc.suites.records.make_records`."""
        return make_records(
            rows, seen, completions, judges, self.hash_prompt, attacks=attacks, verdicts=verdicts
        )


@dataclass(frozen=True)
class Target(TextTarget):
    """A backbone, with its adapter on if it has one, that answers greedily."""

    backbone: Backbone
    settings: EvaluationSettings

    def decode(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int | None = None,
        names: Sequence[str] | None = None,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Completion]:
        """Continue token ids until the model ends its turn (see `generate_greedy`); thoughts are set apart."""
        backbone = self.backbone
        ends = end_token_ids(backbone.model, backbone.tokenizer, backbone.chat)
        completions = generate_greedy(
            backbone.model,
            backbone.tokenizer,
            prompts,
            max_new_tokens=max_new_tokens or self.settings.max_new_tokens,
            batch_size=self.settings.batch_size,
            ends=ends,
            names=names,
            on_done=on_done,
        )
        return separate_thoughts(completions, prompts, backbone.tokenizer)

    def answer(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str] | None = None,
        opening: str = "",
    ) -> list[Completion]:
        """One response to each conversation; see `TextTarget.answer`.

        Raises:
            ModelError: naming a conversation that does not fit the context.
        """
        prompts = self.backbone.chat.encode_prompts(conversations)
        begun = self.backbone.chat.tokenize(opening) if opening else []
        return self.decode([ids + begun for ids in prompts], names=names)

    def hash_prompt(self, messages: Conversation) -> str:
        """SHA-256 of the text that the model saw, template included."""
        return sha256_text(self.backbone.chat.render(messages))
