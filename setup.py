"""What setup.cfg cannot say: an installed encamp has ``templates/`` in ``encamp/templates``."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithTemplates(build_py):
    """Copies the templates into the wheel; an editable install reads them where they are."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "encamp", "templates")
            shutil.rmtree(target, ignore_errors=True)  # of an earlier build
            shutil.copytree("templates", target, ignore=shutil.ignore_patterns("__pycache__"))


setup(cmdclass={"build_py": BuildWithTemplates})
