"""An RO-Crate of a committed study: whole, the same every time, true to the sidecars, valid to a public validator."""

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import harc.cli
from harc.audit import crate
from harc.audit.crate import METADATA, write_crate
from harc.cli.running import run_command
from harc.core.files import read_json, sha256_file
from harc.core.untrusted import parse_json
from harc.settings.profile import list_settings_files
from harc.steps.reference_pack import SIDECARS, read_pack

PROJECT = Path(__file__).parents[2]
REFERENCE = PROJECT / "results/reference"
STUDIES = ("organism", "smollm2")
VALIDATOR = shutil.which("rocrate-validator")
PROFILES = ("ro-crate-1.1", "workflow-ro-crate-1.0", "process-run-crate-0.5", "workflow-run-crate-0.5")
# What the two contexts of the metadata say of the terms that are used, so that nothing is asked of the network.
SCHEMA = (
    "ComputerLanguage", "CreateAction", "CreativeWork", "Dataset", "Organization", "PropertyValue", "ScholarlyArticle",
    "SoftwareSourceCode", "about", "actionStatus", "additionalType", "author", "citation", "contentSize", "creator",
    "datePublished", "description", "encodingFormat", "endTime", "exampleOfWork", "hasPart", "identifier", "instrument",
    "keywords", "license", "mainEntity", "mentions", "name", "object", "programmingLanguage", "propertyID", "result",
    "startTime", "url", "value", "version", "workExample",
)  # fmt: skip
TERMS = {term: f"http://schema.org/{term}" for term in SCHEMA} | {
    "File": "http://schema.org/MediaObject",
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
    "sha256": "https://w3id.org/ro/terms/workflow-run#sha256",
}


@pytest.fixture(scope="module", params=STUDIES)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The crate of a committed study, in a folder of the study's name."""
    folder = tmp_path_factory.mktemp("crates") / request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PROJECT)
        files = write_crate(request.param, folder)
    assert sorted(files) == list_files(folder)
    return folder


