"""Settings for the whole suite: type and shape checks on, one thread, no network, no hub."""

import os
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


# Tests that look at the one whole run of a profile, which is made once a process.
WHOLE_RUN = {
    path.name for path in Path(__file__).parent.glob("workflow/test_*.py") if "finished" in path.read_text()
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With several processes (`-n`): a file stays together, and so do all that look at the whole run."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.partition("::")[0]
            return "the whole run" if Path(path).name in WHOLE_RUN else path

    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_modifyitems(items):
    """The whole run first: it takes longest."""
    items.sort(key=lambda item: item.path.name not in WHOLE_RUN)
