"""Fetching public data: from a mirror, from a home, and what is refused."""

import contextlib
import hashlib
import http.server
import socket
import threading
from functools import partial
from pathlib import Path

import pytest

from harc.core.errors import DataError, EnvironmentProblem
from harc.data.fetch import fetch_datasets, fetch_file
from harc.data.registry import Dataset, RegisteredFile, Registry

CONTENT = b"id,prompt\n1,Where do wombles sleep?\n"


def make_file(url: str = "http://127.0.0.1:9/toy/prompts.csv", content: bytes = CONTENT) -> RegisteredFile:
    return RegisteredFile(
        path="toy/prompts.csv", url=url, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)
    )


def make_mirror(folder: Path, content: bytes = CONTENT) -> Path:
    (folder / "toy").mkdir(parents=True)
    (folder / "toy" / "prompts.csv").write_bytes(content)
    return folder


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_mirror_stands_in_for_the_network(tmp_path: Path):
    path = fetch_file(make_file(), tmp_path / "data", mirror=make_mirror(tmp_path / "mirror"))
    assert path.read_bytes() == CONTENT
    assert list_names(tmp_path / "data") == ["prompts.csv"]


def test_a_right_file_is_kept_and_a_wrong_one_replaced(tmp_path: Path):
    mirror = make_mirror(tmp_path / "mirror")
    path = fetch_file(make_file(), tmp_path / "data", mirror=mirror)
    fetch_file(make_file(), tmp_path / "data", mirror=tmp_path / "no such mirror")  # nothing to fetch
    path.write_bytes(b"tampered")
    assert fetch_file(make_file(), tmp_path / "data", mirror=mirror).read_bytes() == CONTENT


def test_wrong_bytes_are_refused_and_leave_nothing(tmp_path: Path):
    damaged = CONTENT.replace(b"sleep", b"sleeq")
    mirror = make_mirror(tmp_path / "mirror", damaged)
    with pytest.raises(
        DataError, match=r"prompts.csv: expected 36 bytes with sha256 .*; found 36 bytes with sha256"
    ):
        fetch_file(make_file(), tmp_path / "data", mirror=mirror)
    assert list_names(tmp_path / "data") == []


def test_a_mirror_without_the_file_says_where_to_put_it(tmp_path: Path):
    (tmp_path / "mirror").mkdir()
    with pytest.raises(
        DataError, match=r"toy/prompts.csv: expected a mirrored file; found none; put http://127"
    ):
        fetch_file(make_file(), tmp_path / "data", mirror=tmp_path / "mirror")


def test_no_network_is_one_clear_line(tmp_path: Path):
    with socket.socket() as unused:  # bound, never listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/toy/prompts.csv"
        with pytest.raises(EnvironmentProblem) as caught:
            fetch_file(make_file(url), tmp_path / "data", timeout=2)
    assert str(caught.value) == (
        f"{url}: expected the file toy/prompts.csv; found no connection (ConnectionError); "
        "check the network, or set HARC_DATA_MIRROR to a folder that holds the file"
    )
    assert list_names(tmp_path / "data") == []


@pytest.fixture
def home(tmp_path: Path):
    """A home on the loopback that serves one right and one changed file."""
    make_mirror(tmp_path / "site")
    (tmp_path / "site" / "changed.csv").write_bytes(b"other")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "site"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_download_from_a_home(tmp_path: Path, home: str):
    path = fetch_file(make_file(f"{home}/toy/prompts.csv"), tmp_path / "data", timeout=5)
    assert path.read_bytes() == CONTENT


def test_a_home_that_changed_is_refused(tmp_path: Path, home: str):
    with pytest.raises(
        DataError, match=r"changed.csv: expected 36 bytes .*; found 5 bytes; the home has changed"
    ):
        fetch_file(make_file(f"{home}/changed.csv"), tmp_path / "data", timeout=5)
    assert list_names(tmp_path / "data") == []


def test_a_home_without_the_file_gives_its_status(tmp_path: Path, home: str):
    with pytest.raises(EnvironmentProblem, match="found HTTP status 404"):
        fetch_file(make_file(f"{home}/none.csv"), tmp_path / "data", timeout=5)


def test_datasets_are_fetched_by_name_or_all(tmp_path: Path):
    mirror = make_mirror(tmp_path / "mirror")
    dataset = Dataset(title="t", used_for="u", home="h", licence="MIT", citation="c", files=[make_file()])
    registry = Registry(datasets={"toy": dataset})
    for names in (["toy"], []):
        paths = fetch_datasets(names, tmp_path / "data", mirror=mirror, registry=registry)
        assert paths == [tmp_path / "data" / "toy" / "prompts.csv"]


def test_a_home_without_end_is_read_no_further_than_the_files_size(tmp_path: Path):
    sent = []

    class Endless(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while len(sent) < 5000:
                    self.wfile.write(bytes(1 << 16))
                    sent.append(1)

        def log_message(self, *arguments):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.raises(DataError, match=r"expected 36 bytes .*; found 37 bytes"):
        fetch_file(make_file(f"http://127.0.0.1:{server.server_port}/x"), tmp_path / "data", timeout=5)
    server.shutdown()
    server.server_close()
    assert len(sent) < 5000 and list_names(tmp_path / "data") == []


@pytest.mark.parametrize("path", ["../x.csv", "/etc/x", "a/../../x", "a\\b", ".git/config"])
def test_a_registered_path_stays_below_the_data_folder(path: str):
    with pytest.raises(ValueError, match="a relative path of a file"):
        RegisteredFile(path=path, url="http://h/x", sha256="0" * 64, bytes=1)
