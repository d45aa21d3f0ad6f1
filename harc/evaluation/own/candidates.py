"""Several models, adapters or servers in one run: a folder each, one after the other, then compared in pairs."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harc.core.csv_files import write_csv
from harc.core.errors import ConfigError
from harc.core.files import read_json, write_json
from harc.core.terminal import align_columns, show
from harc.core.untrusted import escape_control
from harc.evaluation.own.answers import OUTCOME, RUN_FILE
from harc.evaluation.own.budget import read_endpoint
from harc.evaluation.own.command import evaluate_by_hand
from harc.evaluation.own.comparison import (
    CHANGED_COLUMNS,
    CHANGED_FILE,
    DIFFERENCE_COLUMNS,
    DIFFERENCES_FILE,
    adjust_tests,
    compare_runs,
    format_differences,
)
from harc.evaluation.own.options import Options
from harc.evaluation.own.printing import format_findings
from harc.evaluation.own.run import SCORES_FILE, Findings
from harc.evaluation.own.scores import SCORE_COLUMNS
from harc.evaluation.run import load_target
from harc.model.handle import ModelHandle
from harc.model.shared_base import SharedBase, can_share
from harc.model.weights import find_adapter, find_model
from harc.settings.endpoints import EndpointSettings
from harc.settings.evaluation import EvaluationSettings
from harc.suites.target import Target

BASE = "base"
"""Name of the model without an adapter, where adapters are compared with it."""
FOLDER = "candidates"


@dataclass(frozen=True)
class Candidate:
    """One of the models that a run compares.

    Attributes:
        name: of its folder, and in tables.
        options: of the command, for it alone.
    """

    name: str
    options: Options

    @property
    def source(self) -> str:
        """What the user named: the adapter, the server's file, or the model."""
        return str(self.options.adapter or self.options.endpoint or self.options.model)


@dataclass(frozen=True)
class Compared:
    """What a run over several candidates found.

    Attributes:
        findings: and remarks, by candidate.
        differences, changed: rows of differences.csv and changed.csv.
    """

    findings: dict[str, tuple[Findings, list[str]]]
    differences: list[dict[str, Any]]
    changed: list[dict[str, Any]]


def list_candidates(
    options: Options,
    models: Sequence[str],
    endpoints: Sequence[Path],
    adapters: Sequence[str],
    compare: str | None,
) -> tuple[list[Candidate], str]:
    """The candidates of a command, the reference first, and its name; one candidate has the run's folder to itself.

    Args:
        options: those that all share.
        models: folders, hub ids or wheels.
        endpoints: files of servers.
        adapters: each put on the one model.
        compare: `base`, or what the reference is called; None: whatever comes first.

    Raises:
        ConfigError: for several models with adapters, a model beside a server without `compare`, two candidates that
            are one, or a reference that is none of them.
    """
    if models and endpoints and compare is None:
        raise ConfigError(
            "--model, --endpoint",
            expected="one of the two, or --compare with the one that the others are compared with",
            found="both",
            fix="name a model to load, or a file that says which server to ask",
        )
    if adapters and len(models) > 1:
        raise ConfigError(
            "--model, --adapter",
            expected="several adapters of one model, or several models",
            found=f"{len(models)} models and an adapter",
            fix="give a command for each model",
        )
    if len(models) + len(endpoints) <= 1 and len(adapters) <= 1 and compare is None:
        (model,), (endpoint,), (adapter,) = models or (None,), endpoints or (None,), adapters or (None,)
        return [Candidate("", replace(options, model=model, endpoint=endpoint, adapter=adapter))], ""
    if adapters and not models:
        raise ConfigError(
            "--adapter",
            expected="--model, which it is put on",
            found="none",
            fix="name the model; of a server, have it load the adapter (`vllm serve MODEL --enable-lora`)",
        )
    parts: list[dict[str, Any]] = [{"model": models[0], "adapter": name} for name in adapters]
    parts += [{"model": name} for name in models if not adapters] + [{"endpoint": path} for path in endpoints]
    with_base = bool(adapters) and compare == BASE
    sources = [str(list(part.values())[-1]) for part in parts]
    names = name_sources(sources, taken=(BASE,) if with_base else ())
    if with_base:
        parts, names = [{"model": models[0]}, *parts], [BASE, *names]
    shared: dict[str, Any] = {"model": None, "endpoint": None, "adapter": None}
    found = [
        Candidate(
            name,
            replace(
                options, **(shared | part), out=options.out / FOLDER / name, junit=name_junit(options, name)
            ),
        )
        for name, part in zip(names, parts, strict=True)
    ]
    reference = names[0] if compare is None and names else _find_reference(found, compare)
    if compare is not None:  # it is there to be compared with, and may fail what the others should not
        found = [_free_of_thresholds(one) if one.name == reference else one for one in found]
    if len(found) < 2:
        raise ConfigError(
            "--compare",
            expected="another model, adapter or server to compare with",
            found="one alone",
            fix="give --adapter, --model or --endpoint once more, or leave --compare out",
        )
    return sorted(found, key=lambda one: one.name != reference), reference


