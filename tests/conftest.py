"""Settings for the whole suite: type and shape checks on, one thread, no network, no hub."""

import os

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
from jaxtyping import install_import_hook

# Every annotation in harc is checked while tests run: tensor shapes and dtypes, and plain types too.
install_import_hook("harc", "strict_types.check")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """With several processes (`-n`): a file that names no group is one; what looks at the one whole run comes first."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            shared = "finished" in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("workflow" if shared else item.path.as_posix()))
    items.sort(key=lambda item: item.get_closest_marker("xdist_group").args[0] != "workflow")
