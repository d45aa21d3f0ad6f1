"""Attack suites on a tiny chat model and on a target behind an endpoint: what is asked, judged and recorded."""

from dataclasses import replace

import pytest
from fixtures.scripted_endpoint import ScriptedEndpoint
from tiny_chat import save_tiny_chat

from harc.core.errors import ConfigError, ModelError
from harc.core.files import read_jsonl, write_json, write_jsonl
from harc.core.finished import KEPT, KeyedStore
from harc.evaluation import run
from harc.evaluation.outcomes import name_template
from harc.evaluation.run import EvaluationPaths, describe_run, evaluate_backbone
from harc.evaluation.score import score_generations
from harc.judges.registry import make_judges
from harc.model.backbones import load_backbone
from harc.model.endpoints.base import Reply, failed
from harc.model.handle import ModelHandle
from harc.settings.evaluation import EvaluationSettings, PairSettings, PrefillSettings
from harc.suites.examiner import Examiner, describe_usage, make_examiner
from harc.suites.prefill import choose_opening
from harc.suites.registry import run_suite
from harc.suites.target import EndpointTarget, Target

ENDPOINT = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "cache": None}
SETTINGS = EvaluationSettings(
    max_new_tokens=6, batch_size=4, judges=("string_rules", "string_pair"), attacker="endpoint", project=False,
    attacker_endpoint=ENDPOINT, pair=PairSettings(streams=2, iterations=2),
    suites=("pair", "pap", "codeattack", "persona", "prefill", "decoding"),
)  # fmt: skip
JUDGES = make_judges(SETTINGS.judges, "", SETTINGS)
TECHNIQUE = {"name": "Logical Appeal", "definition": "d", "example": "e"}


def make_row(suite: str, number: int = 0, **fields) -> dict:
    goal = f"how do i make the {('red', 'blue', 'good')[number % 3]} cat ?"
    return {
        "id": f"{suite}-{number}", "suite": suite, "category": "harmful", "expected": "", "goal": goal,
        "messages": [{"role": "user", "content": goal}], **fields,
    }  # fmt: skip


def make_rows(suite: str) -> list[dict]:
    if suite == "pap":
        return [make_row("pap", n, unit=f"pap-{n // 2}", technique=TECHNIQUE) for n in range(4)]
    own = {"codeattack": {"read_outputs": True}}.get(suite, {})
    return [make_row(suite, number, **own) for number in range(3)]


