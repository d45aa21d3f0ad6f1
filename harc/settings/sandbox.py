"""Settings of the sandbox that generated code runs in."""

from pydantic import Field

from harc.settings.base import Settings


class SandboxSettings(Settings):
    """Limits of one run of generated code, and whether it may ever run without the sandbox."""

    seconds: float = Field(
        10.0,
        gt=0,
        le=86_400,
        description="Longest run, seconds, before everything in it is killed; code_eval: 3.",
    )
    memory_mb: int = Field(
        1024, ge=64, description="Address space of each process, MB; own choice: Python itself maps about 30."
    )
    processes: int = Field(
        8, ge=1, description="Processes and threads at a time; own choice: no task needs more than one."
    )
    file_mb: int = Field(8, ge=1, description="Largest file that may be written, MB; own choice.")
    scratch_mb: int = Field(32, ge=1, description="Size of the private /tmp, MB; own choice.")
    allow_unsandboxed: bool = Field(
        False,
        description="Run generated code with limits only, where bubblewrap is missing: it can then read and write what "
        "this account can, and use the network. For machines that are thrown away.",
    )
