"""Rows of a warm start: benign ones in forms of speech, harmful ones as they are."""

from harc.data.warm_rows import FRAMES, choose_warm_rows
from harc.settings.suites import AttackForms, PersonaSettings
from harc.suites.rows import make_prompts

ROWS = [
    {"category": category, "prompt": f"{category} {number}"}
    for category in ("harmful", "harmless", "pseudo_harmful")
    for number in range(12)
]


def test_a_share_of_benign_rows_is_asked_again_in_every_frame_in_turn():
    chosen = choose_warm_rows(ROWS, None, 0.75)
    assert [row for row in chosen if row in ROWS] == ROWS
    added = [row for row in chosen if row not in ROWS]
    assert [row["category"] for row in added] == ["harmless"] * 9 + ["pseudo_harmful"] * 9
    assert [row["prompt"] for row in added[:9]] == [
        FRAMES[number % len(FRAMES)].format(goal=f"harmless {number}") for number in range(9)
    ]


def test_harmful_rows_are_never_framed_and_no_share_adds_nothing():
    assert choose_warm_rows(ROWS, None, 0.0) == ROWS
    assert not any(
        row["category"] == "harmful" and row not in ROWS for row in choose_warm_rows(ROWS, None, 1.0)
    )


def test_rows_of_each_category_are_limited_before_they_are_framed():
    chosen = choose_warm_rows(ROWS, 4, 0.5)
    assert [row["prompt"] for row in chosen if row["category"] == "harmless"] == [
        "harmless 0", "harmless 1", "harmless 2", "harmless 3",
        FRAMES[0].format(goal="harmless 0"), FRAMES[1].format(goal="harmless 1"),
    ]  # fmt: skip


def test_no_frame_is_an_attack_s_wording():
    goal = "harmless 0"
    framed = {frame.format(goal=goal) for frame in FRAMES}
    forms = AttackForms(persona=PersonaSettings(forms=8, development_forms=3))
    attacks = {
        make_prompts(suite, goal, split, index, forms, ())[0]["messages"][0]["content"]
        for suite in ("persona", "deepinception", "codeattack")
        for split in ("evaluation", "development")
        for index in range(12)
    }
    assert len(framed) == len(FRAMES) and not framed & attacks
