"""Words that depend on numbers, so that the paper's sentences stay true whatever comes out."""

from collections.abc import Mapping, Sequence, Set

from harc.results.latex import format_interval, format_p, format_signed


def join_words(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; `none` for nothing."""
    words = list(words)
    if len(words) < 2:
        return words[0] if words else "none"
    return f"{', '.join(words[:-1])} and {words[-1]}"


def phrase_by_family(words: Mapping[str, str]) -> str:
    """`lower on both backbones`, or `lower on Llama and not detectably different on Qwen`."""
    if not words:
        return "not compared in this profile"
    groups: dict[str, list[str]] = {}
    for family, word in words.items():
        groups.setdefault(word, []).append(family)
    if len(groups) == 1:
        word, families = next(iter(groups.items()))
        where = "both backbones" if len(families) == 2 else f"all {len(families)} backbones"
        return f"{word} on {where if len(families) > 1 else families[0]}"
    return join_words([f"{word} on {join_words(families)}" for word, families in groups.items()])


def phrase_gain(gain: float | None, low: float | None, high: float | None) -> str:
    """What a change of cosine amounts to: its direction where the interval leaves 0 out."""
    if gain is None:
        return "not measured"
    if low is None or high is None:
        direction = "up" if gain > 0 else "down" if gain < 0 else "unchanged"
        return f"{direction} (one seed, no interval)"
    if low > 0:
        return "up"
    return "down" if high < 0 else "not detectably changed"


def _show_pooled(row: Mapping[str, str]) -> str:
    values = [float(row[column]) for column in ("difference", "low", "high")]
    return f"{format_signed(values[0])} {format_interval(*values[1:])}, Holm-adjusted {format_p(float(row['p_holm']))}"


def phrase_pooled(row: Mapping[str, str] | None) -> str:
    """A sentence about one comparison pooled over backbones and seeds; says so where nothing can be pooled."""
    if row is None or not row["difference"]:
        return "With one training seed per backbone, nothing is pooled over runs."
    return (
        f"Pooled over the {row['seeds']} runs (backbones and seeds) it is {row['verdict']} ({_show_pooled(row)}) "
        f"and below zero in {row['seeds_lower']} of them."
    )


def phrase_headline(row: Mapping[str, str] | None) -> str | None:
    """A few words about a pooled comparison, or None where nothing can be pooled."""
    if row is None or not row["difference"]:
        return None
    return f"{row['verdict']} over {row['seeds']} runs ({_show_pooled(row)})"


def phrase_run(kinds: Set[str]) -> str:
    """Where the backbones live: in the invented world, where judging is exact, or among published models."""
    if kinds == {"organism"}:
        return "in a world where every request is invented and every answer can be judged exactly"
    if "organism" in kinds:
        return (
            "partly in an invented world with exact judges and partly on published models with fallible ones"
        )
    return "on published models, whose answers are judged by fallible rules or models"
