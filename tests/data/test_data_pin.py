"""The committed dataset: manifest, DVC pin, embedded objects and generator say the same."""

import hashlib
import json
from pathlib import Path

import pytest

from harc.core.files import read_json, sha256_file
from harc.data.verify import build_manifest, read_pin
from harc.settings.profile import load_profile
from harc.world.corpora import build_world_data

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "config" / "data_manifest.json"


def find_object(md5: str) -> Path:
    return ROOT / "dvc-remote" / "files" / "md5" / md5[:2] / md5[2:]


def test_embedded_objects_are_the_manifests_files():
    pin = read_pin(ROOT / "data.dvc")
    listing = json.loads(find_object(pin["md5"]).read_text())
    found = {entry["relpath"]: sha256_file(find_object(entry["md5"])) for entry in listing}
    assert found == {name: entry["sha256"] for name, entry in read_json(MANIFEST)["files"].items()}
    objects = [path for path in (ROOT / "dvc-remote").rglob("*") if path.is_file()]
    assert len(objects) == len({entry["md5"] for entry in listing}) + 1, "dvc-remote holds more than the pin"
    for path in objects:
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        assert path.parent.name + path.name.removesuffix(".dir") == digest


def test_the_seed_gives_the_pinned_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    build_world_data(tmp_path / "organism", load_profile("organism").world)
    assert build_manifest(tmp_path / "organism") == read_json(MANIFEST), "run `make data` and commit the pin"
