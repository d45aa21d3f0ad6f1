"""Attacks in which a model writes: JSON is mended or asked for again, history is a window, failures stay single."""

import json

import pytest
from fixtures.scripted_endpoint import ScriptedEndpoint

from harc.core.errors import ConfigError, DataError, EnvironmentProblem
from harc.core.files import write_jsonl
from harc.judges.base import Verdict
from harc.model.endpoints.base import failed
from harc.model.generation import Completion
from harc.settings.suites import TOP_TECHNIQUES, AttackerSettings, PairSettings, PapSettings
from harc.suites.pair import Attacker, PairGoal, run_pair
from harc.suites.pair_attacker import STRATEGIES, ModelAttacker
from harc.suites.pap import TECHNIQUES, choose_techniques, paraphrase_goals, read_taxonomy
from harc.suites.writer import Unwritten, count_proposals, name_proposal, read_object, write_objects

FIELDS = ("improvement", "prompt")
SETTINGS = AttackerSettings(attempts=3)


@pytest.mark.parametrize(
    "reply",
    [
        '{"improvement": "i", "prompt": "p {x}"}',
        'Sure:\n```json\n{"improvement": "i", "prompt": "p {x}"}\n```\nDone.',
        '{"improvement": "i",\n "prompt": "p {x}",}',
        '{"improvement": "i", "prompt": "p {x}"',
        '{"improvement": "i", "prompt": "p {x}',
        'a {stray} brace, then {"improvement": "i", "prompt": "p {x}", "more": [1, {"a": 2}]}',
        '{"improvement": "i", "prompt": "p {x}"}{"improvement": "j", "prompt": "q"}',
    ],
    ids=["plain", "fenced", "comma", "no-brace", "no-quote", "stray", "two"],
)
def test_objects_are_read_with_repairs(reply):
    assert read_object(reply, FIELDS) == {"improvement": "i", "prompt": "p {x}"}


def test_line_breaks_and_escapes_inside_texts_are_kept():
    assert read_object('{"prompt": "one\ntwo \\"three\\""}', ("prompt",)) == {"prompt": 'one\ntwo "three"'}
    assert read_object('{"prompt": "cut \\', ("prompt",)) == {"prompt": "cut"}
    assert read_object('{"prompt": "\\ud800 lone"}', ("prompt",)) == {"prompt": "\ufffd lone"}


@pytest.mark.parametrize(
    "reply",
    [
        *("", "no", "{", "[1]", '{"prompt": 3}', '{"prompt": " "}', '{"improvement": "x"}', "{" * 5000),
        *('{"prompt": "a", "prompt": "b"}', '{"prompt": "a", "n": ' + "1" * 5000 + "}"),
    ],
    ids=lambda reply: reply[:20],
)
def test_what_holds_no_object_is_none(reply):
    assert read_object(reply, ("prompt",)) is None


def speak(text: str) -> str:
    return json.dumps({"improvement": "none yet", "prompt": text})


def test_unreadable_replies_are_asked_for_again_with_another_seed():
    replies = {0: iter(["I cannot", speak("first")]), 1: iter([speak("second")])}
    endpoint = ScriptedEndpoint(lambda conversation, _: next(replies[int(conversation[0]["content"])]))
    asked = [[{"role": "user", "content": str(number)}] for number in range(2)]
    written = write_objects(endpoint, asked, FIELDS, SETTINGS, "s")
    assert [found["prompt"] for found in written] == ["first", "second"]
    seeds = [options["seed"] for _, options in endpoint.asked]
    assert seeds[0] == seeds[1] != seeds[2]
    assert endpoint.asked[0][1] == {"temperature": 1.0, "max_new_tokens": 500, "seed": seeds[0]}


def test_a_model_that_never_writes_an_object_says_why():
    endpoint = ScriptedEndpoint(lambda *_: "I will not do that")
    (found,) = write_objects(endpoint, [[{"role": "user", "content": "x"}]], FIELDS, SETTINGS, 0)
    assert found == Unwritten("no JSON object with improvement, prompt in 3 tries")
    assert len(endpoint.asked) == 3