def list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def read_graph(folder: Path) -> dict[str, dict[str, Any]]:
    """The entities by identifier, which are all different."""
    graph = read_json(folder / METADATA)["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    assert len(entities) == len(graph)
    return entities


def read_records(name: str) -> dict[str, dict[str, Any]]:
    """The study's sidecars, read past the crate."""
    return {path: parse_json(text.decode()) for path, text in read_pack(REFERENCE / name, [SIDECARS])}


def list_references(value: Any) -> list[str]:
    """Identifiers that an entity names besides its own."""
    if isinstance(value, list):
        return [one for part in value for one in list_references(part)]
    if isinstance(value, dict):
        return [value["@id"]] if value.keys() == {"@id"} else list_references(list(value.values()))
    return []


def test_every_file_is_described_as_it_is(written: Path):
    described = {name: one for name, one in read_graph(written).items() if "File" in one["@type"]}
    assert {written / name for name in described} == {*list_files(written)} - {written / METADATA}
    for name, entity in described.items():
        assert entity["sha256"] == sha256_file(written / name)
        assert entity["contentSize"] == str((written / name).stat().st_size)
        assert entity["encodingFormat"].count("/") == 1


def test_the_crate_has_the_pack_the_workflow_and_its_settings(written: Path):
    names = {path.relative_to(written).as_posix() for path in list_files(written)}
    pack = {path.relative_to(PROJECT).as_posix() for path in list_files(REFERENCE / written.name)}
    own = {"organism": ["organism_study"], "smollm2": ["smollm2", "smol"]}[written.name]
    settings = {f"config/profiles/{name}.yaml" for name in own}
    assert names >= pack | settings | {"Snakefile", "workflow/rules/steps.smk", "config/config.yaml"}
    assert names >= {"config/claims.yaml", "LICENSE", "README.md"}
    for name in names - {METADATA, "README.md"}:
        assert (written / name).read_bytes() == (PROJECT / name).read_bytes()


def test_whatever_is_referred_to_is_described(written: Path):
    entities = read_graph(written)
    named = {one for entity in entities.values() for one in list_references(entity)}
    assert {one for one in named - entities.keys() if not one.startswith("https://")} == set()
    reached, waiting = set(), [METADATA]
    while waiting:
        entity = entities.get(waiting.pop(), {})
        if entity and entity["@id"] not in reached:
            reached.add(entity["@id"])
            waiting += list_references(entity)
    assert reached == entities.keys()


def test_every_term_is_one_of_the_contexts(written: Path):
    used = set()
    for entity in read_graph(written).values():
        kinds = entity["@type"]
        used |= {*entity.keys()} | ({*kinds} if isinstance(kinds, list) else {kinds})
    assert used - {"@id", "@type"} == TERMS.keys()


def test_the_run_is_as_the_sidecars_have_it(written: Path):
    entities, records = read_graph(written), read_records(written.name)
    run, root = entities["#run"], entities["./"]
    begun, ended = (datetime.fromisoformat(run[name]).timestamp() for name in ("startTime", "endTime"))
    assert begun == pytest.approx(min(record["started"] for record in records.values()), abs=2e-3)
    last = max(record["started"] + record["wall_seconds"] for record in records.values())
    assert ended == pytest.approx(last, abs=2e-3)
    assert root["datePublished"] == run["endTime"][:10]
    assert run["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert run["instrument"] == root["mainEntity"] == {"@id": "Snakefile"}
    pack = f"results/reference/{written.name}/"
    results = {one["@id"] for one in run["result"]}
    assert results == {pack} | {name for name in entities if name.startswith(pack)}
    value = read_json(REFERENCE / written.name / "root_hash.json")["root_hash"]
    assert entities[entities[pack]["identifier"]["@id"]]["value"] == value
    assert all(record["git_commit"] in run["description"] for record in records.values())


def test_what_the_run_read_is_there_as_it_was_or_named_by_its_hash(written: Path):
    """Files of the project have changed since: these are not passed off as the run's."""
    entities, records = read_graph(written), read_records(written.name)
    made = {name for record in records.values() for name in record["outputs"]}
    read = {name: sha for record in records.values() for name, sha in record["inputs"].items()}
    objects = {one["@id"] for one in entities["#run"]["object"]}
    outside = {name: sha for name, sha in read.items() if name not in made}
    for name, sha in outside.items():
        file, value = name.removeprefix("project://"), f"#{name.replace('://', '/')}"
        assert (file in objects) != (value in objects)
        entity = entities[file if file in objects else value]
        assert sha == entity["sha256" if file in objects else "value"]
        if value in objects and file in entities:
            assert "the run read another" in entities[file]["description"]
    rows = records["data/verified.json.provenance.json"]["outputs"]
    assert len(rows) > 5
    for name, sha in rows.items():
        if name != "results://data/verified.json":
            assert entities[f"#{name.replace('://', '/')}"]["value"] == sha


def test_the_same_study_gives_the_same_bytes(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(PROJECT)
    write_crate(written.name, tmp_path / "again")
    first, second = (
        {p.relative_to(f): p.read_bytes() for p in list_files(f)} for f in (written, tmp_path / "again")
    )
    assert first == second


def test_settings_are_the_chain_of_what_a_profile_extends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(PROJECT)
    found = [path.as_posix() for path in list_settings_files("ci")]
    assert found[0] == "config/profiles/ci.yaml" and "config/tuned/organism.yaml" in found


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own with what the crate is made from, as working folder."""
    for name in ("config", "workflow", "results/reference/smollm2"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    for name in ("Snakefile", "LICENSE", "CITATION.cff"):
        shutil.copy(PROJECT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results/reference/smollm2"


def fail(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line with which a command ends."""
    assert run_command(harc.cli.app, ["reference", "crate", *words]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def test_without_a_lock_snakemakes_version_is_left_out(copied: Path):
    write_crate("smollm2", Path("out"))
    (language,) = (one for one in read_graph(Path("out")).values() if one["@type"] == "ComputerLanguage")
    assert "version" not in language


def leave_unfinished(pack: Path) -> None:
    (pack / "unfinished.json").write_text("{}")


def edit_table(pack: Path) -> None:
    (pack / "tables/table1.csv").write_text("rate\n1\n")


def cut_member(pack: Path) -> None:
    (pack / SIDECARS).write_bytes((pack / SIDECARS).read_bytes()[:1000])


def forget_form(pack: Path) -> None:
    (pack / "kept.json").unlink()


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "unfinished": (
        leave_unfinished,
        "reference 'smollm2': expected one of none: no study is committed; found a part",
    ),
    "an edited table": (edit_table, "tables/table1.csv of the study: expected sha256 "),
    "a cut member": (cut_member, f"results/reference/smollm2/{SIDECARS}: expected a member with sha256 "),
    "no record of its form": (
        forget_form,
        "results/reference/smollm2/root_hash.json.provenance.json: expected ",
    ),
    "no licence": (
        lambda _: Path("LICENSE").unlink(),
        "LICENSE: expected a file of the project; found none; ",
    ),
    "no authors": (
        lambda _: Path("CITATION.cff").write_text("title: x\n"),
        "CITATION.cff: expected the field authors",
    ),
    "no citation": (lambda _: Path("CITATION.cff").unlink(), "CITATION.cff: expected who wrote the study"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_cannot_be_described_is_refused_in_one_line(copied: Path, capsys, damage: str):
    spoil, words = DAMAGE[damage]
    spoil(copied)
    before = sorted(Path().iterdir())
    assert fail(capsys, "smollm2", "--out", "out").startswith(words)
    assert sorted(Path().iterdir()) == before, "nothing is left half-written"


def test_an_unknown_study_is_refused_in_one_line(copied: Path, capsys):
    line = fail(capsys, "smolm2", "--out", "out")
    assert line.startswith(
        "reference 'smolm2': expected one of smollm2; found no such study; check the spelling"
    )
    assert not Path("out").exists()


def test_what_lies_there_is_left_alone(copied: Path, capsys):
    Path("out").mkdir()
    Path("out/note").write_text("mine")
    for place in ("out", "LICENSE"):
        line = fail(capsys, "smollm2", "--out", place)
        assert line == f"--out: expected a new or an empty folder; found {place}, which is not; name another"
    assert [path.name for path in Path("out").iterdir()] == ["note"]
    Path("out/note").unlink()
    assert METADATA in {path.name for path in write_crate("smollm2", Path("out"))}


def test_a_run_that_is_stopped_leaves_nothing(copied: Path, monkeypatch: pytest.MonkeyPatch):
    """The metadata are written last, into a folder that takes its name when it is whole."""

    def stop(path: Path, value: Any) -> None:
        assert path.name == METADATA and len(list_files(path.parent)) > 50
        raise KeyboardInterrupt

    monkeypatch.setattr(crate, "write_json", stop)
    before = sorted(Path().iterdir())
    with pytest.raises(KeyboardInterrupt):
        write_crate("smollm2", Path("out"))
    assert sorted(Path().iterdir()) == before


def validate(folder: Path, profile: str) -> list[str]:
    """What the public validator says against a crate, without the network."""
    metadata = json.loads((folder / METADATA).read_text())
    (folder / METADATA).write_text(json.dumps(metadata | {"@context": TERMS}))
    report = folder.with_name(f"{folder.name}-{profile}.json")
    words = (
        f"--no-interactive validate {folder} --no-auto-profile --no-paging -p {profile} -f json -o {report}"
    )
    done = subprocess.run([str(VALIDATOR), *words.split()], capture_output=True, text=True, check=False)
    found = json.loads(report.read_text())
    assert found["passed"] == (done.returncode == 0) and found["statistics"]["total_checks"] >= 38
    return [issue["message"] for issue in found["issues"]]


needs_validator = pytest.mark.skipif(
    VALIDATOR is None, reason="no rocrate-validator (docs/results.md) on the path"
)


@needs_validator
@pytest.mark.parametrize("profile", PROFILES)
def test_the_crate_is_valid(written: Path, tmp_path: Path, profile: str):
    shutil.copytree(written, tmp_path / "crate")
    assert validate(tmp_path / "crate", profile) == []


def drop(name: str, field: str) -> Callable[[dict[str, Any]], None]:
    return lambda entities: entities[name].pop(field)


SPOILED = {
    "no main entity": (drop("./", "mainEntity"), "mainEntity"),
    "no licence": (drop("./", "license"), "license"),
    "no instrument": (drop("#run", "instrument"), "instrument"),
    "an untyped parameter": (drop("#settings", "additionalType"), "additionalType"),
    "a missing file": (
        lambda entities: Path("crate/LICENSE").unlink(),
        "does not include the Data Entity 'LICENSE'",
    ),
}


@needs_validator
@pytest.mark.parametrize("spoil", SPOILED)
def test_a_damaged_crate_is_not(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str):
    """The twin: the validator does look."""
    shutil.copytree(written, tmp_path / "crate")
    monkeypatch.chdir(tmp_path)
    change, words = SPOILED[spoil]
    metadata = read_json(Path("crate") / METADATA)
    change({entity["@id"]: entity for entity in metadata["@graph"]})
    Path("crate", METADATA).write_text(json.dumps(metadata))
    assert any(words in message for message in validate(Path("crate"), PROFILES[-1]))
