"""Single flipped bits in sidecars and records: each is a finding, none a traceback; clean copies have none."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from fixtures.audited_tree import ROOT, audit, describe

from harc.audit import AuditReport, print_report
from harc.audit.report import render_page
from harc.audit.sidecars import Sidecar
from harc.audit.step_state import StepState, describe_step
from harc.core.files import encode_json, read_json

RECORDS = (".json", ".jsonl", ".csv")


def list_targets(sidecars: list[Path]) -> list[Path]:
    """Sidecars, and the records that they name as outputs in the tree."""
    named = {
        ROOT / name.removeprefix("results://")
        for sidecar in sidecars
        for name in read_json(sidecar)["outputs"]
        if name.startswith("results://")
    }
    return sorted({*sidecars, *(path for path in named if path.suffix in RECORDS)})


def flip(path: Path, generator: np.random.Generator) -> str:
    """Flip one bit; where, for the message of a failure."""
    data = bytearray(path.read_bytes())
    position, bit = int(generator.integers(len(data))), int(generator.integers(8))
    data[position] ^= 1 << bit
    path.write_bytes(data)
    return f"{path}, byte {position}, bit {bit}"


def look(known: set[str]) -> AuditReport:
    """An audit that meets a changed command with the project's own steps, and whose report is written and shown."""

    def describe_any(sidecar: Sidecar, root: Path) -> StepState:
        return (describe if sidecar.command in known else describe_step)(sidecar, root)

    report = audit(describe=describe_any)
    encode_json(report.as_json()).encode()
    render_page(report)
    print_report(report, io.StringIO())
    return report


def run_campaign(sound: Path, sidecars: list[Path], count: int, seed: int) -> tuple[int, int]:
    """Flips and findings: the file that was touched must be among those named."""
    targets, generator = list_targets(sidecars), np.random.default_rng(seed)
    known = {read_json(sidecar)["command"] for sidecar in sidecars}
    found = 0
    for number in range(count):
        path = targets[number % len(targets)]
        place = flip(path, generator)
        named = {finding.file for finding in look(known).findings}
        assert str(path) in named, f"{place}: only {named} named"
        found += 1
        shutil.copyfile(sound / path, path)
    assert look(known).findings == ()
    return count, found


def count_false_alarms(sound: Path, folder: Path, copies: int) -> int:
    """Findings in clean copies with other places and dates."""
    alarms = 0
    for number in range(copies):
        copy = folder / f"clean {number}"
        shutil.copytree(sound, copy)
        os.chdir(copy)
        for path in copy.rglob("*"):
            os.utime(path, (number, number))
        alarms += len(audit(recompute=number == 0).findings)
    return alarms


def test_a_flipped_bit_is_a_finding(sound: tuple[Path, list[Path]], tree: list[Path]):
    flips, found = run_campaign(sound[0], tree, 60, seed=0)
    assert flips == found == 60


@pytest.mark.slow
def test_a_thousand_flipped_bits_and_twenty_clean_copies(
    sound: tuple[Path, list[Path]], tree: list[Path], tmp_path: Path
):
    assert run_campaign(sound[0], tree, 1000, seed=1) == (1000, 1000)
    assert count_false_alarms(sound[0], tmp_path, 20) == 0
