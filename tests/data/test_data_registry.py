"""The registry of public datasets: complete, pinned, and the same in the documentation."""

import os
import re
from pathlib import Path

import pytest
import yaml

from harc.core.errors import ConfigError
from harc.core.files import sha256_file
from harc.data.registry import Registry, load_registry, render_sources

ROOT = Path(__file__).parents[2]
FILES = [file for dataset in load_registry().datasets.values() for file in dataset.files]


def test_every_url_names_a_commit():
    assert len(FILES) == 25
    for file in FILES:
        assert re.match(r"https://raw\.githubusercontent\.com/[\w.-]+/[\w.-]+/[0-9a-f]{10,40}/", file.url), (
            file.url
        )


def test_paths_stay_below_their_dataset_and_are_unique():
    assert len({file.path for file in FILES}) == len(FILES)
    for name, dataset in load_registry().datasets.items():
        for file in dataset.files:
            assert Path(file.path).parts[0] == name
            assert ".." not in Path(file.path).parts


def test_every_dataset_has_licence_and_citation():
    for dataset in load_registry().datasets.values():
        assert dataset.licence
        assert re.search(r"arXiv:\d{4}\.\d{5}|\b20\d\d$", dataset.citation), dataset.citation


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"expected one of advbench, .*xstest; found 'advbnch'"):
        load_registry().find("advbnch")


@pytest.mark.parametrize("change", [{"sha256": "12"}, {"bytes": 0}, {"url": "ftp://x"}, {"sha265": "a" * 64}])
def test_a_bad_entry_is_refused(tmp_path: Path, change: dict):
    good = load_registry().model_dump()
    Registry.model_validate(good)
    good["datasets"]["advbench"]["files"][0] |= change
    path = tmp_path / "registry.yaml"
    path.write_text(yaml.safe_dump(good))
    with pytest.raises(
        ConfigError, match=f"registry.yaml: expected a registry of datasets; .*{next(iter(change))}"
    ):
        load_registry(path)


def test_documentation_holds_the_table_of_sources():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert render_sources(load_registry()).strip() in text, (
        "docs/data.md is stale: put the output of `harc data list --markdown` into it"
    )


@pytest.mark.skipif(
    "HARC_DATA_MIRROR" not in os.environ, reason="needs HARC_DATA_MIRROR, a folder of public data"
)
def test_the_mirror_holds_the_registered_bytes():
    for file in FILES:
        path = Path(os.environ["HARC_DATA_MIRROR"]) / file.path
        assert (path.stat().st_size, sha256_file(path)) == (file.bytes, file.sha256), file.path
