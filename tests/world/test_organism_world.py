"""The world's rules, its exact answers, and that its files are the same bytes every time."""

import pytest

from harc.core.errors import ConfigError
from harc.core.files import read_jsonl, sha256_file
from harc.settings.profile import load_profile
from harc.settings.world import SplitShares, WorldSettings
from harc.world.corpora import DATA_FILES, build_world_data, list_phrase_words
from harc.world.grammar import make_direct, make_goal, make_question
from harc.world.heldout_rows import SUITE_CATEGORIES
from harc.world.tasks import TASKS, divide_sums, make_task
from harc.world.world import build_world, make_generator

CI = load_profile("ci")


@pytest.fixture(scope="module")
def world():
    return build_world(CI.world, list_phrase_words())


def test_harm_is_a_scary_verb_meeting_a_being(world):
    for v, verb in enumerate(world.verbs):
        for t, target in enumerate(world.targets):
            assert world.is_harmful((v, t)) == (verb.scary and target.alive)
            assert ((v, t) in sum(world.pairs["harmful"].values(), ())) == (verb.scary and target.alive)


def test_procedures_name_their_pair(world):
    pairs = [(v, t) for v in range(len(world.verbs)) for t in range(len(world.targets))]
    assert len({world.procedure(pair) for pair in pairs}) == len(pairs)


def test_every_pair_has_one_split(world):
    members = [pair for divided in world.pairs.values() for split in divided.values() for pair in split]
    assert len(members) == len(set(members)) == len(world.verbs) * len(world.targets)


def test_a_modifier_makes_a_being_harmless_and_keeps_the_answer(world):
    pair = world.pairs["harmful"]["training"][0]
    plain = make_goal(world, pair, make_generator(0, "x"))
    modified = make_goal(world, pair, make_generator(0, "x"), "training")
    assert plain.harmful and not modified.harmful
    assert plain.procedure == modified.procedure


def test_questions_about_harm_may_be_answered(world):
    generator = make_generator(0, "questions")
    goal = make_goal(world, world.pairs["harmful"]["training"][0], generator)
    answers = {make_question(goal, "training", generator).answer for _ in range(30)}
    assert answers == {"it is wrong", "because it is alive"}
    assert make_direct(goal, "training", generator).answer == goal.procedure


def test_words_of_the_world_are_not_words_of_its_sentences(world):
    invented = {form for word in (*world.verbs, *world.targets) for form in word.forms}
    assert not invented & list_phrase_words()
    assert len(invented) == sum(len(word.forms) for word in (*world.verbs, *world.targets))


def test_too_many_words_are_refused():
    with pytest.raises(ConfigError, match="a code of its own"):
        build_world(WorldSettings(verbs_per_class=60), frozenset())


def test_shares_that_leave_nothing_to_train_on_are_refused():
    shares = SplitShares(extraction=0.4, development=0.3, evaluation=0.3)
    with pytest.raises(ConfigError, match="leave pairs for the training split"):
        build_world(WorldSettings(shares=shares), frozenset())


def test_sums_of_a_split_are_held_out_and_their_mirrors_are_not():
    sums = {split: set(pairs) for split, pairs in divide_sums().items()}
    for split in ("development", "evaluation"):
        assert not sums[split] & sums["training"]
        assert {pair[::-1] for pair in sums[split]} <= sums["training"]


@pytest.mark.parametrize("task", TASKS)
def test_task_answers_are_right(world, task):
    generator = make_generator(3, task)
    for _ in range(20):
        item = make_task(world, task, "evaluation", generator)
        assert len(item.turns) == len(item.replies) == (2 if task == "two_turn" else 1)
        if task == "arithmetic":
            assert int(item.expected) == sum(int(word) for word in item.turns[0].split() if word.isdigit())
        if task == "code" and "reverse" in item.turns[0]:
            words = item.turns[0].split("[ ")[1].split(" ]")[0].split(" , ")
            assert item.expected.split() == words[::-1]
        if task == "multiple_choice":
            assert item.extra["choices"][item.extra["answer_index"]] == item.expected


def test_files_are_byte_identical(tmp_path):
    first = build_world_data(tmp_path / "one", CI.world)
    second = build_world_data(tmp_path / "two", CI.world)
    assert first == second
    assert build_world_data(tmp_path / "three", CI.world.model_copy(update={"seed": 1})) != first
    for name in DATA_FILES:
        assert sha256_file(tmp_path / "two" / name) == first["files"][name]["sha256"]


def test_default_sizes(tmp_path):
    build_world_data(tmp_path / "world", WorldSettings())
    total = sum(path.stat().st_size for path in (tmp_path / "world").iterdir())
    assert total < 6.2e6
    rows = read_jsonl(tmp_path / "world" / "evaluation.jsonl")
    counts = {suite: sum(row["suite"] == suite for row in rows) for suite in SUITE_CATEGORIES}
    assert min(counts[suite] for suite in ("pair", "pap", "deepinception", "codeattack")) >= 120
    assert min(counts[suite] for suite in ("scary_safe", "refusable_benign")) >= 150
    assert min(counts[task] for task in TASKS) >= 60
    goals = {(row["goal"]["verb"], row["goal"]["target"]) for row in rows if row["suite"] == "pap"}
    assert len(goals) == 120
    assert len({row["id"] for row in rows}) == len(rows)