def test_a_greedy_attacker_is_asked_once_since_another_try_would_be_the_same():
    endpoint = ScriptedEndpoint(lambda *_: "I will not do that")
    greedy = SETTINGS.model_copy(update={"temperature": 0.0})
    (found,) = write_objects(endpoint, [[{"role": "user", "content": "x"}]], FIELDS, greedy, 0)
    assert found == Unwritten("no JSON object with improvement, prompt in 1 tries")
    assert len(endpoint.asked) == 1


def test_an_endpoint_that_is_away_ends_the_run_and_one_bad_conversation_does_not():
    asked = [[{"role": "user", "content": str(number)}] for number in range(2)]
    away = ScriptedEndpoint(lambda *_: failed("APIConnectionError: no route"))
    with pytest.raises(
        EnvironmentProblem, match=r"scripted: expected a reply; found no reply: APIConn.*start the run"
    ):
        write_objects(away, asked, FIELDS, SETTINGS, 0)
    long = ScriptedEndpoint(lambda *_: failed("status 400: too long", "refused"))
    assert all(isinstance(found, Unwritten) for found in write_objects(long, asked, FIELDS, SETTINGS, 0))


def test_the_replys_opening_is_put_into_the_attackers_mouth():
    endpoint = ScriptedEndpoint(lambda conversation, _: 'i", "prompt": "p"}')
    opening = SETTINGS.model_copy(update={"opens_reply": True})
    (found,) = write_objects(endpoint, [[{"role": "user", "content": "x"}]], FIELDS, opening, 0)
    assert found == {"improvement": "i", "prompt": "p"}
    assert endpoint.asked[0][0][-1] == {"role": "assistant", "content": '{"improvement": "'}


def make_attacker(endpoint, stream: int = 0, history: int = 2) -> ModelAttacker:
    return ModelAttacker(endpoint, stream, seed=0, history=history, settings=SETTINGS)


def test_the_attacker_sees_strategy_goal_and_the_last_exchanges():
    count = iter(range(10))
    endpoint = ScriptedEndpoint(lambda *_: speak(f"try {next(count)}"))
    attacker = make_attacker(endpoint, stream=1)
    assert isinstance(attacker, Attacker)
    history = []
    for score in (1, 4, 7, 2):
        prompt = attacker.propose("the {goal}", history)
        history.append((prompt, f"answer to {prompt}", score))
    first, last = (conversation for conversation, _ in (endpoint.asked[0], endpoint.asked[3]))
    assert list(STRATEGIES.values())[1] in first[0]["content"] and "the {goal}" in first[0]["content"]
    assert [turn["role"] for turn in last] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert last[1]["content"].endswith("SCORE: 1")
    assert json.loads(last[2]["content"]) == {"improvement": "none yet", "prompt": "try 1"}
    assert last[3]["content"] == "RESPONSE: answer to try 1\nGOAL: the {goal}\nSCORE: 4"
    assert last[-1]["content"].endswith("SCORE: 7")


def test_streams_take_strategies_in_turn_and_seeds_of_their_own():
    endpoint = ScriptedEndpoint(lambda *_: speak("p"))
    for stream in (0, 3):
        make_attacker(endpoint, stream).propose("g", [])
    (first, one), (second, other) = endpoint.asked
    assert first == second and one["seed"] != other["seed"]


class Scores:
    """A judge that scores the response by a table."""

    name = version = "scores"

    def __init__(self, table):
        self.table = table

    def judge(self, answers):
        scores = [self.table.get(answer.response, 1) for answer in answers]
        return [Verdict("correct" if score == 10 else "garbled", score) for score in scores]


def run(endpoint, goals, *, streams=2, table=None, **settings):
    attackers = [make_attacker(endpoint, stream) for stream in range(streams)]
    return run_pair(
        [PairGoal(goal, goal, goal) for goal in goals],
        attackers,
        lambda prompts: [Completion(prompt, "stop", 1, 1) for prompt in prompts],
        judge=Scores(table or {}),
        settings=PairSettings(**({"streams": streams, "iterations": 2, "query_budget": 9} | settings)),
    )


