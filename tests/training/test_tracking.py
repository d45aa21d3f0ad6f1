"""Trackers: a missing package stops before any work, and a tracker that is there changes no byte."""

import sys
from pathlib import Path

import accelerate.tracking
import pytest
from accelerate.utils import LoggerType
from training.test_training_run import FILES, make_settings, train

from harc.core.errors import ConfigError
from harc.training import run

STUB = """
import json
from pathlib import Path

class Live:
    def __init__(self, dir, save_dvc_exp, report):
        assert save_dvc_exp is False and report is None
        self.path, self.step = Path(dir), None
        self.path.mkdir(parents=True)

    def log_metric(self, name, value):
        with (self.path / "metrics.jsonl").open("a") as handle:
            handle.write(json.dumps([self.step, name, value]) + "\\n")

    def next_step(self):
        self.step += 1

    def end(self):
        (self.path / "ended").touch()
"""


@pytest.mark.parametrize("tracker", ["tensorboard", "dvclive"])
def test_a_missing_package_is_said_before_any_work(
    tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    name = f"is_{tracker}_available"
    monkeypatch.setattr(f"accelerate.utils.{name}", lambda: False)
    monkeypatch.setattr(run, "extract_directions", lambda *_: pytest.fail("work began"))
    text = f"tracker: expected the package {tracker}; found none; run `pip install {tracker}`"
    with pytest.raises(ConfigError, match=text):
        train(tmp_path / "out", make_settings(tracker=tracker))
    assert not list(tmp_path.iterdir())


def test_a_tracker_changes_no_byte_of_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    site = tmp_path / "site"
    (site / "dvclive-3.0.dist-info").mkdir(parents=True)
    (site / "dvclive-3.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: dvclive\nVersion: 3.0\n"
    )
    (site / "dvclive").mkdir()
    (site / "dvclive/__init__.py").write_text(STUB)
    (site / "dvclive/plots.py").write_text(
        "class Metric:\n    could_log = staticmethod(lambda value: isinstance(value, (int, float)))\n"
    )
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(
        accelerate.tracking, "_available_trackers", [LoggerType.DVCLIVE]
    )  # found at its import
    train(tmp_path / "plain", make_settings())
    train(tmp_path / "tracked", make_settings(tracker="dvclive"))
    for name in FILES:
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "tracked" / name).read_bytes(), name
    lines = (tmp_path / "tracked.dvclive/metrics.jsonl").read_text().splitlines()
    assert sum('"total"' in line for line in lines) == 3
    assert (tmp_path / "tracked.dvclive/ended").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "site", "tracked", "tracked.dvclive"]
    for name in ("dvclive", "dvclive.plots"):
        sys.modules.pop(name, None)
