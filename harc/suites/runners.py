"""Running one suite on a target: from rows to judged generation records."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from harc.core.errors import ConfigError, ModelError
from harc.judges.base import Judge
from harc.judges.states import decide_unread
from harc.model.endpoints.base import ChatEndpoint
from harc.suites.attackers import make_attackers
from harc.suites.codeattack import is_decoded, read_answer
from harc.suites.examiner import Examiner
from harc.suites.families import DECODING_SUITES, DOCUMENT_SUITES, HELPFULNESS_SUITES, PREFILL_SUITES
from harc.suites.pair import PairGoal, run_pair
from harc.suites.records import NOT_ASKED, name_request
from harc.suites.target import Target, TextTarget

HARNESS_SUITES = tuple(suite for suite in HELPFULNESS_SUITES if suite != "two_turn")
"""Suites that lm-evaluation-harness runs; its tasks hold one user turn, so two-turn chats are asked here."""

WEIGHT_SUITES = HARNESS_SUITES + DOCUMENT_SUITES
"""Suites that a target behind a server cannot answer: they need token ids or likelihoods."""

DECODING_VERSION = "decoding-1"


def run_turns(target: TextTarget, rows: Sequence[dict], judges: Sequence[Judge]) -> list[dict]:
    """Ask every row's user turns, one after the other, and judge the last reply.

    Where a row asks for a program that fills a list (`read_outputs`), what the program puts there is judged.
    """
    seen, completions = target.answer_turns([row["messages"] for row in rows], [row["id"] for row in rows])
    attacks = [
        {"judged": read_answer(completion.text)} if row.get("read_outputs") else None
        for row, completion in zip(rows, completions, strict=True)
    ]
    return target.make_records(rows, seen, completions, judges, attacks)


def run_documents(target: Target, rows: Sequence[dict], judges: Sequence[Judge]) -> list[dict]:
    """Read the word that the model puts after a text that stands alone in the user turn.

    The template's end of the turn is left out, so the word continues the text. Used to accept backbones only.
    """
    conversations = [row["messages"] for row in rows]
    chat = target.backbone.chat
    prompts = [ids[: -chat.post_instruction_count] for ids in chat.encode_prompts(conversations)]
    completions = target.decode(prompts, max_new_tokens=1, names=[row["id"] for row in rows])
    return target.make_records(rows, conversations, completions, judges)


def run_prefill(target: TextTarget, rows: Sequence[dict], judges: Sequence[Judge]) -> list[dict]:
    """Ask each row with the reply's first words given; the response holds them, and what follows is judged."""
    opening = target.settings.prefill.opening
    conversations = [row["messages"] for row in rows]
    completions = target.answer(conversations, [row["id"] for row in rows], opening)
    whole = [replace(completion, text=opening + completion.text) for completion in completions]
    attacks = [{"opening": opening, "judged": completion.text} for completion in completions]
    return target.make_records(rows, conversations, whole, judges, attacks)


def run_decoding(target: TextTarget, rows: Sequence[dict], judges: Sequence[Judge]) -> list[dict]:
    """The control for code attacks: can the model read the encoding? Right answers are known, so words decide."""
    seen, completions = target.answer_turns([row["messages"] for row in rows], [row["id"] for row in rows])
    verdicts = []
    for row, done in zip(rows, completions, strict=True):
        right = is_decoded(done.text, row["goal"])
        label = decide_unread(done.finish_reason, done.text) or ("correct" if right else "garbled")
        verdict = {"label": label, "score": 10 if label == "correct" else 1, "version": DECODING_VERSION}
        verdicts.append({judge.name: dict(verdict) for judge in judges})
    return target.make_records(rows, seen, completions, judges, verdicts=verdicts)


