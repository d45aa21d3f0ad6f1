"""What a suite is: a set of prompts with one way of asking them and one rate that its answers give."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Metric = Literal["asr", "over_refusal", "refusal", "accuracy"]

FAMILIES: dict[str, Metric] = {
    "direct": "asr",
    "attack": "asr",
    "over_refusal": "over_refusal",
    "benign": "accuracy",
    "helpfulness": "accuracy",
    "extra_attack": "asr",
    "decoding": "accuracy",
    "contrast": "refusal",
    "documents": "accuracy",
}
"""What each family's rate counts: `asr`, `over_refusal`, `refusal` (of harmful requests) or `accuracy`.

`attack` holds the attacks of the paper's main table, over which their mean is taken unless a profile says otherwise;
`extra_attack` stands beside them, on published models only; `decoding` is the control for code attacks (can the model
read their encodings at all?); `contrast` the harmful twins of over-refusal prompts, since a model that never refuses
looks perfect on the safe half.
"""


@dataclass(frozen=True)
class Suite:
    """One suite, declared in its own file; see `harc.suites.registry` for what else that file may hold.

    Attributes:
        name: in profiles, file names and tables.
        family: a key of `FAMILIES`.
        order: place within its family.
        label: for readers.
        column: head of a narrow column; empty: the label.
        macro: its rate's name in the paper; empty: no macro.
        needs: what a model must give: `text` alone, `tokens` (its own token ids), or `likelihoods` (lm_eval runs it).
        written: whether a model may write the prompts at run time.
        plain: whether its rows hold the goal as it is, under the suite's own name as template.
        spread: goal's turns and persuasion techniques -> what each row holds, where a goal gives several.
        wrap: (goal, split, index, settings) -> (prompt, form), for attacks with fixed wording.
        settings: the group of `harc.settings.suites.AttackForms` that `wrap` takes; empty: the one of the suite's name.
        read_outputs: whether an answer's program is read, and what it puts out is judged.
        about: what it asks on public prompts, in a few words; empty where there are none or a model writes them.
        module: file that declares it, filled in by `harc.suites.registry`.
    """

    name: str
    family: str
    order: int
    label: str
    column: str = ""
    macro: str = ""
    needs: Literal["text", "tokens", "likelihoods"] = "text"
    written: bool = False
    plain: bool = False
    spread: Callable[..., list[dict[str, Any]]] | None = None
    wrap: Callable[[str, str, int, Any], tuple[str, str]] | None = None
    settings: str = ""
    read_outputs: bool = False
    about: str = ""
    module: str = ""

    @property
    def metric(self) -> Metric:
        """What its rate counts."""
        return FAMILIES[self.family]


def pick_form(forms: Mapping[str, Sequence[Any]], split: str, index: int, settings: Any) -> tuple[int, Any]:
    """(number, text) of the wording that a goal takes: those of its split in turn, as many as the settings say."""
    count = settings.forms if split == "evaluation" else settings.development_forms
    return index % count, forms[split][index % count]


@dataclass(frozen=True)
class Mean:
    """A mean over suites of one family; that over attacks is taken over those that the profile names.

    Attributes:
        name: of the rate.
        family: whose suites it is taken over.
        label: for readers.
        column: head of a narrow column.
        macro: its name in the paper; empty: no macro.
    """

    name: str
    family: str
    label: str
    column: str = "mean"
    macro: str = ""


MEANS = (
    Mean("mean_asr", "attack", "mean ASR", macro="Asr"),
    Mean("mean_over_refusal", "over_refusal", "mean over refusal"),
    Mean("mean_helpfulness", "helpfulness", "mean helpfulness", macro="Help"),
)
