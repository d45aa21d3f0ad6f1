#!/usr/bin/env bash
# install_torch.sh PYTHON VERSION: put torch into the environment that PYTHON belongs to.
#
# On Linux PyPI's torch brings several GB of CUDA packages. Where there is no NVIDIA driver the CPU build does the same
# work, so it is taken from PyTorch's own index if that answers; otherwise from wherever pip is set up to look.
set -euo pipefail
python=$1 version=$2
index=https://download.pytorch.org/whl/cpu

if "$python" -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '$version')" 2>/dev/null; then
  exit 0
fi
from=()
if [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null &&
  "$python" -c "import urllib.request; urllib.request.urlopen('$index/', timeout=5)" 2>/dev/null; then
  # Its dependencies come from the lock: that index carries only some of them.
  from=(--index-url "$index" --no-deps)
fi
exec "$python" -m pip install -qq --disable-pip-version-check ${from[@]+"${from[@]}"} "torch==$version"
