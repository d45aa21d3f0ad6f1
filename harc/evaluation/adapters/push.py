"""Sending an adapter to the hub: what would be sent is said first, and a token comes from the environment alone."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harc.core.artifacts import ADAPTER_FILES
from harc.core.errors import ConfigError, EnvironmentProblem
from harc.core.files import sha256_file
from harc.core.terminal import align_columns
from harc.evaluation.adapters.checks import Subject, require_sound
from harc.evaluation.adapters.folder import CARD, FILE
from harc.evaluation.adapters.licences import FILES
from harc.evaluation.adapters.merge import TEXTS
from harc.evaluation.adapters.report import format_report, make_subject, report_subject
from harc.model.weights import HUB_ID

TOKEN = "HF_TOKEN"
SENT = (*ADAPTER_FILES, CARD, *FILES, *TEXTS)
"""Names of files that are sent; whatever else lies in the folder stays there."""


@dataclass(frozen=True)
class Plan:
    """What would be sent."""

    files: dict[str, Path]
    left: list[str]


def plan_files(subject: Subject) -> Plan:
    """The files that are sent, by name, and those that are not."""
    entries = subject.adapter.entries
    chosen = [name for name in entries if name in SENT and entries[name].kind == FILE]
    left = [name for name in entries if name not in chosen]
    return Plan({name: subject.adapter.path / name for name in chosen}, left)


def push_adapter(
    adapter: Path, repository: str, base: str | None = None, *, licence: str | None = None, send: bool = False,
    public: bool = False,
) -> str:  # fmt: skip
    """Say what would be sent, or send it.

    Args:
        adapter: its folder.
        repository: owner/name.
        base: model that the adapter is compared with.
        licence: of the base, where its folder declares none.
        send: whether anything leaves this machine.
        public: whether the repository, where it is new, can be seen by all.

    Returns:
        What to print.

    Raises:
        ConfigError: for a repository's name that is none, and where the base's licence is unknown or forbids it.
        ModelError: where a check fails.
        EnvironmentProblem: without a token, or if the hub refuses.
    """
    if not HUB_ID.fullmatch(repository):
        raise ConfigError("REPOSITORY", expected="owner/name", found=repository, fix="check the spelling")
    subject = make_subject(str(adapter), base, licence)
    check_terms(subject)
    require_sound(subject)
    plan = plan_files(subject)
    said = [format_report(report_subject(subject)), "", *describe_plan(plan, repository, public)]
    terms = subject.base_licence.terms if subject.base_licence else None
    if terms and not _spell(repository.partition("/")[2]).startswith(_spell(terms.prefix)):
        said.append(f"note: {terms.title} asks that the name begin with {terms.prefix}")
    if not send:
        return "\n".join([*said, "nothing was sent: add --yes to send it"])
    address = send_files(plan.files, repository, _read_token(), public)
    return "\n".join([*said, f"sent: {address}"])


def _spell(name: str) -> str:
    """A name without the signs that stand in repositories for spaces."""
    return "".join(char for char in name.lower() if char.isalnum())


def check_terms(subject: Subject) -> None:
    """Refuse to pass on what may not be passed on, or is not known to.

    Raises:
        ConfigError: with why.
    """
    licence = subject.base_licence
    if licence is not None and licence.terms is not None and licence.terms.redistribution:
        return
    if licence is not None and licence.terms is not None:
        raise ConfigError(
            f"licence of the base ({licence.name})",
            expected="one that lets changed versions be passed on",
            found=licence.terms.title,
            fix="keep the adapter to yourself, or ask whoever published the base",
        )
    raise ConfigError(
        "licence of the base",
        expected="one that is known to let changed versions be passed on",
        found="none" if licence is None else licence.name,
        fix="read its terms and name it with --licence, or give the base's folder with its card (--base)",
    )


def describe_plan(plan: Plan, repository: str, public: bool) -> list[str]:
    """Lines with every file, its size and its SHA-256."""
    rows = [[name, f"{path.stat().st_size:,} bytes", sha256_file(path)] for name, path in plan.files.items()]
    total = sum(path.stat().st_size for path in plan.files.values())
    lines = [align_columns(rows)]
    if plan.left:
        lines.append(f"not sent: {', '.join(plan.left[:8])}" + (" ..." if len(plan.left) > 8 else ""))
    kind = "public" if public else "private"
    return [*lines, f"to {repository} ({kind} if it is new): {len(rows)} files, {total:,} bytes"]


def _read_token() -> str:
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise EnvironmentProblem(
            TOKEN,
            expected="an access token in the environment",
            found="none",
            fix="set it, for this command alone",
        )
    return token


def open_api(token: str) -> Any:
    """The hub's client."""
    from huggingface_hub import HfApi

    return HfApi(token=token)


def send_files(files: Mapping[str, Path], repository: str, token: str, public: bool) -> str:
    """Make the repository where there is none, and put the files there in one commit; its address.

    Raises:
        EnvironmentProblem: if the hub refuses or cannot be reached; the token is in no message.
    """
    from huggingface_hub import CommitOperationAdd

    api = open_api(token)
    operations: Sequence[Any] = [CommitOperationAdd(name, str(path)) for name, path in files.items()]
    try:
        api.create_repo(repository, private=not public, exist_ok=True)
        done = api.create_commit(repository, operations, commit_message="Add a LoRA adapter")
    except Exception as problem:  # the hub's library lets its transport's errors through, whichever that is
        status = getattr(getattr(problem, "response", None), "status_code", None)
        found = f"HTTP status {status}" if status else type(problem).__name__
        raise EnvironmentProblem(
            f"hub repository {repository}",
            expected="a place that this token may write to",
            found=found,
            fix="check the name, the network, and that the token may write",
        ) from None
    return str(done.commit_url).replace(token, "***")
