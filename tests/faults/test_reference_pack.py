"""A packed study gives its tree back byte for byte; whatever is wrong with the pack is a finding of one line."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fixtures.audited_tree import DATA, ROOT, audit, build_tree
from pyarrow import parquet
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from harc.audit import AuditReport
from harc.audit.keep import update_reference
from harc.audit.step import write_report
from harc.core.errors import ArtifactError
from harc.core.files import read_json, write_json
from harc.core.provenance import seal_record
from harc.steps import pack_forms, reference_pack
from harc.steps.reference import unpack_study
from harc.steps.reference_pack import read_pack, write_pack

PACK = Path("results/reference/toy")
SCORES = "scores/toy/sft/seed0/scores.csv"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packed toy study alone."""
    folder = tmp_path_factory.mktemp("packed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        build_tree()
        write_report(audit(), ROOT / "audit")
        update_reference(ROOT, "toy", PACK.parent)
        shutil.rmtree(ROOT)
        shutil.rmtree(DATA)
    return folder


@pytest.fixture
def pack(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of it, below the working directory."""
    shutil.copytree(packed, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return PACK


def look() -> AuditReport:
    """An audit of the pack; each finding is one line that names no temporary folder."""
    report = audit(PACK)
    for finding in report.findings:
        assert "\n" not in str(finding) and not str(finding).startswith("/")
        assert "/tmp" not in finding.repair
    return report


def name_files(report: AuditReport) -> set[str]:
    return {str(Path(finding.file).relative_to(PACK)) for finding in report.findings}


def test_a_packed_study_is_sound_and_is_left_as_it_is(pack: Path):
    before = {path: path.read_bytes() for path in pack.rglob("*") if path.is_file()}
    report = look()
    assert report.findings == () and report.verdict == "sound (without weights)"
    assert report.root == str(pack)
    assert report.root_hash == read_json(pack / "root_hash.json")["root_hash"]
    assert report.counts["generation records"] == 72
    assert {path: path.read_bytes() for path in pack.rglob("*") if path.is_file()} == before


def test_other_readers_read_it(pack: Path):
    """Without a line of this project: a table of generations, and directions by name."""
    table = parquet.read_table(pack / "generations.parquet").to_pandas()
    assert len(table) == 72 and set(table["suite"]) == {"direct", "scary_safe", "benign"}
    assert json.loads(table["verdicts"][0]).keys() == {"exact", "string_rules"}
    tensors = load_file(pack / "directions.safetensors")
    rows = tensors["directions/toy/base/seed0/directions.safetensors:v_harm"]
    assert rows.dtype == np.float32 and np.allclose(np.linalg.norm(rows, axis=-1), 1)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def link(path: Path) -> None:
    moved = path.rename("elsewhere")
    path.symlink_to(moved.absolute())


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = {"cut": cut, "flipped": flip, "deleted": Path.unlink, "emptied": lambda path: path.write_bytes(b"")}
DAMAGE |= {"linked": link, "a folder": make_folder}
MEMBERS = (
    "sidecars.parquet",
    "generations.parquet",
    "outcomes.parquet",
    "directions.safetensors",
    "pack.json",
)


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_member_is_one_finding_under_its_name(pack: Path, member: str, how: str):
    DAMAGE[how](pack / member)
    if member == "pack.json" and how in ("deleted", "a folder"):
        with pytest.raises(ArtifactError, match="expected a results tree"):
            audit(PACK)
        return
    report = look()
    assert [finding.kind for finding in report.findings] == ["pack"]
    # A bit of the record may be one of another member's hash.
    assert name_files(report) == {member} or (member, how) == ("pack.json", "flipped")
    assert report.root_hash == "unknown"
    with pytest.raises(ArtifactError):
        unpack_study(pack, Path("tree"))
    assert not Path("tree").exists()


def reindex(member: str) -> None:
    """Make pack.json fit a member that was changed, as whoever wants to hide it would."""
    index = read_json(PACK / "pack.json")
    index["members"][member] = hashlib.sha256((PACK / member).read_bytes()).hexdigest()
    write_json(PACK / "pack.json", index)


def rewrite(member: str, change: Callable[[pa.Table], pa.Table]) -> None:
    table = parquet.read_table(PACK / member)
    parquet.write_table(change(table), PACK / member)
    reindex(member)


def swap_rows(table: pa.Table) -> pa.Table:
    return table.take([1, 0, *range(2, len(table))])


def drop_row(table: pa.Table) -> pa.Table:
    return table.slice(1)


def set_response(table: pa.Table) -> pa.Table:
    column = table.column_names.index("response")
    texts = ["another answer", *table["response"].to_pylist()[1:]]
    return table.set_column(column, "response", pa.array(texts))


@pytest.mark.parametrize("change", [swap_rows, drop_row, set_response])
def test_rows_that_were_changed_show_in_their_own_file(pack: Path, change: Callable):
    rewrite("generations.parquet", change)
    report = look()
    assert [finding.kind for finding in report.findings] == ["changed"]
    assert name_files(report) == {"generations/toy/base/seed0/benign.jsonl"}
    with pytest.raises(
        ArtifactError, match=r"benign\.jsonl of the study: expected sha256 .* as its sidecar says"
    ):
        unpack_study(pack, Path("tree"))


def edit_sidecar(seal: Callable[[dict], dict]) -> Callable[[pa.Table], pa.Table]:
    """Give a score's sidecar another seed."""

    def change(table: pa.Table) -> pa.Table:
        names, texts = table["file"].to_pylist(), table["content"].to_pylist()
        place = names.index("scores/toy/sft/seed0.provenance.json")
        record = seal(json.loads(texts[place]) | {"seed": 7})
        texts[place] = json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
        return table.set_column(table.column_names.index("content"), "content", pa.array(texts))

    return change


@pytest.mark.parametrize(("seal", "kind"), [(lambda record: record, "sidecar"), (seal_record, "root hash")])
def test_an_edited_sidecar_shows(pack: Path, seal: Callable, kind: str):
    rewrite("sidecars.parquet", edit_sidecar(seal))
    assert kind in {finding.kind for finding in look().findings}


def test_a_tensor_that_was_changed_shows_in_its_own_file(pack: Path):
    path = pack / "directions.safetensors"
    with safe_open(path, "np") as handle:
        metadata = handle.metadata()
    tensors = load_file(path)
    name = "directions/toy/sft/seed1/directions.safetensors"
    tensors[f"{name}:v_ref"] = -tensors[f"{name}:v_ref"]
    save_file(tensors, path, metadata)
    reindex("directions.safetensors")
    assert name_files(look()) == {name}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("extra.csv", "extra.csv"),
        ("evil.parquet", "evil.parquet"),
        ("figures/figure2.png", "figures/figure2.png"),
        ("scores/toy/sft/seed0/more.csv", "scores/toy/sft/seed0/more.csv"),
    ],
)
def test_an_added_file_is_a_finding(pack: Path, name: str, found: str):
    (pack / name).parent.mkdir(parents=True, exist_ok=True)
    (pack / name).write_text("x")
    report = look()
    assert [finding.kind for finding in report.findings] == ["orphan"] and name_files(report) == {found}


