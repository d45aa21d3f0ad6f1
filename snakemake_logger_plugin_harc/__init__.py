"""Snakemake's messages for people: one line per finished job with what is left, problems in full.

Dry runs, `--printshellcmds`, `--verbose` and `--debug-dag` ask for detail: they get Snakemake's own format.
"""

import logging
import time
from typing import Any

from snakemake.logging import DefaultFormatter, get_event
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from harc.core.terminal import show


def describe_job(rule: str, wildcards: dict) -> str:
    """Name a job by its rule and the values that tell it from its siblings."""
    values = (f"seed{value}" if name == "seed" else str(value) for name, value in wildcards.items())
    return " ".join([rule, *values])


def format_finished_job(name: str, seconds: float, done: int, total: int) -> str:
    """One line: how far the run is, which job ended, how long it took, how many are left."""
    return f"[{done:>{len(str(total))}}/{total}] {name}  {seconds:.0f} s, {total - done} left"


class LogHandler(LogHandlerBase):
    """Writes to standard error; state is only the jobs now running."""

    def __post_init__(self) -> None:
        """Choose between the short form and Snakemake's own."""
        settings = self.common_settings
        self._detailed = any((settings.dryrun, settings.printshellcmds, settings.verbose, settings.debug_dag))
        self._default = DefaultFormatter(settings.quiet, settings.show_failed_logs)
        self._running: dict[int, tuple[str, float]] = {}
        self._finished: list[tuple[str, float]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Print what a person needs of one record, or nothing."""
        text = self._default.format(record) if self._detailed else self._summarise(record)
        if text:
            show(text, err=not self.common_settings.stdout)

    def _summarise(self, record: Any) -> str | None:
        event = get_event(record)
        if event == LogEvent.JOB_INFO:
            self._running[record.jobid] = (describe_job(record.rule_name, record.wildcards), time.monotonic())
        elif event == LogEvent.JOB_FINISHED:
            name, started = self._running.pop(record.job_id, (f"job {record.job_id}", time.monotonic()))
            self._finished.append((name, time.monotonic() - started))
        elif event == LogEvent.PROGRESS:
            jobs, self._finished = self._finished, []
            first = record.done - len(jobs) + 1
            return "\n".join(
                format_finished_job(name, seconds, first + index, record.total)
                for index, (name, seconds) in enumerate(jobs)
            )
        elif event in (LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR):
            return self._describe_failure(record)
        elif record.levelno >= logging.WARNING:
            return record.getMessage()
        return None

    def _describe_failure(self, record: logging.LogRecord) -> str:
        name, _ = self._running.get(getattr(record, "jobid", -1), (record.getMessage(), 0.0))
        logs = ", ".join(map(str, getattr(record, "log", None) or []))
        return f"failed: {name}" + (f" (the message above, and in {logs})" if logs else "")

    @property
    def writes_to_stream(self) -> bool:
        """The only handler of the terminal."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake keeps its own full log under .snakemake/log."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's filter would hide nothing that the short form shows."""
        return self._detailed is False

    @property
    def has_formatter(self) -> bool:
        """Formats by itself."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """No."""
        return False