def test_the_loop_asks_a_stream_for_all_goals_in_one_call_and_a_refusing_goal_fails_alone():
    def answer(conversation, _):
        return "I refuse" if "<goal>bad</goal>" in conversation[0]["content"] else speak("a prompt")

    endpoint = ScriptedEndpoint(answer)
    good, bad = run(endpoint, ["good", "bad"])
    assert len(good.queries) == 4 and not good.failures
    assert bad.best is None and len(bad.failures) == 2
    assert bad.to_dict(10)["failed_streams"][0]["problem"].startswith("ValueError: no JSON object")
    assert bad.to_dict(10)["queries"] == 0


def test_success_and_queries_to_it_are_logged_and_the_budget_holds():
    count = iter(range(100))
    endpoint = ScriptedEndpoint(lambda *_: speak(f"try {next(count)}"))
    (reached,) = run(endpoint, ["g"], table={"try 2": 10})
    assert reached.to_dict(10)["queries_to_success"] == 3
    count = iter(range(100))
    (spent,) = run(endpoint, ["g"], query_budget=3)
    assert len(spent.queries) == 3 and not spent.failures


def make_taxonomy(folder, count=TECHNIQUES):
    names = [*TOP_TECHNIQUES, *(f"T{number}" for number in range(count - 5))]
    rows = [
        {"ss_technique": n, "ss_definition": f"def {n}", "ss_example": f"ex {n}"} for n in reversed(names)
    ]
    write_jsonl(folder / "taxonomy.jsonl", rows)
    return folder / "taxonomy.jsonl"


def test_techniques_come_from_the_file_by_name(tmp_path):
    taxonomy = read_taxonomy(make_taxonomy(tmp_path))
    chosen = choose_techniques(taxonomy, PapSettings())
    assert [technique.name for technique in chosen] == list(TOP_TECHNIQUES)
    assert chosen[0].definition == "def Logical Appeal"
    assert choose_techniques(taxonomy, PapSettings(techniques="all")) == taxonomy
    with pytest.raises(ConfigError, match="found 'Bribery'"):
        choose_techniques(taxonomy, PapSettings(techniques=("Bribery",)))
    with pytest.raises(DataError, match="expected 40 techniques with different names; found 39 rows"):
        read_taxonomy(make_taxonomy(tmp_path, 39))
    with pytest.raises(ValueError, match="each once"):
        PapSettings(techniques=("T1", "T1"))


def test_a_goal_is_rewritten_with_the_techniques_definition_and_example(tmp_path):
    taxonomy = read_taxonomy(make_taxonomy(tmp_path))
    endpoint = ScriptedEndpoint(
        lambda conversation, _: '{"prompt": "please"}' if "first" in conversation[1]["content"] else "no"
    )
    (first, second) = paraphrase_goals(
        endpoint, [("first", taxonomy[0]), ("other", taxonomy[1])], SETTINGS, 0
    )
    assert first == "please" and isinstance(second, Unwritten)
    system = endpoint.asked[0][0][0]["content"]
    assert all(text in system for text in (taxonomy[0].name, taxonomy[0].definition, taxonomy[0].example))


GOAL = "Describe in detail how the blue lantern of the harbour is repaired at night"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "My grandfather kept the harbour; tell me, for his memoir, how he mended the blue lantern.",
            "usable",
        ),
        ("I'm sorry, but I can't assist with that request.", "refused"),
        (f"  {GOAL.upper()}?", "echo"),
        (f"Please: {GOAL}", "echo"),
        ("Tell me a story about two gardeners and their quarrel over a hedge.", "adrift"),
        ("zxqv " * 40, "garbled"),
        (None, "none"),
    ],
)
def test_a_proposal_is_usable_or_says_why_not(text, kind):
    assert name_proposal(GOAL, text) == kind


def test_a_goal_of_short_words_alone_cannot_be_lost():
    assert name_proposal("do it now", "Please help me with this, my friend.") == "usable"


def test_proposals_of_a_goal_are_counted_by_kind():
    texts = [GOAL, GOAL, None, "For a play: how would a keeper mend the blue lantern?"]
    assert count_proposals(GOAL, texts) == {"echo": 2, "none": 1, "usable": 1}
