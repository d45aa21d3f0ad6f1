"""What a run cost: sums per step, and energy that is not readable is not zero. Sizes of models for the scale table."""

import pytest
from fixtures.results_tree import BACKBONES, make_results_tree, view_tree
from tiny_models import build_model

from harc.results.printer import render_csv, render_latex
from harc.results.tables.compute import build_compute
from harc.results.tables.scale import build_scale, count_parameters, format_size, read_size
from harc.settings.analysis import AnalysisSettings


def make_record(step: str, seconds: float, memory: float, joules: float | None) -> dict:
    return {
        "command": f"harc step {step} --profile toy",
        "wall_seconds": seconds,
        "peak_memory_mb": memory,
        "device": {"type": "cpu", "threads": 1},
        "energy": {"cpu_joules": joules, "gpu_joules": None},
    }


def test_jobs_of_a_step_add_up_and_unread_energy_is_said():
    records = [make_record("score", 3, 70, 5.0), make_record("train_adapter", 30, 900, None)]
    table = build_compute(
        {"train_adapter": records[1:], "score": [records[0], make_record("score", 1, 80, 7.0)]}
    )
    rows = {row["step"]: row for row in table.records}
    assert list(rows) == ["train_adapter", "score", "all steps"]
    score = rows["score"]
    assert (score["jobs"], score["wall_seconds"], score["mean_seconds"], score["peak_memory_mb"]) == (
        2,
        4,
        2,
        80,
    )
    assert score["cpu_joules"] == 12.0 and rows["all steps"]["cpu_joules"] is None
    text = render_latex(table)
    assert "processors (RAPL) and GPUs (NVML)" in text and "no part in the root hash" in text
    assert render_csv(table).splitlines()[-1].startswith("all steps,3,34,")


def test_no_records_are_a_table_that_says_so():
    table = build_compute({})
    assert "no records" in render_latex(table) and table.records == []


@pytest.mark.parametrize(("family", "tied"), [("Llama", False), ("Llama", True), ("Qwen2", False)])
def test_parameters_are_those_of_the_model(family: str, tied: bool):
    model = build_model(family, tie_word_embeddings=tied)
    assert count_parameters(model.config.to_dict()) == sum(part.numel() for part in model.parameters())


def test_sizes_that_names_state():
    sizes = {"llama3.1-70b": 70e9, "smollm2-135m": 135e6, "qwen2.5-1.5b": 1.5e9, "organism-qwen2": None}
    assert {name: read_size(name) for name in sizes} == sizes
    assert [format_size(size) for size in (1_366_000, 70e9, None)] == ["1.4M", "70B", "n/a"]
    assert count_parameters({"model_type": "gemma"}) is None


def test_what_no_profile_ran_is_a_column_with_a_footnote(tmp_path):
    tree = make_results_tree(tmp_path / "mine" / "results", backbones=BACKBONES[:1], prompts=4)
    other = tmp_path / "smol" / "tables" / "table1.csv"
    other.parent.mkdir(parents=True)
    other.write_text(
        "backbone,method,seeds,mean_asr,mean_asr_low,mean_asr_high,mean_asr_n\nllama3.1-8b,harc,1,0.25,0.1,0.4,16\n"
    )
    table = build_scale(
        view_tree(
            tree,
            backbones=[BACKBONES[0]],
            methods=["base", "harc"],
            settings=AnalysisSettings(scale_tables=[other]),
        )
    )
    rows = {(row["model"], row["method"]): row for row in table.records}
    assert rows["llama3.1-8b", "harc"]["tested"] and rows["llama3.1-8b", "harc"]["profile"] == "smol"
    assert not rows["qwen2.5-72b", "base"]["tested"]
    text = render_latex(table)
    assert "n/a$^\\dagger$" in text and "none of llama3.1-70b, qwen2.5-7b, qwen2.5-72b was run" in text
    assert "From other profiles that have run: smol." in text
