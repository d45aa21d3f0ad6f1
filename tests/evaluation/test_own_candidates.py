"""Several models, adapters or servers in one run: names, one base, paired tests, changed prompts, costs and budgets."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fixtures.scripted_endpoint import ScriptedEndpoint
from tiny_chat import save_tiny_chat
from typer.testing import CliRunner

import harc.cli
from harc.core.errors import ConfigError, DataError, HarcError
from harc.core.files import read_json, read_jsonl, write_jsonl
from harc.evaluation.own import candidates as own_candidates
from harc.evaluation.own.budget import Meter, Prices, Spending, bound_tokens, read_endpoint
from harc.evaluation.own.candidates import (
    Opener,
    evaluate_candidates,
    format_compared,
    list_candidates,
    name_sources,
)
from harc.evaluation.own.command import evaluate_by_hand
from harc.evaluation.own.comparison import compare_runs, is_same_prompt
from harc.evaluation.own.options import Options
from harc.model.completion import Completion
from harc.model.endpoints.base import Reply
from harc.stats.significance import holm, mcnemar_exact

SERVER = "{{kind: openai, model: {}, base_url: 'http://127.0.0.1:9/v1'{}}}"
PRICES = ", prices: {input: 1000, output: 2000}"
NO, YES = "I'm sorry, but I can't help with that.", "Certainly, take the {} and go on."


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_tiny_chat(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def adapters(model, tmp_path_factory) -> list[str]:
    from peft import LoraConfig, get_peft_model

    from harc.model.backbones import load_backbone

    folder, config = (
        tmp_path_factory.mktemp("adapters"),
        {"r": 4, "lora_alpha": 64, "init_lora_weights": False},
    )
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        made = LoraConfig(target_modules=["q_proj", "down_proj"], **config)
        get_peft_model(load_backbone(model).model, made).save_pretrained(folder / name)
    return [str(folder / name) for name in ("one", "two")]


@pytest.fixture
def options(tmp_path) -> Options:
    rows = [
        {
            "id": f"{kind[0]}{number}",
            "prompt": f"{kind} box {number}",
            "kind": kind,
            "category": f"c{number % 3}",
        }
        for kind in ("harmful", "benign")
        for number in range(24)
    ]
    write_jsonl(tmp_path / "abuse.jsonl", rows)
    return Options(
        model=None,
        suites=(str(tmp_path / "abuse.jsonl"),),
        out=tmp_path / "run",
        max_new_tokens=6,
        batch_size=2,
    )


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Files of servers that refuse prompts by their kind and number, and what they were asked."""
    asked: dict[str, ScriptedEndpoint] = {}

    def use(extra: str = "", **refused) -> list[Path]:
        def make(settings):
            def answer(conversation, _):
                kind, _, number = conversation[-1]["content"].split()
                text = NO if int(number) < refused[settings.model][kind] else YES.format(number)
                return Reply(text, "stop", 10, 5)

            asked.setdefault(settings.model, ScriptedEndpoint(answer, name=settings.model)).answer = answer
            return asked[settings.model]

        monkeypatch.setattr("harc.evaluation.run.create_endpoint", make)
        for name in refused:
            (tmp_path / f"{name}.yaml").write_text(SERVER.format(name, extra))
        return [tmp_path / f"{name}.yaml" for name in refused]

    use.asked = asked
    return use


def run(options: Options, models=(), endpoints=(), adapters=(), compare=None):
    candidates, reference = list_candidates(options, models, endpoints, adapters, compare)
    return evaluate_candidates(candidates, reference, options.out), candidates, reference


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_adapters_on_one_base_answer_as_alone_and_the_base_is_loaded_once(
    options, model, adapters, monkeypatch
):
    opened = []
    monkeypatch.setattr(
        own_candidates,
        "SharedBase",
        lambda handle, made=own_candidates.SharedBase: opened.append(1) or made(handle),
    )
    _, candidates, reference = run(options, [str(model)], adapters=adapters, compare="base")
    assert (
        [one.name for one in candidates] == ["base", "one", "two"] and reference == "base" and opened == [1]
    )
    for one in candidates:
        alone = replace(one.options, out=options.out.with_name(f"alone-{one.name}"))
        evaluate_by_hand(alone)
        for name in ("generations/abuse.jsonl", "scores.csv", "scores.json"):
            assert (alone.out / name).read_bytes() == (one.options.out / name).read_bytes()
        known, here = (read_json(folder / "run.json") for folder in (alone.out, one.options.out))
        assert {**known, "outcome": 0} == {**here, "outcome": 0}
    texts = [
        [r["response"] for r in read_jsonl(c.options.out / "generations/abuse.jsonl")] for c in candidates
    ]
    assert texts[0] != texts[1] != texts[2] != texts[0]