def name_junit(options: Options, name: str) -> Path | None:
    """The file of --junit for one candidate: with its name behind the file's own."""
    path = options.junit
    return None if path is None else path.with_name(f"{path.stem}-{name}{path.suffix}")


def _free_of_thresholds(one: Candidate) -> Candidate:
    return replace(one, options=replace(one.options, fail_if=(), junit=None))


def _find_reference(found: Sequence[Candidate], compare: str | None) -> str:
    for one in found:
        if compare in (one.name, one.source):
            return one.name
    raise ConfigError(
        "--compare",
        expected=f"{BASE} (with --adapter), or one of {', '.join(one.name for one in found) or 'what is compared'}",
        found=str(compare),
        fix="name the candidate that the others are compared with",
    )


def name_sources(sources: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """A short name for each source that no other has: the last parts of its path, as many as tell them apart.

    Raises:
        ConfigError: for a source that is there twice, or two that differ in signs alone.
    """
    split = [
        [_make_plain(part) for part in re.split(r"[/\\]+", text) if _make_plain(part)] for text in sources
    ]
    for depth in range(1, max(map(len, split), default=0) + 1):
        names = ["-".join(parts[-depth:]) or "model" for parts in split]
        if len({*names, *taken}) == len(names) + len(taken):
            return names
    if not sources:
        return []
    raise ConfigError(
        "--model, --adapter, --endpoint",
        expected="candidates whose names differ in letters or digits",
        found=f"{', '.join(sources)}",
        fix="leave out what is there twice, or rename a folder",
    )


def _make_plain(text: str) -> str:
    plain = re.sub(r"[^a-z0-9._]+", "_", text.lower().removesuffix(".yaml").removesuffix(".yml"))
    return plain.strip("._")[:60]


def check_candidates(candidates: Sequence[Candidate], out: Path) -> None:
    """Stop before the first answer for a candidate that is not there, or a folder that holds something else.

    Raises:
        HarcError: whatever is wrong.
    """
    for one in candidates:
        if one.options.endpoint is not None:
            read_endpoint(one.options.endpoint)
        else:
            find_model(str(one.options.model))
        if one.options.adapter is not None:
            find_adapter(one.options.adapter)
    kept = read_json(out / RUN_FILE) if (out / RUN_FILE).is_file() else {FOLDER: []}
    if not (isinstance(kept, dict) and FOLDER in kept):
        raise ConfigError(
            f"--out {out}",
            expected="a new folder, or a run of several candidates",
            found="a run of one",
            fix="name another folder; nothing in this one was touched",
        )


class Opener:
    """Makes targets; models on one base share it, where their adapters allow."""

    def __init__(self, wanted: Sequence[Candidate]) -> None:
        """Note which bases are wanted more than once.

        Args:
            wanted: in the order in which they are opened.
        """
        models = [one.options.model for one in wanted]
        self.several = {name for name in models if name is not None and models.count(name) > 1}
        self.shared: SharedBase | None = None
        self.loads = 0

    def open_for(self, candidate: Candidate) -> Callable[[Any, EvaluationSettings], Any]:
        """What `evaluate_by_hand` opens a candidate with."""

        def open_target(model: ModelHandle | EndpointSettings, settings: EvaluationSettings) -> Any:
            alone = candidate.options.model not in self.several
            if isinstance(model, EndpointSettings) or alone or not can_share(model):
                self.shared = None
                return load_target(model, settings)
            base = replace(model, method=None)
            if self.shared is None or self.shared.handle != base:
                self.shared = None
                self.shared, self.loads = SharedBase(base), self.loads + 1
            return Target(self.shared.open(model), settings)

        return open_target


def evaluate_candidates(candidates: Sequence[Candidate], reference: str, out: Path) -> Compared:
    """Ask every candidate, and compare each with the reference on the same prompts.

    Writes, beside a folder for each candidate, scores.csv and scores.json of all, differences.csv, changed.csv and
    run.json. The same command goes on where it was stopped.

    Raises:
        HarcError: see `evaluate_by_hand`; what was answered is kept.
    """
    check_candidates(candidates, out)
    described = {
        one.name: {"model": one.options.model, "adapter": one.options.adapter,
                   "endpoint": None if one.options.endpoint is None else one.options.endpoint.name}
        for one in candidates
    }  # fmt: skip
    run = {"format": 1, FOLDER: described, "reference": reference}
    write_json(out / RUN_FILE, run)
    opener, found, spent = Opener(candidates), {}, 0.0
    for one in candidates:
        show(f"{one.name}: {escape_control(one.source)}", err=True)
        found[one.name] = evaluate_by_hand(replace(one.options, spent=spent), opener.open_for(one))
        spent += _read_usage(one.options.out).get("cost", 0.0)
    differences, changed = compare_candidates(candidates, reference)
    scores = [{"candidate": name, **row} for name, (part, _) in found.items() for row in part.scores]
    write_csv(out / "scores.csv", ("candidate", *SCORE_COLUMNS), scores)
    write_csv(out / DIFFERENCES_FILE, DIFFERENCE_COLUMNS, differences)
    write_csv(out / CHANGED_FILE, CHANGED_COLUMNS, changed)
    each = {one.name: read_json(one.options.out / SCORES_FILE) for one in candidates}
    write_json(
        out / SCORES_FILE,
        {"format": 1, FOLDER: each, "reference": reference, "differences": differences},
    )
    usage = {one.name: _read_usage(one.options.out) for one in candidates}
    write_json(out / RUN_FILE, run | {OUTCOME: {"usage": usage}})
    return Compared(found, differences, changed)


def _read_usage(folder: Path) -> dict[str, Any]:
    return read_json(folder / RUN_FILE).get(OUTCOME, {}).get("usage", {})


def compare_candidates(
    candidates: Sequence[Candidate], reference: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Differences and changes of every candidate against the reference; p values adjusted over all of them."""
    folders = {one.name: one.options.out for one in candidates}
    differences, changed = [], []
    for name, folder in folders.items():
        if name != reference:
            tested, moved = compare_runs(folders[reference], folder)
            differences += [{"candidate": name, "reference": reference, **row} for row in tested]
            changed += [{"candidate": name, **row} for row in moved]
    return adjust_tests(differences), changed


def format_compared(compared: Compared, candidates: Sequence[Candidate], reference: str, out: Path) -> str:
    """What the command prints: each candidate's table, then the comparison."""
    lines = []
    for one in candidates:
        findings, remarks = compared.findings[one.name]
        usage = _read_usage(one.options.out)
        lines += [f"== {one.name} ({escape_control(one.source)})"]
        lines += [format_findings(findings, remarks, one.options.out), describe_usage(usage), ""]
    lines += [f"against {reference}, on the same prompts (95% intervals)"]
    lines += [align_columns(format_differences(compared.differences)), ""]
    for name in (one.name for one in candidates if one.name != reference):
        own = [row["change"] for row in compared.changed if row["candidate"] == name]
        counts = [f"{own.count(kind)} {kind}" for kind in dict.fromkeys(own)]
        lines.append(f"{name}: {', '.join(counts) or 'no prompt changed'}")
    return "\n".join([*lines, f"wrote {out / DIFFERENCES_FILE} and {out / CHANGED_FILE}"])


def describe_usage(usage: dict[str, Any]) -> str:
    """One line: seconds per answer, tokens, cost."""
    if not usage.get("answers"):
        return "asked nothing"
    text = f"{usage['seconds_per_answer']:.3g} s per answer, {usage['prompt_tokens']} prompt and "
    text += f"{usage['response_tokens']} answer tokens"
    if usage.get("uncounted"):
        text += f" ({usage['uncounted']} answers not counted by the server)"
    return text + (f", cost {usage['cost']:.4g}" if "cost" in usage else "")
