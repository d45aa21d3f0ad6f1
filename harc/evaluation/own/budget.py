"""What asking cost: seconds, tokens and, of a server, money; and where a budget ends a run before it is exceeded."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from harc.core.errors import ConfigError
from harc.model.completion import Completion
from harc.model.endpoints.base import ChatEndpoint, Usage
from harc.settings.base import Settings
from harc.settings.endpoints import EndpointSettings

TOKENS_OF_TURN = 16
"""Most tokens that a template writes around a turn; own choice."""
TOKENS_OF_TEMPLATE = 256
"""Most tokens that a template writes besides (a system prompt of its own, the date); own choice."""

NOT_KEPT = ("spending", "source", "elsewhere")


class Prices(Settings):
    """Prices of a served model, per million tokens, in any currency."""

    input: float = Field(ge=0, description="A million prompt tokens.")
    output: float = Field(ge=0, description="A million generated tokens.")


class Spending(Settings):
    """What the file of `harc evaluate --endpoint` says of money, beside the server itself."""

    prices: Prices | None = Field(None, description="Without them nothing is known of costs.")
    budget: float | None = Field(
        None,
        gt=0,
        description="Most that the run may cost, earlier sittings included; in the prices' currency.",
    )


def read_endpoint(path: Path) -> tuple[EndpointSettings, Spending]:
    """A server and what it costs, from one file.

    Raises:
        ConfigError: for an unknown key, a value out of range, or prices given in two ways.
    """
    from harc.core.yaml_text import read_yaml
    from harc.settings.loading import parse_settings

    values = read_yaml(path)
    own: dict[str, Any] = {name: values.pop(name) for name in ("prices", "budget") if name in values}
    endpoint = parse_settings(EndpointSettings, values, str(path))
    spending = parse_settings(Spending, own, str(path))
    earlier = Prices(input=endpoint.prompt_price, output=endpoint.completion_price)
    if any(earlier.model_dump().values()):
        if spending.prices is not None:
            raise ConfigError(
                f"{path}: prices",
                expected="prices given once",
                found="prompt_price or completion_price besides",
                fix="leave out the latter",
            )
        spending = spending.model_copy(update={"prices": earlier})
    return endpoint, spending


@dataclass
class Meter:
    """What a run's answers took so far, earlier sittings included.

    Attributes:
        answers: prompts that the model was asked, those that a cache answered left out.
        seconds: wall time of asking; of a server the time for several requests at once.
        prompt_tokens, response_tokens: as the model or its server counted them.
        uncounted: answers whose tokens the server did not count; they cost what they could have cost at most.
        cost: by the prices; 0 without any.
        spending: prices and budget.
        source: where the budget stands, for errors.
        elsewhere: what other candidates of the command have cost, where the budget is for all.
    """

    answers: int = 0
    seconds: float = 0.0
    prompt_tokens: int = 0
    response_tokens: int = 0
    uncounted: int = 0
    cost: float = 0.0
    spending: Spending = field(default_factory=Spending, repr=False)
    source: str = "--endpoint"
    elsewhere: float = 0.0

    @classmethod
    def resume(
        cls, kept: Mapping[str, Any] | None, spending: Spending, source: str, elsewhere: float = 0.0
    ) -> "Meter":
        """Go on where an earlier sitting stopped.

        Raises:
            ConfigError: for a budget without prices.
        """
        if spending.budget is not None and spending.prices is None:
            raise ConfigError(
                source,
                expected="prices beside it",
                found="none",
                fix="add `prices: {input: ..., output: ...}`, per million tokens, to the endpoint file",
            )
        return cls(**(kept or {}), spending=spending, source=source, elsewhere=elsewhere)

    def describe(self) -> dict[str, Any]:
        """The numbers, as they are kept."""
        return {name: value for name, value in asdict(self).items() if name not in NOT_KEPT}

    def report(self) -> dict[str, Any]:
        """The numbers as run.json says them: with seconds per answer and, where there are prices, the cost."""
        found = self.describe() | {
            "seconds": round(self.seconds, 3),
            "seconds_per_answer": round(self.seconds / self.answers, 4) if self.answers else None,
        }
        if self.spending.prices is None:
            del found["cost"]
            return found
        money = {"prices": self.spending.prices.model_dump(), "budget": self.spending.budget}
        return found | {"cost": round(self.cost, 6), **money}

    def count_affordable(self, conversations: Sequence[Sequence[Mapping[str, Any]]], longest: int) -> int:
        """How many of the conversations, from the first on, can be asked within the budget, whatever they cost.

        Args:
            conversations: turns by role.
            longest: answer, tokens.

        Raises:
            ConfigError: if there is no room for the first.
        """
        if self.spending.budget is None or not conversations:
            return len(conversations)
        left, count = self.spending.budget - self.cost - self.elsewhere, 0
        for turns in conversations:
            left -= self._price(bound_tokens(turns), longest)
            if left < 0:
                break
            count += 1
        if count:
            return count
        most = self._price(bound_tokens(conversations[0]), longest)
        raise ConfigError(
            self.source,
            expected=f"at most {self.spending.budget:g} for the run",
            found=f"{self.cost + self.elsewhere:.6g} spent, and a next answer that may cost up to {most:.2g}",
            fix="raise it and give the same command again, with --resume: every answer is kept",
        )

    @contextmanager
    def time(
        self, conversations: Sequence[Sequence[Mapping[str, Any]]], endpoint: ChatEndpoint | None
    ) -> Iterator[list[Completion]]:
        """Take the time of what the block asks, and count what it puts into the list.

        Args:
            conversations: that are asked.
            endpoint: of a server, whose own count leaves out what a cache answered; None: a model that is loaded here.
        """
        completions: list[Completion] = []
        before, start = None if endpoint is None else replace(endpoint.usage), time.monotonic()
        yield completions
        used = None if before is None or endpoint is None else (before, endpoint.usage)
        self.add(conversations, completions, time.monotonic() - start, used)

    def add(
        self,
        conversations: Sequence[Sequence[Mapping[str, Any]]],
        completions: Sequence[Completion],
        seconds: float,
        used: tuple[Usage, Usage] | None = None,
    ) -> None:
        """Count a batch.

        Args:
            conversations: that were asked.
            completions: what came of them.
            seconds: wall time.
            used: a server's own count before and after, which leaves out what a cache answered; None: all were asked.
        """
        self.seconds += seconds
        hits = used[1].cache_hits - used[0].cache_hits if used else 0
        self.answers += len(completions) - hits
        told = [(done.prompt_tokens or 0, done.response_tokens or 0) for done in completions]
        prompt, response = sum(one for one, _ in told), sum(two for _, two in told)
        if used:
            prompt = used[1].prompt_tokens - used[0].prompt_tokens
            response = used[1].completion_tokens - used[0].completion_tokens
        self.prompt_tokens += prompt
        self.response_tokens += response
        self.cost += self._price(prompt, response)
        for turns, done in zip(conversations, completions, strict=True):
            if (
                done.error is None
                and None in (done.prompt_tokens, done.response_tokens)
                and hits < len(completions)
            ):
                self.uncounted += 1
                self.cost += self._price(bound_tokens(turns), len(done.text.encode()) + TOKENS_OF_TURN)

    def _price(self, prompt_tokens: int, response_tokens: int) -> float:
        prices = self.spending.prices
        if prices is None:
            return 0.0
        return (prompt_tokens * prices.input + response_tokens * prices.output) / 1e6


def bound_tokens(turns: Sequence[Mapping[str, Any]]) -> int:
    """More tokens than a prompt can have: no tokenizer makes more of a text than it has bytes."""
    texts = (json.dumps(dict(turn), ensure_ascii=False).encode(errors="replace") for turn in turns)
    return sum(len(text) + TOKENS_OF_TURN for text in texts) + TOKENS_OF_TEMPLATE
