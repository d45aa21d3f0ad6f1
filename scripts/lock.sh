#!/usr/bin/env bash
# lock.sh BIN: resolve pyproject.toml (with the dev extra) into requirements.lock, keeping what still fits.
set -euo pipefail
bin=$1
"$bin/python" -m pip install --quiet --disable-pip-version-check pip-tools==7.6.2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A resolution done on a machine with the CPU build of torch says "+cpu"; the lock must also fit the other builds.
sed 's/^\(torch==[0-9.]*\)+cpu/\1/' requirements.lock >"$work/requirements.lock"
cp pyproject.toml "$work"
mkdir "$work/harc"
cp harc/__init__.py "$work/harc"  # the version
(cd "$work" && "$OLDPWD/$bin/pip-compile" --quiet --extra dev --strip-extras --allow-unsafe --annotation-style line \
  --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock pyproject.toml)
{
  cat <<'HEADER'
# Every package of the environment, resolved from pyproject.toml by `make lock`. Do not edit by hand.
# No CUDA packages: torch is installed first (scripts/install_torch.sh) and brings its own where there is a GPU.
# No hashes: pip wants them for all packages or none, and torch's differ between the CPU and the CUDA build of one
# version; what the study's numbers depend on is pinned by version here and recorded in every provenance sidecar.
HEADER
  grep -v -i -E '^(nvidia-|cuda-|triton)' "$work/requirements.lock" | sed 's/^\(torch==[0-9.]*\)+cpu/\1/'
} >"$work/new"
mv "$work/new" requirements.lock
