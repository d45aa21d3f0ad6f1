"""A fingerprint changes with the code that a step can reach, and with nothing else."""

import pytest

from harc import fingerprint


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A stand-in package: `step` imports `used` inside a function; `unused` stands alone."""
    (tmp_path / "step.py").write_text("def run():\n    from harc.used import f\n    return f()\n")
    (tmp_path / "used.py").write_text(
        '"""Text."""\n\n\ndef f():\n    """Doc."""\n    return "# no comment"  # why\n'
    )
    (tmp_path / "unused.py").write_text("x = 1\n")
    (tmp_path / "errors.py").write_text("x = 1\n")
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)

    def compute(modules=("harc.step",)):
        fingerprint._direct_imports.cache_clear()
        fingerprint._module_hash.cache_clear()
        return fingerprint.fingerprint_code(modules)

    yield tmp_path, compute
    fingerprint._direct_imports.cache_clear()
    fingerprint._module_hash.cache_clear()


def test_imports_inside_functions_count(package):
    assert fingerprint.list_modules(["harc.step"]) == ["harc.step", "harc.used"]


def test_remarks_do_not_count(package):
    root, compute = package
    before = compute()
    (root / "used.py").write_text('def f():\n    """Other."""\n\n    return "# no comment"\n')
    assert compute() == before


@pytest.mark.parametrize(
    "change", ['def f():\n    return "# other"\n', 'def f():\n    return "#no comment"\n']
)
def test_code_counts_also_inside_strings(package, change):
    root, compute = package
    before = compute()
    (root / "used.py").write_text(change)
    assert compute() != before


def test_modules_out_of_reach_do_not_count(package):
    root, compute = package
    before = compute()
    (root / "unused.py").write_text("x = 2\n")
    assert compute() == before


def test_infrastructure_does_not_count(package):
    root, compute = package
    (root / "used.py").write_text("from harc.errors import x\n")
    before = compute()
    (root / "errors.py").write_text("x = 2\n")
    assert compute() == before


def test_relative_imports_are_followed(package):
    root, _ = package
    (root / "step.py").write_text("from .used import f\n")
    assert fingerprint.list_modules(["harc.step"]) == ["harc.step", "harc.used"]


def test_unknown_module_is_an_error(package):
    with pytest.raises(ModuleNotFoundError, match="no module harc.nowhere"):
        fingerprint.list_modules(["harc.nowhere"])