def test_a_plain_file_may_not_stand_in_for_a_packed_one(pack: Path):
    (pack / SCORES).parent.mkdir(parents=True)
    (pack / SCORES).write_text("x")
    (finding,) = look().findings
    assert finding.kind == "pack" and SCORES in finding.found


@pytest.mark.parametrize("name", ["tables/all.csv", "figures/figure1.png", "kept.json", "root_hash.json"])
@pytest.mark.parametrize("how", ["edited", "deleted"])
def test_plain_files_are_checked_too(pack: Path, name: str, how: str):
    path = pack / name
    path.unlink() if how == "deleted" else path.write_bytes(path.read_bytes() + b" ")
    assert look().findings


ESCAPES = ["../../evil.json", "/tmp/evil.json", "a/../../evil.json", ".git/config", "a\\b", "a:b", "x\n", ""]


@pytest.mark.parametrize("name", ESCAPES)
def test_names_that_lead_out_of_the_tree_are_refused(pack: Path, name: str):
    rewrite(
        "documents.parquet",
        lambda table: table.set_column(0, "file", pa.array([name, *table["file"].to_pylist()[1:]])),
    )
    (finding,) = look().findings
    assert finding.kind == "pack" and "relative paths of files in their folder" in finding.expected


ODD_INDEX = [
    "[]",
    "{}",
    "nonsense",
    '{"format": 2, "members": {}}',
    '{\n "format": 1,\n "members": {\n  "../evil": "x"\n }\n}\n',
    '{\n "format": 1,\n "members": {\n  "generations.parquet": 7\n }\n}\n',
    '{"format": 1, "members": []}',
]


@pytest.mark.parametrize("text", ODD_INDEX)
def test_a_record_of_another_form_is_a_finding(pack: Path, text: str):
    (pack / "pack.json").write_text(text)
    (finding,) = look().findings
    assert finding.file == str(pack / "pack.json") and finding.expected == "the record of a packed study"


