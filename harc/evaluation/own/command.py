"""What `harc evaluate` does with its options for one model: everything checked, then one run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harc.core.finished import describe_work
from harc.core.terminal import show
from harc.evaluation.agents.asking import give_tools, write_as_text
from harc.evaluation.agents.judging import list_remarks
from harc.evaluation.junit import write_junit, write_unfinished
from harc.evaluation.own.answers import AnswerStore
from harc.evaluation.own.asked import check_answers, choose_attacks, gather_rows, make_askers, read_files
from harc.evaluation.own.asking import PromptedEndpoint, read_system_prompt
from harc.evaluation.own.attacks import add_attacker, check_attacks, check_budget, read_attacker
from harc.evaluation.own.benchmarks import check_benchmarks, run_benchmarks
from harc.evaluation.own.choices import choose_benchmarks, choose_model, choose_spending, make_settings
from harc.evaluation.own.files import write_left_out
from harc.evaluation.own.options import Options
from harc.evaluation.own.run import Findings, evaluate_suites, take_recorded
from harc.evaluation.policy.measuring import measure_layers, prepare_layers
from harc.evaluation.policy.registry import read_layers
from harc.evaluation.run import load_target
from harc.evaluation.thresholds import Threshold, apply_thresholds, check_thresholds, parse_threshold
from harc.settings.endpoints import EndpointSettings
from harc.settings.evaluation import EvaluationSettings

ANSWERING = [
    "harc.evaluation.own.run:answer_suite",
    "harc.evaluation.run:load_target",
    "harc.model.shared_base:SharedBase",
]
"""Where the code begins that answers depend on; verdicts are given anew by every run."""


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
    remarks += check_answers(options, files)
    plan = choose_attacks(options, files, rows, attacker)
    system = read_system_prompt(options.system_prompt)
    rows, remarks = write_tools(plan.rows, options, system), remarks + list(plan.remarks)
    remarks += [remark for members in rows.values() for remark in list_remarks(members)]
    layers = read_layers(options.policies)
    check_thresholds(thresholds, rows, [layer.name for layer in layers])
    remarks += prepare_layers(layers, rows)
    for remark in remarks:  # what was taken for what, before hours of answers
        show(remark, err=True)
    settings, benchmarks = add_attacker(make_settings(options), attacker), choose_benchmarks(options)
    if benchmarks is not None:
        check_benchmarks(benchmarks, options.out)
    model, identity = choose_model(options)
    if system is not None and options.endpoint is not None:
        identity |= {"system": system}
    identity |= {"tools": "text"} if options.tools_as_text else {}
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
    target: Any = None if model is None else give_tools(open_target(model, settings), rows)
    if system is not None and options.endpoint is not None:
        target = PromptedEndpoint(target.endpoint, target.settings, system=system)
    remarks += getattr(getattr(target, "backbone", None), "remarks", ())
    asking = make_askers(plan, files, judges, settings, attacker)
    askers = asking if model is not None else dict.fromkeys(rows, take_recorded)
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


def write_tools(
    rows: Mapping[str, list[dict[str, Any]]], options: Options, system: str | None
) -> dict[str, list[dict[str, Any]]]:
    """The rows, with tools in words where the command asks for that."""
    if not options.tools_as_text:
        return dict(rows)
    return {suite: [write_as_text(row, system) for row in members] for suite, members in rows.items()}


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
