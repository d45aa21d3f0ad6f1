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

from jaxtyping import install_import_hook

# Every annotation in harc is checked while tests run: tensor shapes and dtypes, and plain types too.
install_import_hook("harc", "strict_types.check")
