"""Settings for the whole suite: type and shape checks on, one thread, no network, no hub."""

import os
import re
import sys
from pathlib import Path

# The hundreds of processes that tests start would each compile harc anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.update(
    OMP_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    DVC_NO_ANALYTICS="1",
    MPLBACKEND="Agg",
)

import pytest
import strict_types

sys.dont_write_bytecode = False
# Every annotation in harc is checked while tests run: tensor shapes and dtypes, and plain types too.
strict_types.install()


# What is made once a process and takes longest, longest first; the tests that ask for one of these run in one process.
SHARED = ("finished", "plans", "rebuilt")


def list_shares(path: Path) -> list[str]:
    """Those of SHARED that the functions of a test file ask for."""
    text = path.read_text(encoding="utf-8")
    return [name for name in SHARED if re.search(rf"^def \w+\([^)]*\b{name}\b", text, re.MULTILINE)]


SHARES = {path: list_shares(path) for path in Path(__file__).parent.glob("workflow/test_*.py")}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With several processes (`-n`): a file stays together, and so do all that ask for the same of SHARED."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.partition("::")[0]
            return next(iter(SHARES.get(config.rootpath / path, [])), path)

    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_modifyitems(items):
    """What takes longest first."""
    items.sort(
        key=lambda item: [SHARED.index(name) for name in SHARES.get(item.path, [])[:1]] or [len(SHARED)]
    )
