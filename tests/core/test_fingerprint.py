"""A fingerprint changes with the code that a step can reach, and with nothing else."""

import ast
import random
from pathlib import Path

import pytest

from harc.core import fingerprint
from harc.core.artifacts import Layout
from harc.core.definitions import ModuleCode
from harc.core.fingerprint import fingerprint_code, list_definitions
from harc.settings.profile import load_profile
from harc.steps.commands import create_job
from harc.steps.registry import list_jobs
from harc.steps.running import list_code

STEP = """
    from typing import TYPE_CHECKING
    from harc import tools
    from harc.used import f, Worker
    from harc.kinds import Options

    if TYPE_CHECKING:
        from harc.handed import Handed

    TABLE = {"f": f}


    def run(job: "Handed", options: Options):
        from harc.inner import g
        Worker().work()
        tools.shape(options.steps)
        return TABLE, g(), job.walk()


    def other():
        return tools.unused()
"""
PACKAGE = {
    "step": STEP,
    "used": '''
        """Text."""
        LIMIT = 3


        def f():
            """Doc."""
            return "# no comment"  # why


        class Worker:
            """Doc."""

            size = LIMIT

            def work(self):
                return self.lift

            @property
            def lift(self):
                return 1

            def rest(self):
                return 2


        def unused():
            return 1
    ''',
    "tools": "def shape(x):\n    return x\n\n\ndef unused():\n    return 1\n",
    "inner": "def g():\n    return open('page.html')\n",
    "handed": "class Handed:\n    def walk(self):\n        return 1\n\n    def run(self):\n        return 2\n",
    "kinds": """
        from pydantic import BaseModel, Field, model_validator


        class Options(BaseModel):
            steps: int = Field(3, description="how many")

            @model_validator(mode="before")
            @classmethod
            def check(cls, values):
                return values

            def double(self):
                return 2 * self.steps
    """,
    "errors": "x = 1\n",
    "page.html": "<p>",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small stand-in package, and the fingerprint of its step after edits."""
    import textwrap

    for name, text in PACKAGE.items():
        path = tmp_path / (name if "." in name else f"{name}.py")
        path.write_text(textwrap.dedent(text).lstrip("\n"))
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)

    def compute(*roots):
        fingerprint.clear_caches()
        return fingerprint_code(roots or ["harc.step:run"])

    yield tmp_path, compute
    fingerprint.clear_caches()


def edit(root, name, old, new):
    path = root / (name if "." in name else f"{name}.py")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("used", "# no comment", "# other"),  # a name in a constant
        ("used", "LIMIT = 3", "LIMIT = 4"),  # a constant in a class
        ("used", "return self.lift", "return -self.lift"),  # a method by its name
        ("used", "return 1\n\n    def rest", "return 3\n\n    def rest"),  # a property of it
        ("tools", "return x", "return -x"),  # through a module's name
        ("inner", "open('page.html')", "open('page.html', 'rb')"),  # an import inside a function
        ("page.html", "<p>", "<b>"),  # a file that is named
        ("handed", "return 1", "return 3"),  # a class that only an annotation names
    ],
)
def test_what_can_be_reached_counts(package, name, old, new):
    root, compute = package
    before = compute()
    edit(root, name, old, new)
    assert compute() != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("used", '"""Doc."""\n    return', '"""Other\n    text."""\n\n    return'),
        ("used", "  # why", ""),
        ("used", "def unused():\n    return 1", "def unused():\n    return 2"),
        ("used", "return 2", "return 3"),  # a method that nobody names
        ("tools", "def unused():\n    return 1", "def unused():\n    return 2\n\n\ndef new():\n    return 3"),
        ("handed", "return 2", "return 3"),
        ("step", "return tools.unused()", "return 5"),
        ("errors", "x = 1", "x = 2"),
        ("kinds", "how many", "how many updates"),
        ("kinds", "Field(3", "Field(4"),  # values of settings have a hash of their own
        ("kinds", "return values", "return dict(values)"),
        ("kinds", "return 2 * self.steps", "return 3 * self.steps"),
    ],
)
def test_what_cannot_be_reached_does_not_count(package, name, old, new):
    root, compute = package
    before = compute()
    edit(root, name, old, new)
    assert compute() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("Field(3", "Field(4"), ("return values", "return dict(values)")],
)
def test_fields_and_checks_count_where_settings_are_made(package, old, new):
    root, compute = package
    edit(root, "step", "Worker().work()", "Worker().work(Options())")
    before = compute()
    edit(root, "kinds", old, new)
    assert compute() != before
    edit(root, "kinds", "how many", "how many updates")
    changed = compute()
    edit(root, "kinds", "how many updates", "how many")
    assert compute() == changed


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (("tools", "return x", "return x.rest()"), ("used", "return 2", "return 3")),
        (
            ("used", "class Worker:", "from html.parser import HTMLParser\n\n\nclass Worker(HTMLParser):"),
            ("used", "return 2", "return 3"),
        ),
        (
            ("used", "LIMIT = 3\n", "LIMIT = 3\nTABLE = {}\nTABLE['x'] = 1\n"),
            ("used", "TABLE['x'] = 1", "TABLE['x'] = 2"),
        ),
        (("step", "tools.shape(options.steps)", "print(tools)"), ("tools", "return 1", "return 2")),
        (
            ("step", "tools.shape(options.steps)", "print(tools.__file__)"),
            ("tools", "return x", "return x  # a text that may be run"),
        ),
    ],
    ids=[
        "a method that reached code names",
        "a method that a foreign base may call",
        "a statement that runs at import",
        "a module that is handed on",
        "a module whose path is read",
    ],
)
def test_what_counts_once_something_leads_to_it(package, first, then):
    root, compute = package
    edit(root, *first)
    before = compute()
    edit(root, *then)
    assert compute() != before


def test_definitions_behind_a_decorator_of_ours_count(package):
    root, compute = package
    (root / "tools.py").write_text(
        "def shape(x):\n    return x\n\n\nKNOWN = []\n\n\ndef register(f):\n    KNOWN.append(f)\n    return f\n\n\n"
        "@register\ndef first():\n    return 1\n"
    )
    before = compute()
    edit(root, "tools", "return 1", "return 2")
    assert compute() != before


def test_a_whole_module_may_be_the_root(package):
    root, compute = package
    before = compute("harc.used")
    edit(root, "used", "def unused():\n    return 1", "def unused():\n    return 2")
    assert compute("harc.used") != before


@pytest.mark.parametrize("root", ["harc.nowhere", "harc.used:nothing", "other.module"])
def test_unknown_roots_are_errors(package, root):
    with pytest.raises(ModuleNotFoundError, match=f"no (module|definition) {root}"):
        package[1](root)


# The project's own code.


def list_step_roots(profile: str = "organism_study") -> dict[str, tuple[str, ...]]:
    """Roots of every step of a profile; with the objective where a step loads one."""
    chosen = load_profile(profile)
    jobs = list_jobs(chosen, Layout(chosen.results_root))
    jobs += [
        create_job("tune_method", chosen, backbone="organism-llama", method=method, seed=0)
        for method in ("cb", "harc_dpo")
    ]
    jobs += [create_job(step, chosen, method="harc") for step in ("choose_point", "collect_points", "audit")]
    found = {}
    for job in jobs:
        roots = tuple(list_code(job))
        found.setdefault(" ".join([job.step, *sorted(roots[1:])]) if len(roots) < 5 else job.step, roots)
    return found


ROOTS = list_step_roots()


@pytest.fixture(scope="module")
def known() -> dict[str, tuple[str, set[str]]]:
    """Fingerprint and reached places of every step."""
    return {step: (fingerprint_code(roots), set(list_definitions(roots))) for step, roots in ROOTS.items()}


@pytest.fixture
def edited(tmp_path, monkeypatch, known):
    """Gives the steps whose fingerprint changes when the text of one module is changed."""
    read = fingerprint._read_module

    def compare(module, change):
        source = read(module).source
        path = tmp_path / fingerprint._find_module(module).name
        path.write_text(change(source))
        altered = ModuleCode(module, path)
        assert altered.source != source
        fingerprint._reach_from.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(fingerprint, "_read_module", lambda name: altered if name == module else read(name))
            after = {step: fingerprint_code(roots) for step, roots in ROOTS.items()}
        fingerprint._reach_from.cache_clear()
        return {step for step in ROOTS if known[step][0] != after[step]}

    return compare


def list_functions(module: str) -> list[tuple[str, int]]:
    """(place, line of the first statement) of every function at the top of a module and method of its classes."""
    code = fingerprint._read_module(module)
    found = []
    for node in code.tree.body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        for item in members:
            if isinstance(item, ast.FunctionDef):
                parts = code.find_class(node.name) if isinstance(node, ast.ClassDef) else None
                inside = parts is not None and item.name in parts.methods
                name = f"{node.name}.{item.name}" if inside else node.name
                found.append((f"{module}:{name}", item.body[-1].lineno))
    return found


def list_package() -> list[str]:
    names = []
    for path in sorted(fingerprint.ROOT.rglob("*.py")):
        parts = path.relative_to(fingerprint.ROOT).with_suffix("").parts
        if path.name not in ("guest.py", "template_worker.py", "__init__.py"):  # run as files, hashed whole
            names.append(".".join(["harc", *parts]))
    return names


@pytest.mark.parametrize("seed", range(6))
def test_an_edit_changes_exactly_the_steps_that_can_reach_it(edited, known, seed):
    draw = random.Random(seed)
    module = draw.choice([name for name in list_package() if list_functions(name)])
    place, line = draw.choice(list_functions(module))

    def change(source):
        lines = source.split("\n")
        indent = lines[line - 1][: len(lines[line - 1]) - len(lines[line - 1].lstrip())]
        return "\n".join([*lines[: line - 1], f"{indent}assert True", *lines[line - 1 :]])

    assert edited(module, change) == {step for step, (_, places) in known.items() if place in places}, place


def test_a_helper_that_no_step_can_reach_makes_none_stale(edited):
    assert edited("harc.core.files", lambda text: f"{text}\n\ndef new_helper():\n    return 1\n") == set()
    words = "total[state] += count"  # in a function that no step calls
    assert edited("harc.suites.records", lambda text: text.replace(words, "pass")) == set()


@pytest.mark.parametrize(
    ("module", "old", "new", "steps"),
    [
        ("harc.methods.cb", "return ", "return  ", ("train_adapter", "harc.methods.cb")),
        ("harc.settings.directions", 'qwen = model_type', 'qwen = not model_type', ("extract_directions", "")),
        ("harc.methods.harc", "class ", "x = 1\n\n\nclass ", None),
        ("harc.methods.harc", "self.", "self . ", ("tune_method", "harc.methods.harc")),
        ("harc.training.forward", "return ", "return  ", ("train_adapter", "harc.methods.harc")),
        ("harc.results.figures.figure2", "return ", "return  ", ("make_figure", "figure2")),
    ],
)  # fmt: skip
def test_code_that_computes_is_never_exempt(edited, module, old, new, steps):
    changed = edited(module, lambda text: text.replace(old, new))
    if steps is None:  # a new constant that nothing uses
        assert changed == set()
    else:
        step, word = steps
        assert any(name.startswith(step) and word in name for name in changed), changed


def test_the_guest_of_the_sandbox_and_templates_count():
    assert "file judges/sandbox/guest.py" in list_definitions(
        ["harc.steps.evaluation:run_measure_helpfulness"]
    )
    assert "file audit/templates/audit.html" in list_definitions(["harc.audit.step:run_audit"])
    assert "file results/templates/report.html" in list_definitions(["harc.steps.paper:run_build_report"])


def test_a_composed_methods_tuning_reaches_both_objectives():
    profile = load_profile("organism_study")
    job = create_job("tune_method", profile, backbone="organism-llama", method="harc_dpo", seed=0)
    assert {root.partition(":")[0] for root in list_code(job)[1:]} == {
        "harc.methods.dpo",
        "harc.methods.harc",
    }


def test_registries_are_followed_into_what_is_asked_of_them():
    asked = set(list_definitions(["harc.steps.evaluation:run_evaluate"]))
    assert asked >= {"harc.suites.pair:run", "harc.suites.prefill:run", "harc.judges.rubrics:make"}
    shown = set(list_definitions(list_code(create_job("make_tables", load_profile("ci")))))
    assert "harc.suites.pair:SUITES" in shown and "harc.judges.rubrics:JUDGES" in shown
    assert not shown & {"harc.suites.pair:run", "harc.judges.rubrics:make"}
    trained = list_definitions(["harc.steps.training:run_train_adapter"])
    assert not [place for place in trained if place.startswith(("harc.suites", "harc.judges"))]


# Where a name is looked up at run time, which no walk over names can follow: each is covered by `list_plugins`.
LOADERS = {
    "harc.core.lazy:_Late",  # other packages alone
    "harc.training.objective:find_module",
    "harc.results.catalogue:write_tables",
    "harc.steps.job:Step",
    "harc.steps.analysis:load_figure",
    "harc.steps.data:run_pull_data",
    # what is asked of registries, the fingerprint follows
    "harc.core.registry:gather",
    "harc.core.registry:pick",
}


def test_code_is_loaded_by_name_only_where_plugins_are_declared():
    found = set()
    for module in list_package():
        code = fingerprint._read_module(module)
        for name in code.statements:
            parts = code.find_class(name)
            texts = [d.text for d in code.list_definitions(name)] if parts is None else [parts.head.text]
            texts += [] if parts is None else [method.text for method in parts.methods.values()]
            if any(
                word in text
                for text in texts
                for word in ("import_module(", "__import__(", " exec(", " eval(")
            ):
                found.add(f"{module}:{name}")
    assert found - {"harc.core.energy:read_gpus", "harc.cli.worker:main"} == LOADERS


def test_nothing_of_the_package_is_read_twice_under_one_name():
    """Two classes of one name in a module would be hashed as plain statements, which is sound but coarse."""
    for module in list_package():
        code = fingerprint._read_module(module)
        doubled = {name for name, nodes in code.statements.items() if len(nodes) > 1}
        assert not {n for n in doubled if any(isinstance(s, ast.ClassDef) for s in code.statements[n])}, (
            module
        )
    assert Path(fingerprint.ROOT, "core/definitions.py").is_file()
