"""Judges by name: a file of this folder with `JUDGES = (JudgeKind(...), ...)` and `make` is all that declares them.

`make(names, refusal, settings)` gives the judges of some of the file's names, by name; that of a judge which a run
trains takes the file of its parameters as well. Such files import nothing heavy at the top: labels of judges are needed
wherever settings are read.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError
from harc.core.registry import gather, pick
from harc.judges.base import Judge, JudgeKind, Label


def _find_judges() -> list[JudgeKind]:
    """What the files declare, in order."""
    found = [
        replace(kind, module=module) for module, kinds in gather(__package__, "JUDGES") for kind in kinds
    ]
    return sorted(found, key=lambda kind: kind.order)


JUDGES: dict[str, JudgeKind] = {kind.name: kind for kind in _find_judges()}
LABELS_OF = {name: kind.labels for name, kind in JUDGES.items()}
"""Every judge, and the labels that it can give."""
RULE_JUDGES = tuple(name for name, kind in JUDGES.items() if not kind.model and not kind.trained)
"""Judges that need neither a model nor training."""
TRAINED_JUDGES = tuple(name for name, kind in JUDGES.items() if kind.trained)
"""Judges whose parameters a run trains."""
GRADED_REFUSALS = tuple(name for name, kind in JUDGES.items() if kind.grades_refusals)
"""Judges whose own labels tell a full refusal from a partial one."""


def choose_judge(judges: Sequence[str], label: Label) -> str:
    """The first of the named judges that can give a label, and so decides a rate that counts it.

    Raises:
        ValueError: if none of them can.
    """
    for name in judges:
        if label in LABELS_OF[name]:
            return name
    raise ValueError(f"none of {', '.join(judges)} can say {label!r}")


def make_judges(
    names: Sequence[str], refusal: str, settings: Any = None, parameters: Path | None = None
) -> list[Judge]:
    """The judges of the given names, in order.

    Args:
        names: keys of `JUDGES`.
        refusal: the refusal text of the data, for the judge that compares with it.
        settings: a `harc.settings.evaluation.EvaluationSettings`, for judges that are models; by default those of an
            empty profile.
        parameters: file of the trained judge, where it is named.

    Raises:
        ConfigError: for an unknown or repeated name, or a judge without its model.
    """
    for index, name in enumerate(names):
        if name not in JUDGES or name in names[:index]:
            raise ConfigError(
                "evaluation.judges",
                expected=f"names among {', '.join(JUDGES)}, each once",
                found=repr(name),
                fix="correct the profile",
            )
    if settings is None:
        from harc.settings.evaluation import EvaluationSettings

        settings = EvaluationSettings()
    made: dict[str, Judge] = {}
    for module in dict.fromkeys(JUDGES[name].module for name in names):
        own = [name for name in names if JUDGES[name].module == module]
        trained = (parameters,) if own[0] in TRAINED_JUDGES else ()
        made |= pick(__package__, module, "make")(own, refusal, settings, *trained)
    return [made[name] for name in names]
