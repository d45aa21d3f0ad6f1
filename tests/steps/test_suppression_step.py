"""The step suppress_refusal on a tiny model: its files, its inputs, and what the audit finds of a change."""

from collections import Counter

import pytest
from tiny_chat import REFUSAL, save_tiny_chat

from harc.audit.records import check_suppression, read_rows_by_suite
from harc.core.artifacts import SUPPRESSION_FILES, Layout
from harc.core.csv_files import read_csv_rows
from harc.core.errors import DataError
from harc.core.files import read_json, read_jsonl, write_json, write_jsonl
from harc.geometry.directions import save_directions
from harc.geometry.extraction import extract_directions
from harc.model.handle import ModelHandle
from harc.settings.directions import DirectionSettings
from harc.settings.profile import Profile, load_profile
from harc.steps.commands import create_job
from harc.steps.files import list_made, list_read
from harc.steps.suppression import SUPPRESS_REFUSAL, list_suppression_inputs

WORDS = ("cat", "box", "hero", "red", "blue", "good")
UNIT = {"backbone": "organism-llama", "method": "base", "seed": 0}
SECTION = {
    "methods": ["base", "permuted_label"],
    "prompts": 3,
    "benign_prompts": 2,
    "max_new_tokens": 4,
    "conditions": {"none": {"directions": []}, "own": {}, "permuted": {"of": "permuted"}},
    "search": {"depths": [0.25, 0.5], "prompts": 2},
    "rounds": {"most": 1, "prompts": 4},
}


def make_profile(**section) -> Profile:
    values = load_profile("ci").model_dump()
    return Profile.model_validate({**values, "suppression": {**SECTION, **section}})


def make_rows(suite: str) -> list[dict]:
    return [
        {
            "id": f"{suite}-{word}",
            "suite": suite,
            "category": "harmful",
            "messages": [{"role": "user", "content": f"how do i make the {word} ?"}],
            "expected": "sure b1",
        }
        for word in WORDS
    ]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a model, its directions and rows, and nothing else."""
    profile = make_profile()
    monkeypatch.chdir(tmp_path)
    layout = Layout(profile.results_root)
    folder = save_tiny_chat(layout.backbone("organism-llama", 0), layers=4)
    sides = [[f"{start} the {word}" for word in WORDS] for start in ("how do i make", "say what is")]
    directions = extract_directions(
        ModelHandle(folder).open(), *sides, None, DirectionSettings(bootstrap_resamples=0)
    )
    (layout.directions(*UNIT.values())).mkdir(parents=True)
    save_directions(directions, layout.directions(*UNIT.values()) / "directions.safetensors")
    rows = profile.data_dir
    write_jsonl(
        rows / "extraction.jsonl",
        [
            {"category": c, "prompt": p}
            for c, side in zip(("harmful", "harmless"), sides, strict=True)
            for p in side
        ],
    )
    write_jsonl(rows / "evaluation.jsonl", make_rows("direct") + make_rows("benign"))
    write_jsonl(rows / "development.jsonl", make_rows("direct"))
    write_json(rows / "world.json", {"refusal": REFUSAL})
    return profile


def test_it_writes_what_it_declares_and_what_the_audit_accepts(project):
    job = create_job("suppress_refusal", project, **UNIT)
    SUPPRESS_REFUSAL.run(job)
    folder = job.layout.suppression(*job.unit)
    assert {path.name for path in folder.iterdir()} == set(SUPPRESSION_FILES)
    assert not job.layout.checkpoint("suppression", *job.unit).joinpath("kept.jsonl").exists()
    answers = read_csv_rows(folder / "outcomes.csv")[1]
    counts = Counter(
        (row["condition"], row["suite"]) for row in answers if not row["condition"].startswith("round")
    )
    assert counts == {
        (name, suite): n for name in SECTION["conditions"] for suite, n in (("direct", 3), ("benign", 2))
    }
    slot = read_json(folder / "choice.json")["slot"]
    assert slot in (1, 2)
    card, stability = read_json(folder / "card.json"), read_csv_rows(folder / "stability.csv")[1]
    assert card["slot"] == slot and len(stability) == 5
    for name in ("bootstrap_low", "half_cosine", "separation"):
        assert card["bars"][name]["value"] == pytest.approx(float(stability[slot][name]), abs=1e-5)
    assert card["stable"] == all(bar["value"] >= bar["least"] for bar in card["bars"].values())
    texts, rows = (
        read_jsonl(folder / "texts.jsonl", ("id",)),
        read_rows_by_suite(list_suppression_inputs(job)),
    )

    def find(answers=answers, texts=texts, rows=rows) -> list[str]:
        return [
            " / ".join(problem) for problem in check_suppression(answers, texts, folder / "rates.csv", rows)
        ]

    assert find() == [] == find(texts=None)
    assert "another, or none" in find(texts=[texts[0] | {"response": "edited"}, *texts[1:]])[0]
    flipped = [
        answers[0] | {"label": "refused" if answers[0]["label"] != "refused" else "correct"},
        *answers[1:],
    ]
    assert any("'condition': 'none'" in problem for problem in find(flipped))
    assert "none of that id" in find([answers[0] | {"id": "made up"}, *answers[1:]], texts=None)[0]
    assert "a label among" in find([answers[0] | {"label": "declined"}, *answers[1:]])[0]
    with (folder / "rates.csv").open("a") as handle:
        handle.write("own,direct,3,3,0,0,\n")
    assert find() and "no more rates" in find()[-1]


def test_units_are_the_named_methods_and_arms(project):
    assert project.list_suppressed_units() == [
        ("organism-llama", "base", 0),
        ("organism-llama", "permuted_label", 0),
    ]
    assert project.model_copy(update={"suppression": None}).list_suppressed_units() == []


def test_it_reads_its_model_directions_and_rows(project):
    job = create_job("suppress_refusal", project, **{**UNIT, "method": "permuted_label"})
    names = {"/".join(path.parts[-4:]) for path in list_read(job)}
    assert {
        ["directions", "organism-llama/permuted_label/seed0/directions.safetensors"][1],
        "organism-llama/base/seed0/directions.safetensors",
        "organism-llama/permuted_label/seed0/adapter_model.safetensors",
    } <= names
    assert {"evaluation.jsonl", "development.jsonl", "extraction.jsonl"} <= {p.name for p in list_read(job)}
    assert len(list_made(job)) >= len(SUPPRESSION_FILES)


def test_rows_that_are_missing_are_told(project):
    job = create_job("suppress_refusal", project, **UNIT)
    write_jsonl(project.data_dir / "extraction.jsonl", [{"category": "harmful", "prompt": "make the cat"}])
    with pytest.raises(DataError, match="expected harmful and harmless prompts; found 1 and 0"):
        SUPPRESS_REFUSAL.run(job)