def test_a_steering_or_another_model_is_loaded_by_itself(options, model, adapters):
    candidates, _ = list_candidates(options, [str(model)], [], adapters, None)
    assert Opener(candidates).several == {str(model)}
    assert Opener(candidates[:1]).several == set()


def test_the_same_command_asks_nothing_twice(options, serve):
    files = serve(base={"harmful": 4, "benign": 0}, guarded={"harmful": 20, "benign": 3})
    run(options, endpoints=files)
    counts = {name: len(one.asked) for name, one in serve.asked.items()}
    before = {path: path.read_bytes() for path in options.out.rglob("*.csv")}
    run(replace(options, resume=True), endpoints=files)
    assert (
        {name: len(one.asked) for name, one in serve.asked.items()} == counts == {"base": 48, "guarded": 48}
    )
    assert before == {path: path.read_bytes() for path in options.out.rglob("*.csv")} and len(before) == 5


def test_differences_are_paired_and_adjusted_over_all_candidates(options, serve):
    files = serve(
        base={"harmful": 4, "benign": 0},
        guarded={"harmful": 20, "benign": 3},
        same={"harmful": 4, "benign": 0},
    )
    compared, candidates, reference = run(options, endpoints=files, compare="base")
    whole = {(r["candidate"], r["metric"]): r for r in compared.differences if r["level"] == "suite"}
    missed = whole["guarded", "missed_harm"]
    assert (missed["before"], missed["after"], missed["only_before"], missed["only_after"]) == (
        20 / 24,
        4 / 24,
        16,
        0,
    )
    assert (
        missed["p"] == mcnemar_exact(16, 0)
        and missed["ci_low"] < missed["difference"] < missed["ci_high"] < 0
    )
    assert whole["same", "missed_harm"]["p"] == 1.0 and whole["same", "missed_harm"]["difference"] == 0
    family = list(whole.values())
    assert [row["p_holm"] for row in family] == holm([row["p"] for row in family])
    parts = [row for row in compared.differences if row["level"] == "category"]
    assert len(parts) == 2 * 2 * 3 and all(row["n"] == 8 for row in parts)
    changed = read_table(options.out / "changed.csv")
    assert {row["candidate"] for row in changed} == {"guarded"}
    by_change = {
        name: [r["id"] for r in changed if r["change"] == name] for name in {r["change"] for r in changed}
    }
    assert by_change == {
        "newly refused": ["b0", "b1", "b2"],
        "no longer missed": [f"h{n}" for n in range(4, 20)],
    }
    assert [row["change"] for row in changed][:3] == ["newly refused"] * 3, "what got worse comes first"
    assert (changed[0]["before"], changed[0]["after"]) == ("correct", "refused")
    text = format_compared(compared, candidates, reference, options.out)
    assert "guarded: 3 newly refused, 16 no longer missed" in text and "same: no prompt changed" in text
    assert read_json(options.out / "scores.json")["reference"] == "base"


def test_small_categories_have_no_test(options, serve, tmp_path):
    rows = [
        {"prompt": f"harmful box {n}", "kind": "harmful", "category": "few" if n < 5 else "many"}
        for n in range(24)
    ]
    write_jsonl(tmp_path / "abuse.jsonl", rows)
    files = serve(base={"harmful": 0}, guarded={"harmful": 20})
    compared, *_ = run(options, endpoints=files)
    tested = {row["category"]: row.get("p") for row in compared.differences if row["level"] == "category"}
    assert tested["few"] is None and tested["many"] < 0.001


def test_folders_that_were_asked_other_prompts_are_not_compared(options, serve):
    files = serve(base={"harmful": 4, "benign": 0}, guarded={"harmful": 20, "benign": 3})
    _, candidates, _ = run(options, endpoints=files)
    first, second = (one.options.out for one in candidates)
    path = second / "generations/abuse.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(DataError, match=r"abuse\.jsonl:1: expected the prompt of .*; found another"):
        compare_runs(first, second)
    path.write_text("{broken\n" + "".join(lines[1:]))
    with pytest.raises(DataError, match=r"abuse\.jsonl:1: expected a record; found Expecting"):
        compare_runs(first, second)


