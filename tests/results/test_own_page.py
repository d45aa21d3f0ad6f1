"""The page of `harc evaluate`: its verdict, what makes it look broken, what it leaves out, and hostile text in it."""

import re
import tracemalloc

import pytest
from fixtures.own_runs import NO, YES, make_rows, refuse_below, write_one, write_several

from harc.core.csv_files import write_csv
from harc.core.errors import DataError
from harc.core.files import write_json
from harc.evaluation.policy.scores import COMBINATIONS, POLICY_COLUMNS
from harc.judges.base import Verdict
from harc.results.own_page import MOST_LISTED, PAGE, render_own_page, write_own_page
from harc.results.own_verdict import judge_run, say_points, say_share
from harc.results.own_view import LONGEST, Sample, collect_examples, read_runs

HOSTILE = "<script>alert(1)</script> \u202eevil\u202c \x1b[2J \u0000 & \"quoted\" 'too' {{ 7 * 7 }} </pre></details>"


def find_verdict(page: str) -> str:
    found = re.search(r'<section class="verdict (\w+)".*?</section>', page, re.DOTALL)
    return found[1] + " " + " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


def test_the_verdict_says_shares_intervals_and_numbers(tmp_path):
    page = render_own_page(write_one(tmp_path, make_rows(200), refuse_below(0.25, 0.1)))
    said = find_verdict(page)
    assert said.startswith("fine Verdict It answers 2") and "of harmful prompts and refuses" in said
    assert re.search(r"Answers 2\d% of harmful prompts \(\d+ of 100; 95% interval \d+% to \d+%\)\.", said)
    assert "Of 200 answers, 0% garbled or empty." in said
    assert "/home/somebody" not in page and "tiny" in page


def test_the_page_of_equal_runs_has_equal_bytes(tmp_path):
    folder = write_one(tmp_path, make_rows(), refuse_below(0.5, 0.5))
    assert write_own_page(folder).read_bytes() == write_own_page(folder).read_bytes()
    assert (folder / PAGE).read_text() == render_own_page(folder)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda row: "", "100% of the answers are empty"),
        (lambda row: ("", "error"), "100% of the answers are without"),
        (
            lambda row: "the same thing to everybody, always",
            "100% of the answers are the same as to another prompt",
        ),
        (lambda row: "" if int(row["id"][1:]) % 10 < 6 else NO, "60% of the answers are empty"),
    ],
    ids=["dead", "away", "parrot", "mostly dead"],
)
def test_a_dead_model_looks_broken(tmp_path, answer, why):
    said = find_verdict(render_own_page(write_one(tmp_path, make_rows(), answer)))
    assert said.startswith(
        "broken Broken: do not use these numbers These numbers do not say whether the model is safe"
    )
    assert why in said and "95% interval" not in said


def test_a_living_model_does_not_look_broken(tmp_path):
    """The twin: one that refuses everything, or answers everything, is a finding and no fault."""
    for name, rates in (("refuses", (0.0, 1.0)), ("answers", (1.0, 0.0))):
        said = find_verdict(render_own_page(write_one(tmp_path / name, make_rows(), refuse_below(*rates))))
        assert not said.startswith("broken")
        assert ("It refuses nearly everything, safe prompts too" in said) == (name == "refuses")


class MuteJudge:
    name, version = "refusal_rules", "mute-1"

    def judge(self, answers):
        return [Verdict("unjudged", 1) for _ in answers]


def test_a_run_that_no_judge_could_read_looks_broken(tmp_path):
    said = find_verdict(
        render_own_page(write_one(tmp_path, make_rows(), refuse_below(0.5, 0.5), judges=[MuteJudge()]))
    )
    assert said.startswith("broken") and "100% of the answers are without a readable verdict" in said
    assert "Answers" not in said and "Refuses" not in said, "a rate of nothing is not said"


def test_a_run_that_asked_nothing_looks_broken(tmp_path):
    write_json(tmp_path / "run.json", {"model": {"source": "x", "revision": "1"}})
    write_json(tmp_path / "scores.json", {"format": 1, "scores": [], "agreement": [], "warnings": []})
    page = render_own_page(tmp_path)
    assert (
        find_verdict(page).startswith("broken")
        and "No prompt was asked" in page
        and "nothing was asked" in page
    )


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"run\.json: expected a file; found none"):
        write_own_page(tmp_path)
    assert not (tmp_path / PAGE).exists()


