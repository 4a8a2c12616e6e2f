"""A git repository with the flow of a verification: code reaches a worker as that of real deployments does."""

from __future__ import annotations

from typing import Any, Sequence

from encamp.resources.base import CommandFailed, Failure
from encamp.resources.system import System
from roles.proof.kinds.flow import FILE

NAME = "flows.git"
#: Where the clone is, in the inputs of later steps.
CLONE = "{{ clone.directory }}"
SCRIPT = f"""
set -e
git init --quiet {NAME}
cp "$@" {NAME}/
cd {NAME}
git add "$@"
git -c user.name=encamp -c user.email=encamp@localhost commit --quiet --message proof
"""


def make(host: System, directory: str, user: str, files: Sequence[str] = ()) -> None:
    """Commit the flow that lies in ``directory``, and further ``files``, to a repository there, as their owner.

    Raises Failure.
    """
    # No configuration of anybody's: a signature or a hook of theirs is not what is to be proven.
    environment = {"HOME": directory, "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        host.run(["sh", "-c", SCRIPT, "sh", FILE, *files], env=environment, as_user=user, cwd=directory)
    except CommandFailed as error:
        raise Failure(
            "git does not work for the worker's account", error.cause, "the lines below are git's own", error.detail
        ) from None


def step(directory: str) -> dict[str, Any]:
    """The pull step that clones it."""
    return {"prefect.deployments.steps.git_clone": {"id": "clone", "repository": f"file://{directory}/{NAME}"}}
