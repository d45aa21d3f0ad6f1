"""What `harc evaluate` does with its options: names to rows, judges and a model, and one run over them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError
from harc.core.finished import describe_work
from harc.core.terminal import show
from harc.core.untrusted import escape_control, parse_json
from harc.evaluation.junit import write_junit, write_unfinished
from harc.evaluation.own_asking import PromptedEndpoint, read_system_prompt
from harc.evaluation.own_attacks import (
    WRITTEN,
    Asker,
    Plan,
    add_attacker,
    check_attacks,
    check_budget,
    fetch_taxonomy,
    make_asker,
    plan_attacks,
    read_attacker,
)
from harc.evaluation.own_benchmarks import (
    SUITES,
    check_benchmarks,
    draw_rows,
    format_benchmarks,
    list_shipped_rows,
    make_benchmark_settings,
    run_benchmarks,
)
from harc.evaluation.own_budget import Spending, read_endpoint
from harc.evaluation.own_files import gather_files, write_left_out
from harc.evaluation.own_run import Findings, evaluate_suites
from harc.evaluation.policy.measuring import format_policy, measure_layers, prepare_layers
from harc.evaluation.policy.registry import read_layers
from harc.evaluation.prompt_file import ENDINGS, PromptFile, is_prompt_file
from harc.evaluation.run import load_target
from harc.evaluation.thresholds import Threshold, apply_thresholds, check_thresholds, parse_threshold
from harc.judges.base import Judge
from harc.judges.registry import LABELS_OF
from harc.model.handle import ModelHandle
from harc.model.weights import find_adapter, find_model
from harc.settings.endpoints import EndpointSettings
from harc.settings.evaluation import EvaluationSettings
from harc.settings.suites import AttackerFile, HelpfulnessSettings, JudgeFile
from harc.suites.benchmarks import BENCHMARKS

ANSWERING = [
    "harc.evaluation.own_run:answer_suite",
    "harc.evaluation.run:load_target",
    "harc.model.shared_base:SharedBase",
]
"""Where the code begins that answers depend on; verdicts are given anew by every run."""
DEFAULT_JUDGES = ("refusal_rules", "string_jailbreakbench")


@dataclass(frozen=True)
class Options:
    """The command's options, in the words of its help."""

    model: str | None
    suites: tuple[str, ...]
    out: Path
    endpoint: Path | None = None
    adapter: str | None = None
    judges: tuple[str, ...] = DEFAULT_JUDGES
    judge_config: Path | None = None
    max_new_tokens: int = 256
    batch_size: int = 16
    limit: int | None = None
    data: Path = Path("data/public")
    mirror: Path | None = None
    dtype: str = "float32"
    device: str = "cpu"
    template_options: tuple[str, ...] = ()
    template_date: str | None = None
    resume: bool = False
    system_prompt: str | None = None
    attacks: tuple[str, ...] = ()
    attacker_config: Path | None = None
    skip_bad_rows: bool = False
    collapse_duplicates: bool = False
    policies: tuple[Path, ...] = ()
    fail_if: tuple[str, ...] = ()
    junit: Path | None = None
    budget: float | None = None
    spent: float = 0.0
    """What other candidates of the command have cost."""


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
        from harc.evaluation.own_suppression import split_rows

        split_rows([row for file in files.values() for row in file.rows])
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
            from harc.evaluation.own_suppression import SuppressionAsker

            askers[suite] = SuppressionAsker([row for file in files.values() for row in file.rows], examiner)
    return askers


def read_judge_file(options: Options) -> JudgeFile:
    """The models behind judges, and the sandbox; defaults where no file is named."""
    from harc.core.yaml_text import read_yaml
    from harc.settings.loading import parse_settings

    path = options.judge_config
    return JudgeFile() if path is None else parse_settings(JudgeFile, read_yaml(path), str(path))


def make_settings(options: Options) -> EvaluationSettings:
    """Decoding and judges, checked as a profile's are; a lone judge gets a rule beside it.

    Raises:
        ConfigError: for an unknown judge, or `exact`, which knows the embedded world's answers only.
    """
    from harc.settings.loading import parse_settings

    judges = tuple(dict.fromkeys(options.judges or DEFAULT_JUDGES))
    known = [name for name in LABELS_OF if name != "exact"]
    unknown = [name for name in judges if name not in known]
    if unknown:
        raise ConfigError(
            "--judge",
            expected=f"one of {', '.join(known)}",
            found=unknown[0],
            fix="`harc judges list` says what each can tell; exact knows the embedded world's answers only",
        )
    if len(judges) == 1:
        judges += (next(name for name in DEFAULT_JUDGES if name not in judges),)
    models = read_judge_file(options)
    values = {
        "judges": judges, "max_new_tokens": options.max_new_tokens, "batch_size": options.batch_size,
        "judge_endpoint": models.endpoint, "classifier": models.classifier,
    }  # fmt: skip
    return parse_settings(EvaluationSettings, values, "harc evaluate")


