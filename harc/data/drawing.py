"""Drawing prompts at random, none twice, and none that an earlier split holds exactly or nearly."""

import random
from collections.abc import Iterable, Sequence

from harc.core.files import sha256_text
from harc.data.contamination import ReferenceIndex, normalise_text
from harc.data.public_sources import Prompt
from harc.settings.data import ContaminationSettings

STRICT = ContaminationSettings(pattern_suites=())
NO_LIMIT = 10**9


class Drawer:
    """Draws prompts without repeats, leaving out what an earlier split holds."""

    def __init__(self, seed: int) -> None:
        """Start with nothing reserved."""
        self.seed = seed
        self.reserved: list[tuple[str, ReferenceIndex]] = []
        self.seen: set[str] = set()
        self.dropped: list[dict] = []

    def reserve(self, split: str, prompts: Iterable[Prompt]) -> None:
        """Keep later splits away from these prompts, whether or not a row was made of them."""
        self.reserved.append((split, ReferenceIndex([prompt.text for prompt in prompts], STRICT)))

    def draw(self, name: str, prompts: Sequence[Prompt], count: int | None) -> list[Prompt]:
        """At most `count` prompts (None: all), in an order set by the seed and the name."""
        order = list(prompts)
        random.Random(f"{self.seed}/{name}").shuffle(order)
        drawn: list[Prompt] = []
        for prompt in order:
            if len(drawn) >= (NO_LIMIT if count is None else count):
                break
            leak, text = self._find_leak(prompt), normalise_text(prompt.text)
            if leak is not None:
                digest = sha256_text(prompt.text)
                self.dropped.append(
                    {"from": name, "source": prompt.source, "prompt_sha256": digest, "reason": leak}
                )
            elif text not in self.seen:
                drawn.append(prompt)
                self.seen.add(text)
        return drawn

    def _find_leak(self, prompt: Prompt) -> str | None:
        for split, index in self.reserved:
            hit = index.find(prompt.text)
            if hit is not None:
                return f"in {split}, similarity {hit[0]:.2f}"
        return None
