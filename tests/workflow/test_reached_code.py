"""What the steps of a whole run executed lies within what their fingerprints cover."""

from harc.core.files import read_json
from harc.core.fingerprint import _read_module, list_definitions
from harc.settings.profile import load_profile
from harc.steps.commands import recreate_job
from harc.steps.registry import STEPS
from harc.steps.running import list_code


def find_place(module: str, name: str) -> str:
    """The definition, as fingerprints name it, that a function's qualified name belongs to."""
    first, *rest = name.split(".<locals>", maxsplit=1)[0].split(".")
    parts = _read_module(module).find_class(first)
    return (
        f"{module}:{first}.{rest[0]}"
        if parts is not None and rest and rest[0] in parts.methods
        else f"{module}:{first}"
    )


# Run while a module is imported, for a constant that these steps do not read; or hands on a library as it is.
HARMLESS = ("harc.settings.methods:list_looks", "harc.suites.registry:list_suites", "harc.core.lazy:")


def find_unreached(roots: list[str], called: list[list[str]]) -> set[str]:
    """Definitions that ran and that no fingerprint of these roots covers."""
    places = {find_place(*pair) for pair in called if not pair[1].startswith("<")}
    return {place for place in places - set(list_definitions(roots)) if not place.startswith(HARMLESS)}


def list_runs(finished) -> list[tuple]:
    """(job, functions called) of every step that the run executed."""
    profile = load_profile("ci")
    runs = []
    for path in sorted((finished.root.parent / "calls").glob("*.json")):
        noted = read_json(path)
        job = recreate_job(" ".join(["harc", *noted["command"]]), lambda _: profile)
        runs.append((job, noted["called"]))
    return runs


def test_every_function_that_a_step_runs_is_in_its_fingerprint(finished):
    runs = list_runs(finished)
    unreached = {
        job.label: found for job, called in runs if (found := find_unreached(list_code(job), called))
    }
    assert unreached == {}
    steps = {job.step for job, _ in runs}
    assert steps >= set(STEPS) - {
        "fetch_backbone",
        "warm_start",
        "merge_warm_start",
        "train_judge",
        "suppress_refusal",
        "write_answers",
        "tune_method",
        "choose_point",
        "collect_points",
        "measure_helpfulness",
    }
    assert sum(len(called) for _, called in runs) > 2000


def test_the_check_can_fail(finished):
    _, called = next((job, called) for job, called in list_runs(finished) if job.step == "evaluate")
    assert "harc.evaluation.run:evaluate_backbone" in find_unreached(
        ["harc.steps.evaluation:run_score"], called
    )
