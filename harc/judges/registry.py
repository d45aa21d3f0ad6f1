"""Judges by name; a new judge is a class with the protocol of `harc.judges.base`, its labels there, and a line here."""

import json
from collections.abc import Callable, Sequence

from harc.core.errors import ConfigError
from harc.judges.base import LABELS_OF, Judge
from harc.judges.exact import ExactJudge
from harc.judges.phrase_judge import PhraseListJudge
from harc.judges.phrase_lists import PHRASE_LISTS
from harc.judges.refusal_rules import RefusalRulesJudge
from harc.judges.rubrics import RUBRICS
from harc.judges.string_rules import StringRulesJudge
from harc.settings.chat import TemplateSettings
from harc.settings.evaluation import EvaluationSettings
from harc.settings.judges import ClassifierSettings

RULE_JUDGES = ("exact", "refusal_rules", "string_rules", *PHRASE_LISTS)
"""Judges that need no model."""


def _make_classifier(settings: EvaluationSettings) -> Judge:
    from harc.judges.classifier import HubClassifierJudge

    return HubClassifierJudge(settings.classifier or ClassifierSettings())


def _make_rubric_judges(names: Sequence[str], settings: EvaluationSettings) -> dict[str, Judge]:
    """Judges behind one endpoint, which is opened once.

    Raises:
        ConfigError: if no endpoint is set.
    """
    if not names:
        return {}
    if settings.judge_endpoint is None:
        raise ConfigError(
            "evaluation.judge_endpoint",
            expected=f"the model that judge {names[0]} asks",
            found="none",
            fix="name a server or a local model there; see docs/evaluation.md",
        )
    from harc.judges.rubric_judge import RubricJudge
    from harc.model.endpoints.create import create_endpoint

    endpoint, chat = create_endpoint(settings.judge_endpoint), settings.judge_endpoint.chat
    default = TemplateSettings().chat
    told = "" if chat == default else f" ({json.dumps(chat, sort_keys=True)})"
    return {name: RubricJudge(RUBRICS[name], endpoint, told=told) for name in names}


def make_judges(
    names: Sequence[str], refusal: str, settings: EvaluationSettings | None = None
) -> list[Judge]:
    """The judges of the given names, in order.

    Args:
        names: keys of `LABELS_OF`.
        refusal: the refusal text of the data, for the judge that compares with it.
        settings: of the judges that are models; by default those of an empty profile.

    Raises:
        ConfigError: for an unknown or repeated name, or a judge without its model.
    """
    for index, name in enumerate(names):
        if name not in LABELS_OF or name in names[:index]:
            raise ConfigError(
                "evaluation.judges",
                expected=f"names among {', '.join(LABELS_OF)}, each once",
                found=repr(name),
                fix="correct the profile",
            )
    settings = EvaluationSettings() if settings is None else settings
    factories: dict[str, Callable[[], Judge]] = {
        "exact": lambda: ExactJudge(refusal),
        "refusal_rules": RefusalRulesJudge,
        "string_rules": StringRulesJudge,
        "harmbench_classifier": lambda: _make_classifier(settings),
    }
    asking = _make_rubric_judges([name for name in names if name in RUBRICS], settings)
    judges: list[Judge] = []
    for name in names:
        if name in asking:
            judges.append(asking[name])
        elif name in PHRASE_LISTS:
            judges.append(PhraseListJudge(PHRASE_LISTS[name]))
        else:
            judges.append(factories[name]())
    return judges
