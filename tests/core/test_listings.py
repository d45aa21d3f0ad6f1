"""Listings of pulled folders: whatever path one holds, nothing is written outside its folder."""

import hashlib
import json

import pytest

from harc.core.errors import DataError
from harc.core.listings import check_names, find_clash, find_name_fault, parse_listing

MD5 = "0" * 32


def make_listing(names, **more) -> tuple[bytes, str]:
    data = json.dumps([{"md5": MD5, "relpath": name, **more} for name in names]).encode()
    return data, f"{hashlib.md5(data).hexdigest()}.dir"


@pytest.mark.parametrize(
    "name",
    [
        "../../../harc/core/errors.py", "..", "a/../../b", "a/..", "/etc/passwd", "//host/share", "~/../x/..",
        "..\\..\\x", "a\\b", "C:/x", "C:x", "a:stream", "a\0b", "a\nb", "a\x1b[2Jb", "\u202ea", "", "a//b", "a/", "./a",
        ".", ".git/hooks/post-checkout", "a/.git/config", ".snakemake/metadata/x", "a/.hidden", "a./b", "a /b", "a.",
        "\ud800", "x" * 256, "a/" * 2500 + "a", None, 7, ["a"],
    ],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(name):
    assert find_name_fault(name) is not None
    data, md5 = make_listing(["good/file.csv", name])
    with pytest.raises(DataError, match="expected (relative paths of files in their folder|JSON)"):
        parse_listing(data, md5)


@pytest.mark.parametrize(
    "name",
    ["a", "scores/organism-llama/harc/seed0/scores.csv", "tables/naïve table.csv", "x" * 255, "a..b/c"],
)
def test_a_path_of_a_result_is_not(name):
    data, md5 = make_listing([name])
    assert parse_listing(data, md5) == {name: MD5}


@pytest.mark.parametrize(
    "names",
    [
        ("a", "a"), ("a/B", "a/b"), ("A/x", "a/y"), ("caf\u00e9", "cafe\u0301"), ("stra\u00dfe", "STRASSE"),
        ("a", "a/b"), ("a/b", "a"), ("A", "a/b"), ("\ufb01le", "file"),
    ],
)  # fmt: skip
def test_names_that_are_one_file_on_some_systems_are_refused(names):
    with pytest.raises(DataError, match="expected each file once"):
        check_names(names, "listing")


def test_names_apart_do_not_clash():
    assert find_clash(["a/b", "a/c", "ab", "b/a/c"]) is None


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"{}", "something else"),
        (b"\xff", "decode byte"),
        (b"[" * 100_000, "nested too deep"),
        (b'[{"md5": "../../../../x", "relpath": "a"}]', "something else"),
        (b'[{"md5": 1, "relpath": "a"}]', "something else"),
        (b'[{"relpath": "a"}]', "something else"),
        (b'[{"md5": "%s", "md5": "%s", "relpath": "a"}]' % (b"0" * 32, b"1" * 32), "given twice"),
        (make_listing(["a"], isexec=True)[0], "something else"),
    ],
)  # fmt: skip
def test_a_listing_of_another_form_is_refused(data, found):
    with pytest.raises(DataError, match=found):
        parse_listing(data, f"{hashlib.md5(data).hexdigest()}.dir")


def test_bytes_of_another_name_are_refused():
    data, _ = make_listing(["a"])
    with pytest.raises(DataError, match="expected bytes with MD5 0{32}; found MD5"):
        parse_listing(data, f"{MD5}.dir")