@pytest.mark.parametrize("member", ["sidecars.parquet", "generations.parquet", "directions.safetensors"])
@pytest.mark.parametrize("data", [b"", b"PAR1", b"x" * 100, b"\x10" + b"\0" * 7 + b'{"a": {"b": 1}} '])
def test_a_member_of_another_form_with_its_hash_is_a_finding(pack: Path, member: str, data: bytes):
    (pack / member).write_bytes(data)
    reindex(member)
    (finding,) = look().findings
    assert finding.file == str(pack / member) and finding.expected == "a member that can be read"


def test_a_parquet_file_of_others_is_a_finding(pack: Path):
    parquet.write_table(pa.table({"a": [1]}), pack / "scores.parquet")
    reindex("scores.parquet")
    assert name_files(look()) == {"scores.parquet"}


ODD_FILES = {
    "generations/a/rows.jsonl": '{"a": 1, "b": null}\n{"b": 2.5, "c": [1, {"z": "\u2028"}]}\n',
    "generations/a/numbers.jsonl": '{"x": 1e-05}\n{"x": -0.0}\n{"x": 1.0}\n{"x": 12345678901234567890123}\n',
    "generations/a/mixed.jsonl": '{"x": true}\n{"x": 1}\n{"x": "1"}\n{}\n',
    "generations/a/quotes.jsonl": '{"x": "a \\"quoted\\" \\\\ \\n é 🙂"}\n',
    "generations/a/spaced.jsonl": '{"x":1}\n',
    "generations/a/unsorted.jsonl": '{"b": 1, "a": 2}\n',
    "generations/a/file.jsonl": '{"file": "x"}\n',
    "generations/a/empty.jsonl": "",
    "generations/a/blank.jsonl": "\n",
    "generations/a/cut.jsonl": '{"x": 1',
    "generations/a/crlf.jsonl": '{"x": 1}\r\n',
    "scores/a/outcomes.csv": 'id,text\n1,"a,b"\n2,"say ""x""\nand on"\n3,\n',
    "scores/b/outcomes.csv": "text,id,more\na,1,x\n",
    "scores/c/outcomes.csv": "id,text\n",
    "scores/d/outcomes.csv": "id,id\n1,2\n",
    "scores/e/outcomes.csv": "id,text\n1\n",
    "scores/f/outcomes.csv": 'id\n""\nx\n',
    "scores/g/outcomes.csv": '"id",text\n1,2\n',
    "scores/h/outcomes.csv": "id,text\r\n1,2\r\n",
    "tables/a.tex": "\\x\n",
}


def test_files_of_every_kind_come_back(tmp_path: Path):
    """Those that no table can hold too: written otherwise than this project writes, cut, or no text at all."""
    files = {name: text.encode() for name, text in ODD_FILES.items()}
    tensors = {"a": np.arange(6, dtype=np.float16).reshape(2, 3), "b": np.array(1), "c": np.zeros((0, 2))}
    for number, metadata in enumerate([None, {"k": "v"}, {}]):
        save_file(tensors, tmp_path / "x", metadata)
        files[f"directions/{number}/directions.safetensors"] = (tmp_path / "x").read_bytes()
        files[f"trajectories/{number}/t.safetensors"] = (tmp_path / "x").read_bytes()
    whole = files["trajectories/0/t.safetensors"]
    files |= {"directions/odd/directions.safetensors": whole + b"more", "trajectories/odd.safetensors": b"x"}
    files |= {"documents/binary": bytes(range(256)), "documents/text": b"x"}
    (tmp_path / "pack").mkdir()
    write_pack(files, tmp_path / "pack")
    assert dict(read_pack(tmp_path / "pack")) == files
    documents = parquet.read_table(tmp_path / "pack/documents.parquet")["file"].to_pylist()
    assert "generations/a/rows.jsonl" not in documents and "generations/a/spaced.jsonl" in documents
    assert "directions/1/directions.safetensors" not in documents
    again = tmp_path / "again"
    again.mkdir()
    write_pack(dict(reversed(files.items())), again)
    assert (again / "pack.json").read_bytes() == (tmp_path / "pack/pack.json").read_bytes()


def test_a_pack_that_would_give_other_bytes_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever a form does: what was written is read again before it counts."""
    broken = pack_forms.FILES._replace(decode=lambda data: {"a": b"other"})
    monkeypatch.setitem(reference_pack.ROUTES, reference_pack.ANYTHING, (broken, "*"))
    with pytest.raises(ArtifactError, match="expected a as it is; found other bytes"):
        write_pack({"a": b"x"}, tmp_path)