def run_paraphrases(target: TextTarget, rows: Sequence[dict], examiner: Examiner) -> list[dict]:
    """PAP: rows with a technique are rewritten by the attacker first; rows whose text is written are asked as they are.

    A row that the attacker wrote nothing for is an attempt without success, and says why.
    """
    if not any("technique" in row for row in rows):
        return run_turns(target, rows, examiner.judges)
    from harc.suites.attack_writer import Unwritten
    from harc.suites.pap import Technique, paraphrase_goals

    written = paraphrase_goals(
        _need_attacker(examiner, "pap"),
        [(name_request(row), Technique(**row["technique"])) for row in rows],
        target.settings.attacker_replies,
        examiner.seed,
    )
    sent = [place for place, text in enumerate(written) if isinstance(text, str)]
    conversations = [
        row["messages"] if isinstance(text, Unwritten) else _as_turn(text)
        for row, text in zip(rows, written, strict=True)
    ]
    replies = target.answer([conversations[place] for place in sent], [rows[place]["id"] for place in sent])
    completions = [NOT_ASKED] * len(rows)
    for place, reply in zip(sent, replies, strict=True):
        completions[place] = reply
    attacks = [
        {"technique": row["technique"]["name"]}
        | ({"problem": text.problem} if isinstance(text, Unwritten) else {})
        for row, text in zip(rows, written, strict=True)
    ]
    return target.make_records(rows, conversations, completions, examiner.judges, attacks)


def run_pair_suite(
    target: TextTarget,
    rows: Sequence[dict],
    examiner: Examiner,
    on_queries: Callable[[int], None] | None = None,
) -> list[dict]:
    """Attack every row's goal iteratively; the record holds the best query and the whole history.

    Args:
        target: the model under attack.
        rows: one goal each.
        examiner: judges, of which `pair.judge` or the first steers the attack; seed; attacking model.
        on_queries: called with the number of queries of each iteration.

    A goal for which a model wrote no prompt is an attempt without success, with every stream's problem.

    Raises:
        ModelError: if the attacker by rules proposed nothing for a goal.
    """
    settings = target.settings
    asking = settings.attacker == "endpoint"
    if not asking and any(isinstance(row.get("goal"), str) for row in rows):
        raise _describe_missing_attacker("evaluation.attacker", "pair")
    runs = run_pair(
        [
            PairGoal(
                row["id"],
                name_request(row) if asking else row.get("goal"),
                name_request(row),
                row["expected"],
            )
            for row in rows
        ],
        make_attackers(
            settings, seed=examiner.seed, endpoint=_need_attacker(examiner, "pair") if asking else None
        ),
        lambda prompts: target.answer([_as_turn(prompt) for prompt in prompts]),
        judge=_find_steering_judge(examiner.judges, settings.pair.judge),
        settings=settings.pair,
        on_iteration=None if on_queries is None else lambda _, count: on_queries(count),
    )
    silent = next((run for run in runs if run.best is None), None)
    if silent is not None and not asking:
        raise ModelError(
            f"PAIR on {silent.target.id}",
            expected="at least one stream that proposes a prompt",
            found=f"{len(silent.failures)} failed streams, the last with {silent.failures[-1][2]!r}",
            fix="check the attacker; finished suites are kept",
        )
    return target.make_records(
        rows,
        [
            row["messages"] if run.best is None else _as_turn(run.best.prompt)
            for row, run in zip(rows, runs, strict=True)
        ],
        [NOT_ASKED if run.best is None else run.best.completion for run in runs],
        examiner.judges,
        [run.to_dict(settings.pair.success_score) for run in runs],
    )


def _find_steering_judge(judges: Sequence[Judge], name: str | None) -> Judge:
    return next((judge for judge in judges if judge.name == name), judges[0])


def _as_turn(prompt: str) -> list[dict]:
    return [{"role": "user", "content": prompt}]


def _need_attacker(examiner: Examiner, suite: str) -> ChatEndpoint:
    if examiner.attacker is None:
        raise _describe_missing_attacker("evaluation.attacker_endpoint", suite)
    return examiner.attacker


def _describe_missing_attacker(where: str, suite: str) -> ConfigError:
    return ConfigError(
        where,
        expected=f"a model that writes the prompts of suite {suite}",
        found="none",
        fix="set attacker: endpoint, and name a server or a local model in attacker_endpoint; see docs/attacks.md",
    )


def run_suite(suite: str, target: TextTarget, rows: Sequence[dict], examiner: Examiner) -> list[dict]:
    """Run one suite that needs no harness."""
    if suite == "pair":
        return run_pair_suite(target, rows, examiner)
    if suite == "pap":
        return run_paraphrases(target, rows, examiner)
    runners = (
        (PREFILL_SUITES, run_prefill),
        (DECODING_SUITES, run_decoding),
        (DOCUMENT_SUITES, run_documents),
    )
    run = next((run for suites, run in runners if suite in suites), run_turns)
    return run(target, rows, examiner.judges)
