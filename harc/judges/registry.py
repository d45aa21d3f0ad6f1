"""Judges by name; a new judge is a class with the protocol of `harc.judges.base` and a line here."""

from collections.abc import Callable, Sequence

from harc.errors import ConfigError
from harc.judges.base import Judge
from harc.judges.exact import ExactJudge
from harc.judges.string_rules import StringRulesJudge

FACTORIES: dict[str, Callable[[str], Judge]] = {
    "exact": ExactJudge,
    "string_rules": lambda refusal: StringRulesJudge(),
}


def make_judges(names: Sequence[str], refusal: str) -> list[Judge]:
    """The judges of the given names, in order.

    Args:
        names: keys of `FACTORIES`.
        refusal: the refusal text of the data, for the judge that compares with it.

    Raises:
        ConfigError: for an unknown or repeated name.
    """
    for index, name in enumerate(names):
        if name not in FACTORIES or name in names[:index]:
            raise ConfigError(
                "evaluation.judges",
                expected=f"names among {', '.join(FACTORIES)}, each once",
                found=repr(name),
                fix="correct the profile",
            )
    return [FACTORIES[name](refusal) for name in names]
