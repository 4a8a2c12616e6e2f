"""Steps that are carried out on this machine, the controller, and not on the host that they are about."""

from __future__ import annotations

from encamp.resources.base import Failure, Resource


class ControllerResource(Resource):
    """A resource outside the host. ``check`` and ``apply`` get this machine in place of the host."""


class Undecided(Failure):
    """What cannot be done, or judged, from this machine. The step is unknown, and the run goes on."""