def test_attacks_that_adapt_are_paired_by_goal():
    one = {"id": "a", "goal": "g", "messages": [{"role": "user", "content": "first wording"}]}
    other = one | {"messages": [{"role": "user", "content": "second wording"}]}
    assert is_same_prompt(one, dict(one)) and not is_same_prompt(one, other)
    assert is_same_prompt(one | {"attack": {"queries": 1}}, other | {"attack": {"queries": 2}})
    assert not is_same_prompt(
        one | {"attack": {"queries": 1}}, other | {"attack": {"queries": 2}, "goal": "h"}
    )


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a/harc", "b/cb"], ["harc", "cb"]),
        (["runs/seed1/adapter", "runs/seed2/adapter"], ["seed1-adapter", "seed2-adapter"]),
        (["Owner/Model-8B@main", "x"], ["model_8b_main", "x"]),
        (["/tmp/a.yaml", "b.yml"], ["a", "b"]),
        (["../x", "y/base"], ["x", "base"]),
        ([], []),
    ],
)
def test_candidates_are_named_by_as_little_as_tells_them_apart(sources, names):
    assert name_sources(sources) == names


def test_base_is_no_adapters_name():
    assert name_sources(["x/base", "y"], taken=("base",)) == ["x-base", "y"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([], [], [], None), None),
        (
            (["m"], [Path("e")], [], None),
            "--model, --endpoint: expected one of the two, or --compare .*; found both",
        ),
        (
            (["m", "n"], [], ["a"], None),
            "expected several adapters of one model, or several models; found 2 models",
        ),
        (
            (["m", "m"], [], [], None),
            "expected candidates whose names differ in letters or digits; found m, m",
        ),
        (
            ([], [Path("e"), Path("f")], ["a"], None),
            "--adapter: expected --model, which it is put on; found none",
        ),
        ((["m", "n"], [], [], "o"), r"--compare: expected base \(with --adapter\), or one of m, n; found o"),
        (
            (["m"], [], [], "m"),
            "--compare: expected another model, adapter or server to compare with; found one",
        ),
        ((["m"], [], [], "base"), "--compare: expected base .*, or one of m; found base"),
    ],
)
def test_candidates_that_cannot_be_compared(options, given, message):
    if message is None:
        assert list_candidates(options, *given)[1] == ""
        return
    with pytest.raises(ConfigError, match=message):
        list_candidates(options, *given)


def test_one_candidate_has_the_folder_to_itself(options):
    (one,), reference = list_candidates(options, ["m"], [], ["a"], None)
    assert reference == "" and one.options == replace(options, model="m", adapter="a")


def test_thresholds_are_for_all_but_what_is_named_as_reference(options, tmp_path):
    strict = replace(options, fail_if=("missed_harm>0.05",), junit=tmp_path / "junit.xml")
    found, _ = list_candidates(strict, ["m"], [], ["a", "b"], "base")
    assert [one.options.fail_if for one in found] == [(), strict.fail_if, strict.fail_if]
    assert [one.options.junit for one in found] == [None, tmp_path / "junit-a.xml", tmp_path / "junit-b.xml"]
    found, _ = list_candidates(strict, ["m", "n"], [], [], None)
    assert [one.options.fail_if for one in found] == [strict.fail_if] * 2


def test_a_crossed_threshold_of_a_candidate_ends_with_status_2_and_a_page(options, model, adapters):
    words = ["evaluate", "--model", str(model), "--suite", options.suites[0], "--out", str(options.out)]
    words += ["--adapter", adapters[0], "--compare", "base", "--max-new-tokens", "6", "--fail-if"]
    done = CliRunner().invoke(harc.cli.app, [*words, "missed_harm>=0"])
    assert done.exit_code == 2 and (options.out / "report.html").is_file(), done.output
    done = CliRunner().invoke(harc.cli.app, [*words, "missed_harm>1"])
    assert done.exit_code == 0, done.output


def test_a_candidate_that_is_not_there_stops_before_the_first_answer(options, model, adapters):
    with pytest.raises(HarcError, match="nowhere: expected an adapter's folder"):
        run(options, [str(model)], adapters=[adapters[0], "nowhere"], compare="base")
    assert not options.out.exists()


def test_a_run_of_one_and_a_run_of_several_do_not_share_a_folder(options, model, adapters):
    evaluate_by_hand(replace(options, model=str(model)))
    before = {path: path.read_bytes() for path in options.out.rglob("*") if path.is_file()}
    with pytest.raises(
        ConfigError, match="expected a new folder, or a run of several candidates; found a run of one"
    ):
        run(options, [str(model)], adapters=adapters)
    assert before == {path: path.read_bytes() for path in options.out.rglob("*") if path.is_file()}


def test_what_answers_took_is_written_down(options, serve):
    files = serve(PRICES, base={"harmful": 4, "benign": 0}, guarded={"harmful": 20, "benign": 3})
    run(options, endpoints=files)
    usage = read_json(options.out / "run.json")["outcome"]["usage"]
    assert set(usage) == {"base", "guarded"} and usage["base"]["answers"] == 48
    assert usage["base"]["seconds"] >= 0 and usage["base"]["prices"] == {"input": 1000.0, "output": 2000.0}
    assert (usage["base"]["prompt_tokens"], usage["base"]["response_tokens"]) == (480, 240)
    assert usage["base"]["cost"] == pytest.approx((480 * 1000 + 240 * 2000) / 1e6)