def choose_model(options: Options) -> tuple[ModelHandle | EndpointSettings, dict[str, Any]]:
    """The model with its adapter or steering, or its server, and what identifies it.

    Raises:
        ConfigError: unless there is exactly one of a model and an endpoint file, or for an adapter on a server.
    """
    if (options.model is None) == (options.endpoint is None):
        raise ConfigError(
            "--model, --endpoint",
            expected="one of the two",
            found="neither" if options.model is None else "both",
            fix="name a model to load, or a file that says which server to ask",
        )
    chat = choose_chat(options)
    if options.model is not None:
        adapter, named = (None, None) if options.adapter is None else find_adapter(options.adapter)
        told = {"dtype": options.dtype, "device": options.device, "chat": chat}
        model = replace(find_model(options.model), method=adapter, **told)
        return model, {"model": model.describe(), "adapter": named, "chat": chat}
    if options.adapter is not None:
        raise ConfigError(
            "--adapter",
            expected="none with --endpoint",
            found=options.adapter,
            fix="have the server load the adapter (`vllm serve MODEL --enable-lora`)",
        )
    assert options.endpoint is not None, "one of the two, as checked above"
    endpoint, _ = read_endpoint(options.endpoint)
    if endpoint.kind != "local":
        return endpoint, {"model": {"endpoint": endpoint.describe_answers()}, "adapter": None}
    local = endpoint.model if Path(endpoint.model).is_dir() else f"{endpoint.model}@{endpoint.revision}"
    weights = find_model(local).describe()
    return endpoint, {"model": {"endpoint": endpoint.describe_answers(), "weights": weights}, "adapter": None}


def choose_chat(options: Options) -> dict[str, Any]:
    """What the chat template is told.

    Raises:
        ConfigError: for an option that is no NAME=VALUE, a date that is none, or either with a server.
    """
    from harc.settings.backbones import TemplateSettings
    from harc.settings.loading import parse_settings

    if options.endpoint is not None and (options.template_options or options.template_date):
        raise ConfigError(
            "--template-option, --template-date",
            expected="neither with --endpoint",
            found="one",
            fix="write template_options into the endpoint file",
        )
    values: dict[str, Any] = {"template_options": dict(map(_read_option, options.template_options))}
    if options.template_date is not None:
        values["template_date"] = options.template_date
    chat = parse_settings(TemplateSettings, values, "harc evaluate").chat
    system = read_system_prompt(options.system_prompt)
    return chat if system is None or options.endpoint is not None else chat | {"system": system}


def _read_option(text: str) -> tuple[str, Any]:
    """Name and value; the value as JSON where it is some, else as it stands."""
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise ConfigError(
            "--template-option",
            expected="NAME=VALUE, such as enable_thinking=false",
            found=text,
            fix="put the value behind an equals sign",
        )
    try:
        return name, parse_json(value)
    except ValueError:
        return name, value


def choose_benchmarks(options: Options) -> HelpfulnessSettings | None:
    """Settings of the public benchmarks among the suites; None if there are none.

    Raises:
        ConfigError: for mt_bench without a judge, or a benchmark asked of a server.
    """
    names = tuple(dict.fromkeys(name for name in options.suites if name in BENCHMARKS))
    if not names:
        return None
    if options.endpoint is not None:
        raise ConfigError(
            f"--suite {names[0]}",
            expected="a model that is loaded here (--model)",
            found="--endpoint",
            fix="take the benchmark out: its choices need token probabilities, and its code an opened answer",
        )
    models = read_judge_file(options)
    given = {"judge": models.endpoint, "sandbox": models.sandbox}
    return make_benchmark_settings(names, options.limit, options.batch_size, given)


def choose_spending(options: Options) -> tuple[Spending, str]:
    """Prices and budget of the model's server, and where they stand; none of a model that is loaded here.

    Raises:
        ConfigError: for a budget of a model that costs nothing.
    """
    if options.endpoint is None:
        if options.budget is not None:
            raise ConfigError(
                "--budget",
                expected="a served model (--endpoint)",
                found="--model",
                fix="leave it out: a model that is loaded here has no price",
            )
        return Spending(), "--endpoint"
    _, spending = read_endpoint(options.endpoint)
    if options.budget is None:
        return spending, f"{options.endpoint}: budget"
    return spending.model_copy(update={"budget": options.budget}), "--budget"


