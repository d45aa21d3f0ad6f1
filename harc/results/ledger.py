"""The claims ledger: a file of claims, each with the test that was declared for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harc.core.artifacts import BASE
from harc.core.errors import ConfigError
from harc.core.files import sha256_file
from harc.core.yaml_text import YamlError, parse_yaml
from harc.results.claim_metrics import METRICS


class ClaimTest(BaseModel):
    """How a claim is decided."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    metric: str
    arguments: dict[str, str | int | float]
    comparison: Literal["below", "above"]
    threshold: float
    correction: Literal["holm", "none"]
    margin: float | None = Field(None, gt=0)


class Claim(BaseModel):
    """One claim with its source and its declared test."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str = Field(pattern=r"^[a-z0-9-]+$")
    origin: Literal["paper", "audit", "project", "related"] = Field(alias="from")
    source: str = Field(min_length=1)
    words: str = Field(min_length=1)
    question: str = Field(pattern=r"^[a-z0-9_]+$")
    primary: bool = False
    test: ClaimTest
    families: tuple[str, ...] = ()

    @property
    def is_trained(self) -> bool:
        """Whether it is about a method: else about the untreated model, which a fetched backbone has no seeds of."""
        given = self.test.arguments
        return any(given.get(name, BASE) != BASE for name in ("method", "reference"))


def _name(problem: Exception) -> str:
    """What a text that cannot be read holds; other troubles by their kind."""
    return str(problem) if isinstance(problem, YamlError) else type(problem).__name__


def _fail(path: Path, where: str, expected: str, found: str) -> ConfigError:
    return ConfigError(f"{path}: {where}", expected=expected, found=found, fix="mend the claims file")


def load_claims(path: Path) -> list[Claim]:
    """Read and check the ledger.

    Raises:
        ConfigError: naming the claim, for an unknown metric or argument, an unknown key, a repeated id, a margin that
            cannot be tested, or one quantity in the families of two questions.
    """
    try:
        entries = parse_yaml(path.read_text(encoding="utf-8"))["claims"]
        assert isinstance(entries, list)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as problem:
        raise _fail(path, "top", "YAML with a list `claims`", _name(problem)) from None
    claims: list[Claim] = []
    for number, entry in enumerate(entries, start=1):
        name = entry.get("id", f"entry {number}") if isinstance(entry, Mapping) else f"entry {number}"
        try:
            claim = Claim.model_validate(entry)
        except ValidationError as problem:
            first = problem.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise _fail(path, f"claim {name}", f"a valid `{field}`", first["msg"]) from None
        _check_test(path, claim)
        _check_against(path, claim, claims)
        claims.append(claim)
    return claims


def _check_test(path: Path, claim: Claim) -> None:
    metric = METRICS.get(claim.test.metric)
    if metric is None:
        known = ", ".join(sorted(METRICS))
        raise _fail(path, f"claim {claim.id}", f"a metric among {known}", f"`{claim.test.metric}`")
    wanted, given = set(metric.arguments), set(claim.test.arguments)
    if wanted != given:
        raise _fail(
            path,
            f"claim {claim.id}",
            f"the arguments {', '.join(sorted(wanted)) or 'none'} for {claim.test.metric}",
            ", ".join(sorted(given)) or "none",
        )
    if claim.test.margin is not None and claim.test.threshold:
        raise _fail(path, f"claim {claim.id}", "a margin around a threshold of 0", f"{claim.test.threshold}")


def _check_against(path: Path, claim: Claim, others: list[Claim]) -> None:
    """Refuse an id twice, and one quantity in two families, where one test could get two verdicts."""
    for other in others:
        if other.id == claim.id:
            raise _fail(path, f"claim {claim.id}", "ids that differ", "the same id twice")
        same = (claim.test.metric, claim.test.arguments) == (other.test.metric, other.test.arguments)
        if same and (claim.question, claim.test.correction) != (other.question, other.test.correction):
            raise _fail(
                path,
                f"claim {claim.id}",
                f"question {other.question} and correction {other.test.correction}, as claim {other.id} has on the "
                "same quantity",
                f"{claim.question} and {claim.test.correction}",
            )


def hash_ledger(path: Path) -> str:
    """SHA-256 of the ledger file, printed beside its verdicts so that a changed test shows."""
    return sha256_file(path)