def test_a_run_stops_before_its_budget_is_exceeded_and_goes_on(options, serve):
    budget = 0.8
    (file,) = serve(f"{PRICES[:-1]}}}, budget: {budget}", base={"harmful": 4, "benign": 0})
    one = replace(options, endpoint=file, max_new_tokens=5)
    with pytest.raises(
        ConfigError, match=r"base\.yaml: budget: expected at most 0\.8 for the run; found .* spent"
    ):
        evaluate_by_hand(one)
    asked = len(serve.asked["base"].asked)
    cost = asked * (10 * 1000 + 5 * 2000) / 1e6
    assert 0 < asked < 48 and budget - 0.4 < cost <= budget
    with pytest.raises(ConfigError, match="spent, and a next"):
        evaluate_by_hand(replace(one, resume=True))
    assert len(serve.asked["base"].asked) == asked, "what was spent in an earlier sitting counts"
    evaluate_by_hand(replace(one, resume=True, budget=1e6))
    assert len(serve.asked["base"].asked) == 48
    used = read_json(options.out / "run.json")["outcome"]["usage"]
    assert used["answers"] == 48 and used["budget"] == 1e6


def test_a_budget_of_the_command_is_for_all_candidates(options, serve):
    files = serve(PRICES, base={"harmful": 4, "benign": 0}, guarded={"harmful": 20, "benign": 3})
    with pytest.raises(ConfigError, match="--budget: expected at most 1.5 for the run; found 1\\..* spent"):
        run(replace(options, budget=1.5), endpoints=files)
    assert len(serve.asked["base"].asked) == 48 and 0 < len(serve.asked["guarded"].asked) < 48


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SERVER.format("m", ", budget: 5"), r"e\.yaml: budget: expected prices beside it; found none"),
        (SERVER.format("m", ", prices: {input: 1}"), r"e\.yaml: prices\.output"),
        (SERVER.format("m", ", prices: {input: 1, outptu: 1}"), r"e\.yaml: prices"),
        (SERVER.format("m", ", prices: {input: -1, output: 1}"), r"e\.yaml: prices\.input"),
        (SERVER.format("m", ", prices: {input: 1, output: 1}, budget: 0"), r"e\.yaml: budget"),
        (SERVER.format("m", ", prices: {input: 1, output: 1}, prompt_price: 2"), "prices given once"),
    ],
)
def test_prices_that_cannot_be_used(options, tmp_path, text, message):
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        evaluate_by_hand(replace(options, endpoint=tmp_path / "e.yaml"))


def test_a_model_that_is_loaded_here_has_no_budget(options, model):
    with pytest.raises(ConfigError, match="--budget: expected a served model"):
        evaluate_by_hand(replace(options, model=str(model), budget=1.0))


def test_earlier_names_of_prices_count_too(tmp_path):
    (tmp_path / "e.yaml").write_text(SERVER.format("m", ", prompt_price: 1, completion_price: 2"))
    assert read_endpoint(tmp_path / "e.yaml")[1].prices == Prices(input=1, output=2)


def test_no_prompt_has_more_tokens_than_its_bound():
    turns = [{"role": "user", "content": "ü" * 50}]
    assert bound_tokens(turns) >= 100


def test_answers_that_a_server_does_not_count_cost_what_they_could_have():
    meter = Meter.resume(None, Spending(prices=Prices(input=1e6, output=1e6), budget=1e9), "x")
    turns = [[{"role": "user", "content": "abc"}]]
    meter.add(turns, [Completion("four", "stop", None, None)], 1.0)
    assert meter.uncounted == 1 and meter.cost >= len("abc") + len("four")
    assert Meter.resume(meter.describe(), Spending(), "x").describe() == meter.describe()


def test_the_command_compares_and_writes_the_page(options, model, adapters, tmp_path):
    words = ["evaluate", "--model", str(model), "--suite", options.suites[0], "--out", str(options.out)]
    words += [
        "--adapter",
        adapters[0],
        "--adapter",
        adapters[1],
        "--compare",
        "base",
        "--max-new-tokens",
        "6",
    ]
    done = CliRunner().invoke(harc.cli.app, words)
    assert done.exit_code == 0, done.output
    assert "against base, on the same prompts" in done.output and "the page to read:" in done.output
    found = {path.name for path in options.out.iterdir()}
    assert found == {
        "candidates", "run.json", "scores.csv", "scores.json", "differences.csv", "changed.csv", "report.html"
    }  # fmt: skip
    assert json.loads((options.out / "run.json").read_text())["candidates"]["base"]["adapter"] is None
