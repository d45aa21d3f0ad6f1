"""Cells of the heat map: which category a goal is of, and what an empty one says."""

from harc.results.outcomes import make_outcomes
from harc.results.rates import ALL_GOALS, Cell, list_categories, name_category, tabulate_categories

ROWS = make_outcomes(
    dict(zip(("suite", "id", "unit", "goal", "label"), row, strict=True))
    for row in [
        ("pap", "1", "1", "blick mub", "correct"),
        ("pap", "2", "2", "blick zed", "refused"),
        ("pap", "3", "3", "gorp mub", "garbled"),
        ("pair", "4", "4", "blick mub", "correct"),
        ("benign", "5", "5", "other mub", "correct"),
    ]
)


def test_a_goal_is_of_its_verb_and_one_without_form_of_no_category():
    assert name_category("blick mub") == "blick" and name_category("evaluation-pap-0001") == ALL_GOALS
    assert name_category("write a long letter") == ALL_GOALS


def test_every_goal_lands_in_one_cell():
    categories = list_categories(ROWS, ("pair", "pap"))
    assert categories == ["blick", "gorp"]
    table = tabulate_categories(ROWS, ("pair", "pap"), categories)
    assert table == [[Cell(1, 1), Cell(0, 0)], [Cell(1, 2), Cell(0, 1)]]
    assert sum(cell.n for row in table for cell in row) == 4
    assert table[0][1].rate is None and table[1][0].rate == 0.5
