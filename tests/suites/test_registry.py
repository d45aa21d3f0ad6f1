"""Suites and judges are declared once: what is found, in what order, and what a new file changes."""

import importlib
import re
import sys

import pytest

from harc.core.registry import gather, pick
from harc.judges.base import LABELS
from harc.judges.registry import JUDGES
from harc.results.macros.rates import CONTROL_RATES, RATE_MACROS, TABLE1_RATES
from harc.results.tables.rates import SHORT
from harc.results.vocabulary import name_suite
from harc.settings.evaluation import EvaluationSettings
from harc.settings.suites import AttackForms
from harc.suites.base import FAMILIES, MEANS
from harc.suites.registry import ALL_SUITES, METHOD_SUITES, SUITES, list_suites
from harc.suites.rows import wrap_goal
from harc.world.heldout_rows import SUITE_CATEGORIES


def test_every_suite_has_a_place_of_its_own_and_a_label():
    places = [(suite.family, suite.order) for suite in SUITES.values()]
    assert len(set(places)) == len(places) and {family for family, _ in places} == set(FAMILIES)
    assert list_suites(*FAMILIES) == ALL_SUITES
    assert len({name_suite(name) for name in SUITES}) == len(SUITES)
    assert {mean.family for mean in MEANS} <= set(FAMILIES)
    assert EvaluationSettings().suites == METHOD_SUITES


def test_macros_and_heads_of_columns_follow_from_the_declarations():
    macros = list(RATE_MACROS.values())
    assert len(set(macros)) == len(macros) and all(re.fullmatch("[A-Za-z]+", macro) for macro in macros)
    assert {*TABLE1_RATES, *CONTROL_RATES} == set(RATE_MACROS)
    assert all(SHORT.values())


def test_attacks_and_groups_of_settings_name_each_other():
    named = {suite.settings for suite in SUITES.values() if suite.settings}
    assert named <= set(AttackForms.model_fields)
    assert set(AttackForms.model_fields) <= {suite.settings or name for name, suite in SUITES.items()}
    for (
        name,
        suite,
    ) in SUITES.items():  # whichever group it takes, or all of them, it is one that its text fits
        if suite.wrap:
            prompt, form = wrap_goal(suite, "Describe a bridge.", "evaluation", 0, AttackForms())
            assert prompt != "Describe a bridge." and form, name


def test_the_embedded_world_has_rows_for_what_methods_are_compared_on():
    assert set(METHOD_SUITES) <= set(SUITE_CATEGORIES) <= set(ALL_SUITES)


def test_every_judge_has_a_place_labels_and_a_version():
    assert len({kind.order for kind in JUDGES.values()}) == len(JUDGES)
    for name, kind in JUDGES.items():
        assert set(kind.labels) <= set(LABELS) and kind.labels
        assert re.fullmatch(rf"{name}-[1-9]", kind.version)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An invented package with a declaring module and one that must not be imported."""
    folder = tmp_path / "invented"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "one.py").write_text("\nTHINGS = (1, 2)\n\n\ndef run():\n    return 'own'\n")
    (folder / "heavy.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "invented"]:
        del sys.modules[name]


def test_a_new_file_is_found_and_modules_without_a_declaration_are_left_alone(package):
    assert gather("invented", "THINGS") == [("one", (1, 2))]
    (package / "another.py").write_text("\nTHINGS = (3,)\n")
    importlib.invalidate_caches()
    assert gather("invented", "THINGS") == [("another", (3,)), ("one", (1, 2))]
    assert pick("invented", "one", "run")() == "own"
    assert pick("invented", "another", "run", len) is len
