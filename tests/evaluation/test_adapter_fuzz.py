"""Whatever an adapter's files hold: the check ends with a report, never with a traceback, a hang or a pass for junk."""

import itertools
import json
import random
import shutil
from pathlib import Path

import pytest
from fixtures.hostile_models import ADAPTER, pack_header
from fixtures.tiny_adapters import save_adapter, save_base

from harc.evaluation.adapters import licences
from harc.evaluation.adapters.header import list_strict_entries
from harc.evaluation.adapters.report import check_adapter, format_report
from harc.evaluation.adapters.settings import PLAIN, SPECIAL, AdapterSettings

ODD = (
    None, True, False, 0, -1, 1, 4, 10**30, -(10**399), 0.5, -1e300, "", "q_proj", "\u202e\x1b[2J", "(",
    "a" * 5000, ".*", "../..", "\ud800", [], [[]], [1], ["q_proj"], [None], {}, {"": 1}, {"q_proj": 2}, {"(": 1},
    {"a": {"b": []}}, [0] * 50,
)  # fmt: skip
NAMES = (*AdapterSettings.model_fields, *PLAIN, *SPECIAL, "further", "__class__", "model_config")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return save_base(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return save_adapter(tmp_path_factory.mktemp("sound") / "adapter")


@pytest.fixture
def adapter(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "adapter"))


def check(adapter: Path, base: Path) -> dict:
    report = check_adapter(str(adapter), str(base))
    json.dumps(report, allow_nan=False).encode()
    assert format_report(report)
    statuses = {entry["status"] for entry in report["checks"]}
    assert statuses <= {"pass", "warn", "fail", "skip"}
    assert report["ok"] == ("fail" not in statuses)
    assert "skip" not in statuses or "fail" in statuses, "what could not be looked at is nowhere told"
    return report


@pytest.mark.parametrize("seed", range(4))
def test_settings_of_any_kind(seed, adapter, base):
    draw = random.Random(seed)
    path = adapter / "adapter_config.json"
    known = json.loads(path.read_text())
    for _ in range(60):
        changed = known | {draw.choice(NAMES): draw.choice(ODD) for _ in range(draw.randint(1, 3))}
        path.write_text(json.dumps(changed))
        check(adapter, base)


def mutate(draw: random.Random, data: bytes) -> bytes:
    """Some bytes changed, taken out or put in; the beginning more often, where lengths and the header lie."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 6)):
        place = (
            draw.randrange(len(changed)) if draw.random() < 0.3 else draw.randrange(min(len(changed), 1500))
        )
        match draw.randrange(3):
            case 0:
                changed[place] = draw.randrange(256)
            case 1:
                del changed[place : place + draw.randint(1, 9)]
            case _:
                changed[place:place] = draw.choice(
                    (b"0", b"-", b"9" * 20, b'"', b"{", b"]", b"\xff", b",", b"e9")
                )
    return bytes(changed)


@pytest.mark.parametrize("seed", range(4))
def test_bytes_of_any_kind(seed, adapter, base):
    draw = random.Random(seed)
    for name in (ADAPTER, "adapter_config.json", "README.md", "base_model.json"):
        path = adapter / name
        data = path.read_bytes() if path.exists() else b'{"model_type": "llama", "n_layers": 5}'
        for _ in range(25):
            path.write_bytes(mutate(draw, data))
            check(adapter, base)
        path.write_bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_headers_of_any_kind(seed, tmp_path):
    """A header passes only if its tensors fill the file, each byte once."""
    draw, path, passed = random.Random(seed), tmp_path / ADAPTER, 0
    numbers = (0, 1, 2, 4, 8, -1, 1 << 63, 1.5, True, None, "4")
    for _ in range(400):
        entries = {}
        end = 0
        for name in "abc"[: draw.randint(0, 3)]:
            size = 4 * draw.randint(0, 3)
            entries[name] = {"dtype": "F32", "shape": [size // 4], "data_offsets": [end, end + size]}
            end += size
            if draw.random() < 0.4:
                entries[name][draw.choice(("dtype", "shape", "data_offsets", "more"))] = draw.choice(
                    (*numbers, "F64", [draw.choice(numbers)], [draw.choice(numbers), draw.choice(numbers)])
                )
        body = bytes(end + draw.choice((0, 0, 0, 1, 4)))
        path.write_bytes(pack_header(entries, body))
        try:
            found = list_strict_entries(path)
        except ValueError as problem:
            assert "\n" not in str(problem)
            continue
        passed += 1
        spans = sorted(tuple(entry["data_offsets"]) for entry in found.values())
        assert spans[0][0] == 0 and spans[-1][1] == len(body)
        assert all(first[1] == second[0] for first, second in itertools.pairwise(spans))
    assert passed > 20


@pytest.mark.parametrize("seed", range(3))
def test_front_matter_of_any_kind(seed):
    draw = random.Random(seed)
    parts = (
        "---",
        "license: mit",
        "license:",
        "- a",
        "&x *x",
        "a: &a [*a]",
        "\x00",
        "\ufeff",
        "license: [mit]",
        "{",
        "# b",
    )
    for _ in range(400):
        card = "\n".join(draw.choice(parts) for _ in range(draw.randint(0, 6)))
        try:
            assert isinstance(licences.parse_front_matter(card), dict)
        except ValueError as problem:
            assert "front matter" in str(problem)


def test_the_fuzzers_would_see_a_traceback(adapter, base, monkeypatch):
    """The twin: a check that does not expect what it meets."""
    from harc.evaluation.adapters import checks

    check(adapter, base)
    monkeypatch.setattr(
        checks, "CHECKS", [("careless", lambda subject: ("pass", str(subject.adapter.config["r"] + 1)))]
    )
    path = adapter / "adapter_config.json"
    path.write_text('{"peft_type": "LORA", "r": "four"}')
    with pytest.raises(TypeError):
        check(adapter, base)