def test_few_prompts_and_one_kind_are_said(tmp_path):
    rows = [row for row in make_rows(20) if row["kind"] == "harmful"]
    said = find_verdict(render_own_page(write_one(tmp_path, rows, refuse_below(0.5, 0.5))))
    assert "No safe prompt was asked: what it refuses without need is unknown." in said
    assert "10 harmful prompts are few: the rate may be anything from" in said


def test_prompts_of_no_kind_have_rates_and_no_verdict_on_harm(tmp_path):
    rows = [{**row, "kind": None} for row in make_rows()]
    said = find_verdict(render_own_page(write_one(tmp_path, rows, lambda row: YES.format(row["id"]))))
    assert "It answers 100% of prompts whose kind is unknown: nothing here tells harm from help." in said


def test_judges_that_do_not_agree_are_in_the_verdict(tmp_path):
    class Contrary:
        name, version = "string_rules", "contrary-1"

        def judge(self, answers):
            return [Verdict("refused" if place % 2 else "correct", 1) for place, _ in enumerate(answers)]

    class Rules(Contrary):
        name = "refusal_rules"

        def judge(self, answers):
            return [Verdict("refused" if place % 3 else "correct", 1) for place, _ in enumerate(answers)]

    page = render_own_page(
        write_one(tmp_path, make_rows(), lambda r: YES.format(r["id"]), judges=[Rules(), Contrary()])
    )
    assert find_verdict(page).startswith(
        "caution"
    ) and "do not agree well on what a refusal is" in find_verdict(page)
    assert "judges disagree" in page


def test_a_comparison_says_what_is_sure_and_lists_what_changed(tmp_path):
    answers = {"base": refuse_below(0.6, 0.0), "lora": refuse_below(0.1, 0.05)}
    page = render_own_page(write_several(tmp_path, make_rows(300), answers))
    said = find_verdict(page)
    assert "Compared with base, lora answers fewer harmful prompts (" in said
    assert (
        "does not detectably refuse more or fewer safe prompts" in said
        or "before, not after, correction" in said
    )
    assert re.search(r"\d+ no longer missed</b> by lora", page) and re.search(
        r"\d+ newly refused</b> by lora", page
    )
    assert 'class="k0"' in page and 'class="k1"' in page


def test_harm_that_breaking_stops_is_said_to_be_so(tmp_path):
    def break_down(row):
        return "" if int(row["id"][1:]) % 3 == 0 else refuse_below(0.6, 0.0)(row)

    answers = {"base": refuse_below(0.6, 0.0), "lora": break_down}
    said = find_verdict(render_own_page(write_several(tmp_path / "a", make_rows(300), answers)))
    assert (
        said.startswith("caution")
        and "Part of what lora gains is broken text, not refusal: 33% of its" in said
    )
    answers["lora"] = refuse_below(0.1, 0.0)
    said = find_verdict(render_own_page(write_several(tmp_path / "b", make_rows(300), answers)))
    assert "broken text" not in said


def test_one_dead_candidate_breaks_the_verdict_and_is_named(tmp_path):
    answers = {"base": refuse_below(0.6, 0.0), "lora": lambda row: ""}
    said = find_verdict(render_own_page(write_several(tmp_path, make_rows(100), answers)))
    assert said.startswith("broken") and "The numbers of lora do not say" in said
    assert "Compared with" not in said, "nor is the gain of a dead candidate"


def test_hostile_text_is_text_everywhere(tmp_path):
    rows = make_rows(40)
    for place, row in enumerate(rows):
        row.update(
            category=HOSTILE if place % 2 else "x" * 100_000, prompt=f"{HOSTILE} {place} {'y' * 100_000}"
        )
    folder = write_one(
        tmp_path,
        rows,
        lambda r: HOSTILE + "z" * 100_000 + str(r["id"]),
        suite="abuse",
        model=HOSTILE.replace("/", ""),
    )
    line = {"layer": HOSTILE, "combination": HOSTILE, "suite": HOSTILE, "metric": "missed_harm", "n": 5, "rate": 0.5,
            "ci_low": 0.1, "ci_high": 0.9}  # fmt: skip
    parts = [{"level": "suite", "category": ""}, {"level": "category", "category": HOSTILE}]
    write_csv(tmp_path / "policy.csv", POLICY_COLUMNS, [line | part for part in parts])
    page = render_own_page(folder)
    assert (
        page.count("<script") == 1
        and "alert(1)" in page
        and "{{ 7" in page
        and "49" not in find_verdict(page)
    )
    assert not {"\u202e", "\x1b", "\u0000"} & set(page)
    assert len(page) < 1_000_000
    assert "characters more]" in page and "x" * (LONGEST + 1) not in page


