"""The checks of an adapter: each is one function that says pass, warn or fail with a reason.

A check is declared by `@check(name)` in one of the modules that `list_checks` names. Where what it reads cannot be
read, it is "skip": another check, of that part, says why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harc.core.errors import ModelError
from harc.core.untrusted import escape_control
from harc.evaluation.adapters.base import BaseFiles
from harc.evaluation.adapters.folder import AdapterFolder, Unreadable
from harc.evaluation.adapters.layers import PatternProblem, choose_values
from harc.evaluation.adapters.licences import Licence, choose_licence
from harc.model.tensors import name_some

PASS, WARN, FAIL, SKIP = "pass", "warn", "fail", "skip"
LONGEST = 400  # characters of a reason


@dataclass(frozen=True)
class Subject:
    """What is checked.

    Attributes:
        adapter: its folder.
        base: the model that it shall fit; None where none was given.
        licence: of the base, as the user names it; None: as the base's folder declares it.
    """

    adapter: AdapterFolder
    base: BaseFiles | None = None
    licence: str | None = None

    @property
    def base_licence(self) -> Licence | None:
        """The licence of the base; None where it is unknown."""
        return choose_licence(self.licence, None if self.base is None else self.base.files)


@dataclass(frozen=True)
class Finding:
    """What a check says."""

    name: str
    status: str
    reason: str


Said = tuple[str, str]
Check = Callable[[Subject], Said | None]
CHECKS: list[tuple[str, Check]] = []


def check(name: str) -> Callable[[Check], Check]:
    """Declare a function as a check: it takes a Subject and gives (status, reason), or None where nothing applies."""

    def declare(function: Check) -> Check:
        CHECKS.append((name, function))
        return function

    return declare


def list_checks() -> list[tuple[str, Check]]:
    """Every declared check by its name, in order."""
    from harc.evaluation.adapters import check_base, check_files, check_settings, check_tensors, check_terms

    modules = (check_files, check_settings, check_tensors, check_base, check_terms)
    places = {module.__name__: place for place, module in enumerate(modules)}
    return sorted(CHECKS, key=lambda entry: places.get(entry[1].__module__, len(places)))


def run_checks(subject: Subject) -> list[Finding]:
    """What every check says, in order."""
    findings = []
    for name, function in list_checks():
        try:
            said = function(subject)
        except Unreadable as problem:
            said = SKIP, f"not looked at: {problem}"
        if said is not None:
            reason = escape_control(" ".join(said[1].split()))
            reason = reason if len(reason) <= LONGEST else f"{reason[:LONGEST]}..."
            findings.append(Finding(name, said[0], reason))
    return findings


def is_sound(findings: Sequence[Finding]) -> bool:
    """Whether no check fails."""
    return not any(finding.status == FAIL for finding in findings)


def require_sound(subject: Subject) -> None:
    """Run the checks.

    Raises:
        ModelError: naming those that fail.
    """
    failed = [
        f"{finding.name} ({finding.reason})" for finding in run_checks(subject) if finding.status == FAIL
    ]
    if failed:
        raise ModelError(
            subject.adapter.name,
            expected="an adapter that passes its checks",
            found=name_some(failed),
            fix="`harc adapter check` shows all of them",
        )


def describe_adapter(adapter: AdapterFolder) -> dict[str, Any]:
    """Kind, rank, alpha, scale, targets, numbers and base of an adapter; what cannot be read is left out."""
    try:
        settings = adapter.settings
    except Unreadable:
        return {}
    known: dict[str, Any] = {
        "kind": settings.kind,
        "base": settings.base_model_name_or_path,
        "base_revision": settings.revision,
    }
    if settings.peft_type != "LORA":
        return known
    known |= {"rank": settings.r, "alpha": settings.lora_alpha}
    known |= {
        "scale": settings.find_scale(settings.lora_alpha, settings.r),
        "targets": settings.target_modules,
    }
    try:
        layers = list(adapter.layers)
        ranks = choose_values(settings.r, settings.rank_pattern or {}, layers)
        alphas = choose_values(settings.lora_alpha, settings.alpha_pattern or {}, layers)
        scales = sorted({settings.find_scale(alphas[layer], ranks[layer]) for layer in layers})
        known["layers"] = len(layers)
        known["scales"] = [scales[0], scales[-1]] if scales else []
        known["parameters"] = sum(_count(entry["shape"]) for entry in adapter.header.values())
        known["dtypes"] = sorted({entry["dtype"] for entry in adapter.header.values()})
    except (Unreadable, PatternProblem):
        pass
    return known


def _count(shape: Sequence[int]) -> int:
    total = 1
    for extent in shape:
        total *= extent
    return total
