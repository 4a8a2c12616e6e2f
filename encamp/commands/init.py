"""``encamp init``: make a site, from the files in ``encamp/skeleton``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import encamp
from encamp.errors import UsageError
from encamp.support.checkout import PACKAGE

#: Not the checkout's own files, which are an operator's to edit: no release and no new site may hold their hosts.
SKELETON = PACKAGE / "skeleton"
FILES = ("fabfile.py", "fabric.yaml", "inventory/hosts.yml", "inventory/group_vars/all.yml", ".gitignore")
INVENTORY = "inventory/"
#: Stands in the skeleton for the version of the encamp that makes a site.
VERSION = "VERSION"


def init(directory: str) -> int:
    """Make a site in ``directory``; an ``inventory/`` that is there, of Ansible's or our own, is the site's.

    Returns the exit code; raises UsageError for an option, where another file exists, or one cannot be made.
    """
    if directory.startswith("-"):
        raise UsageError(f"init has no option {directory}", "name a folder: encamp init my-site")
    folder = Path(directory)
    has_inventory = _holds_files(folder / INVENTORY)
    files = {name: text for name, text in skeleton().items() if not (has_inventory and name.startswith(INVENTORY))}
    existing = [name for name in files if (folder / name).exists()]
    if existing:
        raise UsageError(f"{folder} already has {', '.join(existing)}", "choose another folder")
    for name, content in files.items():
        _create(folder / name, content)
    print(f"Created a site in {folder.resolve()}: {', '.join(files)}\n")
    if has_inventory:
        print(f"{folder / INVENTORY} was there and is used as it is\n")
    print(_next_steps(directory, has_inventory))
    return 0


def _holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def skeleton() -> Mapping[str, str]:
    """What a site begins with: contents by path."""
    return {name: (SKELETON / name).read_text("utf-8").replace(VERSION, encamp.__version__) for name in FILES}


def _create(path: Path, content: str) -> None:
    """Raises UsageError; a file that exists meanwhile is left alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be created: {error.strerror}", "choose another folder") from None


def _next_steps(directory: str, has_inventory: bool) -> str:
    enter = [] if directory == "." else [f"cd {directory}"]
    edit = "$EDITOR inventory/hosts.yml           # name your hosts; settings may stand beside them"
    look = "encamp inventory                      # your groups; put hosts into servers, workers, clients"
    steps = [
        *enter,
        look if has_inventory else edit,
        "encamp deploy --check --diff          # show what would change, on every host",
        "encamp deploy",
    ]
    return "Next steps:\n" + "\n".join(f"    {step}" for step in steps)