def evaluate_by_hand(
    options: Options, open_target: Callable[[Any, EvaluationSettings], Any] = load_target
) -> tuple[Findings, list[str]]:
    """Run the command for one model.

    Args:
        options: of the command.
        open_target: makes the target of a model and the settings; several models may share what they load.

    Returns:
        What was found, and remarks for the user.

    Raises:
        HarcError: whatever is wrong, before the model is loaded where that is possible.
    """
    from harc.evaluation.own_answers import AnswerStore
    from harc.evaluation.train_judge import prepare_parameters
    from harc.judges.registry import make_judges

    thresholds = [parse_threshold(text) for text in options.fail_if]
    if options.junit is not None:
        write_unfinished(options.junit, thresholds)
    files = read_files(options)
    attacker = read_attacker(options.attacker_config)
    served, able = options.endpoint is not None, attacker is not None
    check_attacks(options.attacks, files=bool(files), served=served, attacker=able)
    rows, remarks = gather_rows(options, files)
    plan = choose_attacks(options, files, rows, attacker)
    rows, remarks = plan.rows, remarks + list(plan.remarks)
    layers = read_layers(options.policies)
    check_thresholds(thresholds, rows, [layer.name for layer in layers])
    remarks += prepare_layers(layers, rows)
    for remark in remarks:  # what was taken for what, before hours of answers
        show(remark, err=True)
    settings, benchmarks = add_attacker(make_settings(options), attacker), choose_benchmarks(options)
    if benchmarks is not None:
        check_benchmarks(benchmarks, options.out)
    model, identity = choose_model(options)
    system = read_system_prompt(options.system_prompt)
    if system is not None and options.endpoint is not None:
        identity |= {"system": system}
    decoding = {"max_new_tokens": options.max_new_tokens, "dtype": options.dtype}
    store = AnswerStore(
        options.out,
        describe_work(ANSWERING, format=2, decoding=decoding, **identity),
        served=isinstance(model, EndpointSettings) and model.kind == "openai",
        resume=options.resume,
    )
    store.start_meter(*choose_spending(options), elsewhere=0.0 if options.budget is None else options.spent)
    check_budget(options.attacks, budgeted=store.meter.spending.budget is not None)
    parameters = prepare_parameters(settings.judges, options.data, options.mirror)
    judges = make_judges(settings.judges, "", settings, parameters)
    target = open_target(model, settings)
    if system is not None and options.endpoint is not None:
        target = PromptedEndpoint(target.endpoint, target.settings, system=system)
    remarks += getattr(getattr(target, "backbone", None), "remarks", ())
    askers = make_askers(plan, files, judges, settings, attacker)
    findings = evaluate_suites(target, rows, judges, store, askers)
    remarks += [remark for ask in askers.values() for remark in getattr(ask, "remarks", ())]
    write_left_out(options.out, files)
    if benchmarks is not None:
        if not rows:
            store.begin()
        scores = run_benchmarks(target, benchmarks, options.out, options.data, options.mirror)
        findings = replace(findings, benchmarks=scores)
    if layers:
        policy = measure_layers(layers, rows, settings.judges, options.out)
        findings = replace(findings, policy=policy)
    return check_findings(findings, options, thresholds, rows), remarks


def check_findings(
    findings: Findings,
    options: Options,
    thresholds: Sequence[Threshold],
    rows: dict[str, list[dict[str, Any]]],
) -> Findings:
    """The findings with the outcome of every threshold, which --junit is told too."""
    policy = findings.policy.rows if findings.policy else []
    checks = apply_thresholds(thresholds, findings.scores, policy, rows)
    if options.junit is not None:
        write_junit(options.junit, findings.scores, checks)
    return replace(findings, checks=checks)


def format_findings(findings: Findings, remarks: Sequence[str], out: Path) -> str:
    """What the command prints."""
    from harc.evaluation.own_groups import format_groups, format_weighted
    from harc.evaluation.own_scores import format_agreement, format_table

    lines: list[str] = []
    if findings.scores:
        lines += [format_table(findings.scores), *format_groups(findings.groups)]
        lines += [*format_weighted(findings.weighted), "", *format_agreement(findings.agreement)]
    if findings.benchmarks:
        lines += [format_benchmarks(findings.benchmarks), "", f"every sample: {out / 'benchmarks'}"]
    lines += [*remarks, *describe_sources(findings, out)] if findings.scores else remarks
    if findings.policy is not None:
        lines += ["", *format_policy(findings.policy, out)]
    lines += map(escape_control, findings.warnings)
    return "\n".join([*lines, *(check.text for check in findings.checks)])


def describe_sources(findings: Findings, out: Path) -> list[str]:
    """Where the answers come from: asked now, taken over, out of a cache; and why some never came."""
    taken = sum(findings.taken_over.values())
    asked = sum(findings.answered.values()) - findings.cached
    counts = f"{asked} prompts answered, {taken} taken over from earlier runs, {findings.cached} from a cache"
    lines = [f"wrote {out / 'scores.csv'} and {out / 'generations'}: {counts}"]
    if findings.missing:
        reason, count = max(findings.missing.items(), key=lambda item: item[1])
        total = sum(findings.missing.values())
        lines.append(
            f"{total} prompts got no answer; of {count} of them the server says: {escape_control(reason)}"
        )
    return lines