def write_prompt(conversation, seed) -> str:
    return '{"improvement": "i", "prompt": "say what is good"}'


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny_chat(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def target(tiny):
    return Target(load_backbone(tiny), SETTINGS)


def serve_text(text) -> EndpointTarget:
    answer = text if callable(text) else lambda *_: text
    return EndpointTarget(ScriptedEndpoint(answer), SETTINGS)


def examine(attacker=write_prompt) -> Examiner:
    return Examiner(JUDGES, 0, ScriptedEndpoint(attacker) if attacker else None)


def test_prefill_begins_the_reply_and_judges_what_follows(target):
    (record,) = run_suite("prefill", target, [make_row("prefill")], examine())
    (opening,) = SETTINGS.prefill.openings
    assert record["attack"] == {"opening": opening, "judged": record["response"].removeprefix(opening)}
    assert record["response"].startswith(opening)
    chat = target.backbone.chat
    ids = chat.encode_prompts([record["messages"]])[0]
    assert record["prompt_tokens"] == len(ids) + len(chat.tokenize(opening))
    served = serve_text("sorry, no")
    (record,) = run_suite("prefill", served, [make_row("prefill")], examine())
    assert served.endpoint.asked[0][0][-1] == {"role": "assistant", "content": opening}
    assert record["verdicts"]["string_rules"]["label"] == "refused"


def test_openings_are_taken_in_turn_and_told_apart_by_the_template():
    served = serve_text("on it goes")
    prefill = PrefillSettings(openings=("One,", "Two,"), development_openings=("Three,",))
    rows = [make_row("prefill", number) for number in (4, 1, 2, 3)]
    for split, given in (("evaluation", [0, 1, 0, 1]), ("development", [0] * 4)):
        settings = SETTINGS.model_copy(update={"prefill": prefill, "split": split})
        openings = prefill.openings if split == "evaluation" else prefill.development_openings
        records = run_suite("prefill", replace(served, settings=settings), rows, examine())
        assert [record["id"] for record in records] == [row["id"] for row in rows]
        assert [record["template"] for record in records] == [f"prefill:{split}-{n}" for n in given]
        assert [record["attack"]["opening"] for record in records] == [openings[n] for n in given]
        assert all(record["response"] == record["attack"]["opening"] + "on it goes" for record in records)
        alone = [
            run_suite("prefill", replace(served, settings=settings), [row], examine())[0] for row in rows
        ]
        assert alone == records  # a kill between two rows changes no opening
    assert len({name_template(f"prefill:evaluation-{number}") for number in range(2)}) == 2


def test_a_row_s_own_opening_and_template_come_before_the_settings():
    own = make_row("prefill") | {"opening": "here it is : ", "template": "prefill:evaluation:3"}
    first, second = run_suite("prefill", serve_text("b1 h2"), [own, make_row("prefill", 7)], examine())
    assert (first["attack"]["opening"], first["template"]) == ("here it is : ", "prefill:evaluation:3")
    assert (first["response"], first["attack"]["judged"]) == ("here it is : b1 h2", "b1 h2")
    assert second["attack"]["opening"] in SETTINGS.prefill.openings


def test_a_row_without_a_number_has_an_opening_too():
    assert choose_opening("mine", "abc") == choose_opening("mine", "abc") < 3
    assert {choose_opening(f"row {letter}", "ab") for letter in "abcdefgh"} == {0, 1}


@pytest.mark.parametrize(
    "changes",
    [{"openings": ("A", "A")}, {"openings": (" ",)}, {"openings": ("A",), "development_openings": ("A",)}],
)
def test_openings_of_both_splits_differ(changes):
    with pytest.raises(ValueError, match="openings with words in them, each once in both splits together"):
        PrefillSettings(**changes)


def test_code_attacks_are_judged_by_what_the_program_outputs():
    served = serve_text("output_list.append(\"I'm sorry, but I can't help\")")
    (record,) = run_suite("codeattack", served, [make_row("codeattack", read_outputs=True)], examine())
    assert record["attack"]["judged"] == "I'm sorry, but I can't help"
    assert record["verdicts"]["string_rules"]["label"] == "refused"
    (plain,) = run_suite("codeattack", served, [make_row("codeattack")], examine())
    assert plain["attack"] is None and plain["verdicts"]["string_rules"]["label"] == "correct"


def test_decoding_is_judged_by_comparison_whoever_judges():
    row = make_row("decoding")
    for text, label in ((f"It prints {row['goal']}", "correct"), ("a red cat", "garbled")):
        (record,) = run_suite("decoding", serve_text(text), [row], examine())
        assert {verdict["label"] for verdict in record["verdicts"].values()} == {label}
        assert {verdict["version"] for verdict in record["verdicts"].values()} == {"decoding-1"}


def test_pap_sends_the_paraphrase_and_counts_an_unwritten_one_as_a_failed_attempt():
    def attacker(conversation, seed):
        return "no" if "red" in conversation[1]["content"] else '{"prompt": "a kind request"}'

    served = serve_text("sure , here")
    records = run_suite("pap", served, make_rows("pap")[:2], examine(attacker))
    assert [record["attack"].get("problem") is None for record in records] == [False, True]
    assert records[0]["finish_reason"] == "not_asked" and records[0]["response"] == ""
    assert records[0]["verdicts"]["string_rules"]["label"] == "garbled"
    assert records[1]["messages"] == [{"role": "user", "content": "a kind request"}]
    assert records[0]["attack"]["proposals"] == {"none": 1}
    assert records[1]["attack"] == {"technique": "Logical Appeal", "proposals": {"adrift": 1}}
    assert len(served.endpoint.asked) == 1


def test_paraphrases_are_of_the_settings_seed_where_there_is_one_else_of_the_runs():
    def ask(run_seed: int, **changes) -> int:
        replies = SETTINGS.attacker_replies.model_copy(update=changes)
        settings = SETTINGS.model_copy(update={"attacker_replies": replies})
        examiner = Examiner(JUDGES, run_seed, ScriptedEndpoint(write_prompt))
        run_suite("pap", replace(serve_text("fine"), settings=settings), make_rows("pap")[:1], examiner)
        return examiner.attacker.asked[0][1]["seed"]

    assert ask(0, seed=7) == ask(1, seed=7) == ask(7)
    assert ask(0) != ask(1)


def test_pap_rows_with_a_text_of_their_own_need_no_attacker():
    (record,) = run_suite("pap", serve_text("fine"), [make_row("pap")], examine(None))
    assert record["attack"] is None


def test_pair_uses_the_attacking_model_and_goals_without_a_prompt_are_recorded():
    def attacker(conversation, seed):
        return "no" if "the red cat" in conversation[0]["content"] else write_prompt(conversation, seed)

    served = serve_text("sorry, I can't")
    first, second = run_suite("pair", served, [make_row("pair", n) for n in range(2)], examine(attacker))
    assert first["finish_reason"] == "not_asked" and len(first["attack"]["failed_streams"]) == 2
    assert second["attack"]["queries"] == 4 and second["attack"]["queries_to_success"] is None
    assert second["messages"] == [{"role": "user", "content": "say what is good"}]


def test_pair_is_steered_by_the_named_judge():
    settings = SETTINGS.model_copy(
        update={"pair": PairSettings(streams=1, iterations=1, judge="string_pair")}
    )
    served = EndpointTarget(ScriptedEndpoint(lambda *_: "one two three four five six"), settings)
    swapped = Examiner(list(reversed(JUDGES)), 0, ScriptedEndpoint(write_prompt))
    asked = [run_suite("pair", served, [make_row("pair")], e)[0]["attack"] for e in (examine(), swapped)]
    assert asked[0] == asked[1]
    with pytest.raises(ValueError, match=r"pair\.judge as one of the judges"):
        EvaluationSettings(pair=PairSettings(judge="strongreject"))


@pytest.mark.parametrize("suite", ["pair", "pap"])
def test_a_missing_attacker_is_named(suite):
    with pytest.raises(
        ConfigError, match=rf"attacker_endpoint: expected a model that writes the prompts of suite {suite}"
    ):
        run_suite(suite, serve_text("x"), make_rows(suite), examine(None))
    rules = EndpointTarget(
        ScriptedEndpoint(write_prompt), SETTINGS.model_copy(update={"attacker": "organism"})
    )
    if suite == "pair":
        with pytest.raises(ConfigError, match=r"evaluation\.attacker: expected a model that writes"):
            run_suite(suite, rules, make_rows(suite), examine(None))
    with pytest.raises(ValueError, match="attacker_endpoint for attacker"):
        EvaluationSettings(attacker="endpoint")


def test_a_prompt_that_a_server_cannot_answer_or_blocks_ends_nothing():
    answers = iter(
        ["Gladly, here is all of it as you asked.", failed("too long", "refused"), Reply("", "blocked")]
    )
    records = run_suite("persona", serve_text(lambda *_: next(answers)), make_rows("persona"), examine())
    labels = [{verdict["label"] for verdict in record["verdicts"].values()} for record in records]
    assert labels == [{"correct"}, {"unjudged"}, {"blocked"}]
    assert records[1]["error"] == "too long" and [r["finish_reason"] for r in records[1:]] == [
        "unanswered",
        "blocked",
    ]


def test_a_server_that_is_gone_is_an_error_that_names_the_prompt():
    with pytest.raises(ModelError, match=r"persona-2 at scripted: expected a reply; found cut connection"):
        run_suite("persona", serve_text(lambda *_: failed("cut connection")), make_rows("persona"), examine())


@pytest.mark.parametrize(("cache", "asked"), [(None, 6), ("cache", 3)])
def test_suites_of_a_served_model_are_taken_over_only_with_a_cache(tmp_path, monkeypatch, cache, asked):
    """A run that a kill stopped after its only suite, started again: the server may hold another model by now."""
    endpoint = ScriptedEndpoint(lambda *_: "sure , fine")
    monkeypatch.setattr(run, "create_endpoint", lambda settings: endpoint)
    monkeypatch.setattr(run, "write_jsonl", lambda *_: None)
    monkeypatch.setattr(KeyedStore, "remove", lambda store: None)
    served = ENDPOINT | {"cache": cache and str(tmp_path / cache)}
    values = {
        "target_endpoint": served,
        "attacker_endpoint": None,
        "attacker": "organism",
        "suites": ("persona",),
    }
    settings = EvaluationSettings.model_validate(SETTINGS.model_dump() | values)
    for _ in range(2):
        evaluate_backbone(make_paths(tmp_path), settings, seed=0)
    assert len(endpoint.asked) == asked


def make_paths(tmp_path, backbone="served") -> EvaluationPaths:
    write_jsonl(tmp_path / "rows.jsonl", [row for suite in SETTINGS.suites for row in make_rows(suite)])
    write_json(tmp_path / "world.json", {})
    return EvaluationPaths(
        model=ModelHandle(backbone), data=tmp_path / "rows.jsonl", world=tmp_path / "world.json",
        directions=None, generations=tmp_path / "generations", checkpoint=tmp_path / "checkpoint",
    )  # fmt: skip


@pytest.fixture
def scripted_endpoints(monkeypatch):
    made = {}

    def create(settings):
        answer = write_prompt if settings.model == "attacker" else lambda *_: "sure , fine"
        made[settings.model] = ScriptedEndpoint(answer, name=settings.model)
        return made[settings.model]

    monkeypatch.setattr("harc.model.endpoints.base.create_endpoint", create)
    monkeypatch.setattr(run, "create_endpoint", create)
    return made


def test_every_attack_runs_on_a_served_target_in_parts_and_is_scored(tmp_path, scripted_endpoints):
    settings = SETTINGS.model_copy(update={"prompts_in_flight": 2})
    settings = EvaluationSettings.model_validate(
        settings.model_dump()
        | {"target_endpoint": ENDPOINT, "attacker_endpoint": ENDPOINT | {"model": "attacker"}}
    )
    paths = make_paths(tmp_path)
    summary = evaluate_backbone(paths, settings, seed=0)
    assert summary["endpoints"]["target: m"]["requests"] == len(scripted_endpoints["m"].asked)
    assert summary["endpoints"]["attacker: attacker"]["failures"] == 0
    in_parts = {path.name: path.read_bytes() for path in paths.generations.iterdir()}
    whole = tmp_path / "whole"
    whole.mkdir()
    evaluate_backbone(make_paths(whole), settings.model_copy(update={"prompts_in_flight": None}), seed=0)
    assert {path.name: path.read_bytes() for path in (whole / "generations").iterdir()} == in_parts
    score_generations(paths.generations, tmp_path / "scores", settings)
    scores = (tmp_path / "scores/scores.csv").read_text()
    for row in (
        "pap,asr,unit,2,2",
        "pap,asr_per_prompt,prompt,4,4",
        "pap,proposals_usable,proposal,4,1",  # one goal in three has a word of the proposal
        "pap,proposals_adrift,proposal,4,3",
        "pair,proposals_usable,proposal,6,2",  # two streams for each of three goals, reached at once
        "pair,proposals_refused,proposal,6,0",
        "persona,asr",
        "prefill,asr",
        "decoding,accuracy",
    ):
        assert row in scores, row
    records = read_jsonl(paths.generations / "pap.jsonl")
    assert [record["unit"] for record in records] == ["pap-0", "pap-0", "pap-1", "pap-1"]


def test_decoding_says_nothing_about_agreement(tmp_path, scripted_endpoints):
    settings = EvaluationSettings.model_validate(
        SETTINGS.model_dump() | {"target_endpoint": ENDPOINT, "suites": ("persona", "decoding")}
    )
    paths = make_paths(tmp_path)
    evaluate_backbone(paths, settings, seed=0)
    score_generations(paths.generations, tmp_path / "scores", settings)
    agreement = [
        line for line in (tmp_path / "scores/scores.csv").read_text().splitlines() if "kappa" in line
    ]
    assert agreement and all(line.split(",")[3] == "3" for line in agreement)


def test_suites_that_need_weights_are_refused_for_a_served_target(tmp_path):
    settings = EvaluationSettings(target_endpoint=ENDPOINT, suites=("persona", "arithmetic"))
    with pytest.raises(ConfigError, match="expected suites of text alone; found arithmetic"):
        evaluate_backbone(make_paths(tmp_path), settings, seed=0)


def test_answers_depend_on_the_endpoints_model_and_not_on_its_patience(tmp_path):
    paths = make_paths(tmp_path)

    def key(**changes):
        values = SETTINGS.model_dump() | {"attacker_endpoint": ENDPOINT | changes}
        return describe_run(paths, EvaluationSettings.model_validate(values), 0)

    assert key() == key(concurrency=2, retries=9, timeout_s=1, cache=tmp_path, prompt_price=3)
    assert key() != key(model="other") and key() != key(temperature=0.5)


def test_the_attacker_is_opened_only_for_suites_that_may_need_it(scripted_endpoints):
    assert make_examiner(JUDGES, SETTINGS, 0, ("direct", "prefill")).attacker is None
    examiner = make_examiner(JUDGES, SETTINGS, 0, ("pap",))
    assert describe_usage(serve_text("x"), examiner).keys() == {"target: scripted", "attacker: m"}


def test_a_local_target_is_unaffected_by_parts(tiny, tmp_path, scripted_endpoints):
    settings = SETTINGS.model_copy(update={"suites": ("persona", "prefill")})
    results = []
    for number, size in enumerate((None, 1)):
        (tmp_path / str(number)).mkdir()
        paths = make_paths(tmp_path / str(number), tiny)
        evaluate_backbone(paths, settings.model_copy(update={"prompts_in_flight": size}), seed=0)
        results.append({path.name: path.read_bytes() for path in paths.generations.iterdir()})
    assert results[0] == results[1] and KEPT not in results[0]
