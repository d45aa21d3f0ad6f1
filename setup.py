"""What pyproject.toml cannot say: a built package carries the files of a study, which lie beside it here."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).parent))

from harc.core.shipped import copy_study_files


class BuildWithStudy(build_py):
    """Copy them to harc/shipped in what is built; an editable install reads them in place."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if not self.editable_mode:
            copy_study_files(Path(), Path(self.build_lib) / "harc" / "shipped")


setup(cmdclass={"build_py": BuildWithStudy})