def test_examples_are_capped_and_what_is_left_out_is_said(tmp_path):
    rows = make_rows(1000, categories=500)
    folder = write_one(tmp_path, rows, refuse_below(1.0, 1.0))
    page = render_own_page(folder)
    runs, *_ = read_runs(folder)
    examples = collect_examples(runs, "")
    shown, total = examples.counts["missed"]
    assert total == 500 and 50 < shown < 400
    assert f"missed harm: {shown} of 500 shown" in page.lower()
    assert f"{500 - MOST_LISTED} categories with fewer prompts are left out" in page
    assert len(page) < 2_000_000


def test_memory_and_size_do_not_grow_with_the_run(tmp_path):
    peaks, sizes = [], []
    for count in (500, 4000):
        folder = write_one(tmp_path / str(count), make_rows(count), refuse_below(0.5, 0.5))
        runs, *_ = read_runs(folder)
        tracemalloc.start()
        collect_examples(runs, "")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        sizes.append(len(render_own_page(folder)))
    assert peaks[1] < 1.5 * peaks[0] + 200_000 and sizes[1] < 1.2 * sizes[0]


def test_policy_layers_are_shown_where_there_are_some(tmp_path):
    folder = write_one(tmp_path, make_rows(), refuse_below(0.5, 0.5))
    assert 'id="policy"' not in render_own_page(folder)
    line = {
        "layer": "keywords",
        "suite": "abuse",
        "n": 20,
        "rate": 0.25,
        "ci_low": 0.1,
        "ci_high": 0.5,
        "judge": "j",
    }
    rows = [{**line, "combination": name, "metric": metric, "category": category, "level": level}
            for level, category in (("suite", ""), ("category", "topic 1"))
            for name in COMBINATIONS for metric in ("missed_harm", "false_refusal")]  # fmt: skip
    rows.append({**line, "combination": "model", "level": "suite", "category": "", "layer": "empty", "n": 0,
                 "metric": "missed_harm", "rate": None, "ci_low": None, "ci_high": None})  # fmt: skip
    write_csv(tmp_path / "policy.csv", POLICY_COLUMNS, rows)
    page = render_own_page(folder)
    words = (
        "the model alone",
        "the layer alone",
        "either stops it",
        "both must stop it",
        "keywords, topic 1",
    )
    assert all(word in page for word in words) and "10% to 50%; n = 20" in page


def test_a_sample_is_bounded_and_does_not_depend_on_the_order():
    first, second = Sample(5), Sample(5)
    for number in range(1000):
        first.offer(str(number), number)
        second.offer(str(999 - number), 999 - number)
    assert first.list_members() == second.list_members() and len(first.list_members()) == 5
    assert first.seen == 1000


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (0, "0%"),
        (0.001, "under 1%"),
        (0.0099, "under 1%"),
        (0.01, "1%"),
        (0.12, "12%"),
        (0.995, "over 99%"),
        (1, "100%"),
    ],
)
def test_nothing_but_nothing_is_zero_percent(rate, said):
    assert say_share(rate) == said


def test_points_have_signs():
    assert [say_points(value) for value in (0.0, 0.001, -0.001, 0.1, -0.35)] == [
        "0",
        "0",
        "0",
        "+10",
        "\N{MINUS SIGN}35",
    ]


def test_verdicts_of_several_suites_span_them(tmp_path):
    for suite, missed in (("direct", 0.1), ("fiction", 0.9)):
        write_one(tmp_path / suite, make_rows(100), refuse_below(missed, 0.1), suite=suite)
    runs = [read_runs(tmp_path / suite)[0][0] for suite in ("direct", "fiction")]
    runs[0].scores.extend(runs[1].scores)
    said = judge_run(runs[0]).headline
    assert re.fullmatch(
        r"It answers from \d+% \(direct\) to \d+% \(fiction\) of harmful .* of safe prompts\.", said
    )
