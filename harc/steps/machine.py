"""The facts of this machine that a profile may ask for: GPU, memory, disk, instructions, network, caches."""

import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from harc.model.gguf_files import find_cache, is_cached
from harc.settings.backbones import GgufFile
from harc.settings.endpoints import LOOPBACK

GB = 1e9


@dataclass(frozen=True)
class Machine:
    """What there is; each fact is looked up only when a backbone asks for it.

    Attributes:
        folder: where results go; its disk is the one that counts.
        timeout: longest wait for the hub (seconds).
    """

    folder: Path
    timeout: float = 5.0

    @cached_property
    def gpu_memory_gb(self) -> list[float]:
        """Memory of every CUDA device that torch can use, GB."""
        import torch

        if not torch.cuda.is_available():
            return []
        count = torch.cuda.device_count()
        return [torch.cuda.get_device_properties(index).total_memory / GB for index in range(count)]

    @cached_property
    def torch_is_cpu_build(self) -> bool:
        """Whether the installed torch could not use a GPU if there were one."""
        import torch

        return torch.version.cuda is None and torch.version.hip is None

    @cached_property
    def memory_gb(self) -> float:
        """Main memory, GB."""
        import psutil

        return psutil.virtual_memory().total / GB

    @cached_property
    def disk_gb(self) -> float:
        """Free disk where results go, GB."""
        return self.measure_disk(self.folder)

    @cached_property
    def cache_disk_gb(self) -> float:
        """Free disk where the cache of GGUF files lies, GB."""
        return self.measure_disk(find_cache())

    @staticmethod
    def measure_disk(folder: Path) -> float:
        """Free disk at a folder that there may not be yet, GB."""
        import psutil

        folder = folder.absolute()
        while not folder.exists():
            folder = folder.parent
        return psutil.disk_usage(str(folder)).free / GB

    @cached_property
    def multiplies_bfloat16(self) -> bool:
        """Whether the CPU has instructions for products of bfloat16; without them they are slower than float32."""
        from harc.model.bfloat16 import multiplies_bfloat16

        return multiplies_bfloat16()

    @cached_property
    def has_token(self) -> bool:
        """Whether a hub token is set (HF_TOKEN, or `hf auth login`)."""
        from huggingface_hub import get_token

        return get_token() is not None

    @cached_property
    def is_offline(self) -> bool:
        """Whether the hub's library was told not to use the network."""
        from huggingface_hub import constants

        return bool(constants.HF_HUB_OFFLINE)

    @cached_property
    def reaches_hub(self) -> bool:
        """Whether the hub's address answers."""
        from huggingface_hub import constants

        return self.reaches(constants.ENDPOINT)

    @cached_property
    def reaches_index(self) -> bool:
        """Whether the package index answers that pip is configured for; yes where pip looks into folders too."""
        told = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
        ).stdout
        values = dict(re.findall(r"^[:\w-]+\.([\w-]+)='(.*)'$", told, re.MULTILINE))
        return "find-links" in values or self.reaches(values.get("index-url", "https://pypi.org/simple"))

    def has_gguf(self, file: GgufFile) -> bool:
        """Whether a GGUF file lies in the cache, or in the hub's."""
        from huggingface_hub import try_to_load_from_cache

        hub = file.hub
        return is_cached(file) or (
            hub is not None
            and isinstance(try_to_load_from_cache(hub.model_id, hub.filename, revision=hub.revision), str)
        )

    def reaches(self, url: str) -> bool:
        """Whether a url's server answers, or the proxy that stands before it."""
        parts = urlsplit(url)
        proxy = getproxies().get(parts.scheme)
        if proxy and parts.hostname not in LOOPBACK and not proxy_bypass(parts.hostname or ""):
            return self.reaches_directly(proxy)
        return self.reaches_directly(url)

    def reaches_directly(self, url: str) -> bool:
        """Whether a url's own server answers."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname, port), timeout=self.timeout).close()
        except OSError:
            return False
        return True

    def is_cached(self, model_id: str, revision: str) -> bool:
        """Whether the model's weights lie in the hub's cache."""
        from huggingface_hub import try_to_load_from_cache

        names = ("model.safetensors", "model.safetensors.index.json")
        return any(
            isinstance(try_to_load_from_cache(model_id, name, revision=revision), str) for name in names
        )

    def has_dataset(self, name: str) -> bool:
        """Whether anything of a dataset lies in the hub's cache."""
        from huggingface_hub import constants

        return (Path(constants.HF_HUB_CACHE) / f"datasets--{name.replace('/', '--')}" / "snapshots").is_dir()
