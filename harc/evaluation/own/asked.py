"""What options ask: the rows of files and shipped suites, and the attacks around them."""

from collections.abc import Mapping, Sequence
from typing import Any

from harc.core.errors import ConfigError, DataError
from harc.core.untrusted import escape_control
from harc.evaluation.own.attacks import WRITTEN, Asker, Plan, fetch_taxonomy, make_asker, plan_attacks
from harc.evaluation.own.benchmarks import SUITES, draw_rows, list_shipped_rows
from harc.evaluation.own.files import gather_files
from harc.evaluation.own.options import Options
from harc.evaluation.own.prompts import ENDINGS, PromptFile, is_prompt_file
from harc.judges.base import Judge
from harc.settings.evaluation import EvaluationSettings
from harc.settings.suites import AttackerFile
from harc.suites.benchmarks import BENCHMARKS


def read_files(options: Options) -> dict[str, PromptFile]:
    """The prompt files among the suites, by suite.

    Raises:
        ConfigError: for a suite that is neither shipped nor a prompt file, or two of one name.
        DataError: for a faulty prompt file.
    """
    files = [name for name in options.suites if is_prompt_file(name)]
    unknown = [name for name in options.suites if name not in (*files, *SUITES, *BENCHMARKS)]
    if unknown or not options.suites:
        raise ConfigError(
            "--suite",
            expected=f"one of {', '.join((*SUITES, *BENCHMARKS))}, or a file that ends in {' or '.join(ENDINGS)}",
            found=repr(unknown[0]) if unknown else "none",
            fix="check the spelling; `harc evaluate --help` says what each suite is",
        )
    return gather_files(
        files,
        {*SUITES, *BENCHMARKS},
        skip_faulty=options.skip_bad_rows,
        collapse=options.collapse_duplicates,
    )


def gather_rows(
    options: Options, files: Mapping[str, PromptFile] | None = None
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Rows by suite, own files first, and remarks on them; benchmarks have rows of their own.

    Raises:
        ConfigError, DataError: see read_files.
    """
    files = read_files(options) if files is None else files
    rows = {suite: file.rows for suite, file in files.items()}
    remarks = [escape_control(remark) for file in files.values() for remark in file.remarks]
    if asked := [name for name in options.suites if name in SUITES]:
        rows |= list_shipped_rows(asked, options.data, mirror=options.mirror)
    return {suite: draw_rows(members, options.limit) for suite, members in rows.items()}, remarks


def list_textual(files: Mapping[str, PromptFile]) -> list[dict[str, Any]]:
    """Rows of all files that directions of refusal are read on: those of text alone."""
    return [row for file in files.values() for row in file.rows if "tools" not in row]


def check_answers(options: Options, files: Mapping[str, PromptFile]) -> list[str]:
    """Remarks on recorded answers that are not judged.

    Raises:
        DataError: for a file without the column response, where recorded answers are to be judged.
    """
    remarks = []
    for suite, file in files.items():
        held = sum("response" in row for row in file.rows)
        if options.recorded and not held:
            raise DataError(
                f"suite {suite}",
                expected="answers in the column response, as --recorded asks for",
                found="no such column",
                fix="add it, or name a model in place of --recorded",
            )
        if held and not options.recorded:
            remarks.append(f"{suite}: {held} recorded answers are not read (--recorded judges them)")
    return remarks


def choose_attacks(
    options: Options,
    files: Mapping[str, PromptFile],
    rows: Mapping[str, list[dict[str, Any]]],
    attacker: AttackerFile | None,
) -> Plan:
    """The suites of the run with those that --attack adds.

    Raises:
        ConfigError: for an attack that cannot be made.
        DataError: for a file with too few rows to read directions on.
    """
    fetch_taxonomy(options.attacks, options.data, options.mirror)
    if "suppression" in options.attacks:
        from harc.evaluation.own.suppression import split_rows

        split_rows(list_textual(files))
    return plan_attacks(options.attacks, files, rows, attacker, options.data)


def make_askers(
    plan: Plan,
    files: Mapping[str, PromptFile],
    judges: Sequence[Judge],
    settings: EvaluationSettings,
    attacker: AttackerFile | None,
) -> dict[str, Asker]:
    """By suite, how attacks are asked that take more than a prompt."""
    from harc.suites.examiner import make_examiner

    seed = 0 if attacker is None else attacker.seed
    examiner = make_examiner(judges, settings, seed, {*plan.sources.values()})
    askers: dict[str, Asker] = {}
    for suite, name in plan.sources.items():
        if name in WRITTEN and attacker is not None:
            askers[suite] = make_asker(name, attacker, examiner)
        if name == "suppression":
            from harc.evaluation.own.suppression import SuppressionAsker

            askers[suite] = SuppressionAsker(list_textual(files), examiner)
    return askers
