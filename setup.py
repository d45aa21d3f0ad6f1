"""What pyproject.toml cannot say: a built package carries the profiles and the workflow, which lie beside it here."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("Snakefile", "config", "profiles", "workflow")


class BuildWithProfiles(build_py):
    """Copy them to harc/shipped in what is built; an editable install reads them in place."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "harc" / "shipped"
        for name in SHIPPED:
            if Path(name).is_dir():
                shutil.copytree(name, target / name, dirs_exist_ok=True)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(name, target / name)


setup(cmdclass={"build_py": BuildWithProfiles})
