"""Names of an adapter's tensors as the layers that they change, and PEFT's patterns that layers are chosen by.

Patterns come with the adapter and are regular expressions: those with more than names in them are matched in a process
of its own that is ended after LIMIT_S, since one can be written that takes for ever.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PREFIX = "base_model.model."
UPDATE = re.compile(
    r"(?:base_model\.model\.)?(?P<layer>.+)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B"
    r"|lora_magnitude_vector)(?P<end>\.weight|\.bias)?"
)
ENDS = {"lora_A": ("lora_A", "lora_embedding_A"), "lora_B": ("lora_B", "lora_embedding_B")}
MAGNITUDE = "lora_magnitude_vector"
BLOCK_INDEX = re.compile(r".*\.[^.]*\.(\d+)\.")
"""The number of a layer's block, as PEFT reads it."""
PLAIN = re.compile(r"[\w.-]*")
LIMIT_S = 2.0
LONGEST_PATTERN = 4096
MATCHER = """
import json, re, sys
asked, names = json.load(sys.stdin)
found = []
for pattern in asked:
    try:
        found.append([name for name in names if re.fullmatch(pattern, name)])
    except (re.error, RecursionError, OverflowError) as problem:
        found.append(f"{type(problem).__name__}: {problem}")
json.dump(found, sys.stdout)
"""


class PatternProblem(ValueError):
    """A pattern that is none, or takes too long."""


@dataclass
class LayerUpdate:
    """What the file holds for one layer: shapes by part (lora_A, lora_B, their embedding forms, ...)."""

    parts: dict[str, list[int]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def find_shape(self, side: str) -> list[int] | None:
        """Shape of lora_A, (rank, inputs), or lora_B, (outputs, rank); None if it is missing."""
        return next((self.parts[part] for part in ENDS[side] if part in self.parts), None)

    def find_name(self, side: str) -> str | None:
        """The tensor of a side."""
        return next((self.names[part] for part in ENDS[side] if part in self.names), None)


def split_names(header: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, LayerUpdate], list[str]]:
    """(updates by layer, names of other tensors) of an adapter's header."""
    layers: dict[str, LayerUpdate] = {}
    whole = []
    for name, entry in header.items():
        match = UPDATE.fullmatch(name)
        if match is None:
            whole.append(name)
            continue
        part = match["part"] + (".bias" if match["end"] == ".bias" else "")
        update = layers.setdefault(match["layer"], LayerUpdate())
        update.parts[part], update.names[part] = list(entry["shape"]), name
    return layers, whole


def find_block(layer: str) -> int | None:
    """The number of the block that a layer belongs to; None outside the blocks."""
    match = BLOCK_INDEX.match(layer)
    return int(match[1]) if match and len(match[1]) < 10 else None


def match_targets(targets: str | Sequence[str], layers: Sequence[str]) -> dict[str, set[str]]:
    """Layers by target, as PEFT matches target_modules: a text is a pattern for whole names, a list has their ends.

    Raises:
        PatternProblem: see match_patterns.
    """
    if isinstance(targets, str):
        return match_patterns([targets], layers)
    return {
        target: {layer for layer in layers if layer == target or layer.endswith(f".{target}")}
        for target in targets
    }


def choose_values(default: Any, patterns: Mapping[str, Any], layers: Sequence[str]) -> dict[str, Any]:
    """Rank or alpha by layer: that of the first key of rank_pattern or alpha_pattern that matches its end.

    Raises:
        PatternProblem: see match_patterns.
    """
    found = match_patterns([rf"(.*\.)?({key})" for key in patterns], layers, plain=list(patterns))
    chosen = dict.fromkeys(layers, default)
    for (_, value), matched in reversed(list(zip(patterns.items(), found.values(), strict=True))):
        chosen |= dict.fromkeys(matched, value)
    return chosen


def match_patterns(
    patterns: Sequence[str], layers: Iterable[str], plain: Sequence[str] | None = None
) -> dict[str, set[str]]:
    """Layers whose whole name each pattern matches.

    Args:
        patterns: regular expressions.
        layers: names.
        plain: what stands within each pattern; where these are but names, Python compares them itself.

    Raises:
        PatternProblem: for an invalid pattern, or one that takes too long.
    """
    names = list(layers)
    if long := next((pattern for pattern in patterns if len(pattern) > LONGEST_PATTERN), None):
        raise PatternProblem(f"a pattern of {len(long)} characters")
    inner = patterns if plain is None else plain
    if all(PLAIN.fullmatch(one) for one in inner):
        ends = plain is not None
        return {
            pattern: {name for name in names if name == one or (ends and name.endswith(f".{one}"))}
            for pattern, one in zip(patterns, inner, strict=True)
        }
    found = _match_apart(list(patterns), names)
    wrong = [(pattern, said) for pattern, said in zip(inner, found, strict=True) if isinstance(said, str)]
    if wrong:
        raise PatternProblem(f"the pattern {wrong[0][0]!r}, which is no regular expression ({wrong[0][1]})")
    return {pattern: set(matched) for pattern, matched in zip(patterns, found, strict=True)}


def _match_apart(patterns: list[str], names: list[str]) -> list[Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", MATCHER],
            input=json.dumps([patterns, names]).encode(), capture_output=True, timeout=LIMIT_S, check=False, env={},
        )  # fmt: skip
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise PatternProblem(
            f"patterns that take more than {LIMIT_S:g} s to match: loading the adapter would hang"
        ) from None
    except ValueError:
        raise PatternProblem("patterns that end the process that matches them") from None
