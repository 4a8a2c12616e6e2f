"""What kinds that use Prefect's API have in common: how they reach it."""

from __future__ import annotations

from typing import Optional

from encamp.resources.base import Resource
from encamp.shared.secret import Secret
from roles.prefect.kinds.api import Api


class ApiKind(Resource):
    """A kind whose fields say how it reaches the API. Each kind declares them where it wants them among its own."""

    api_url: str
    auth: Optional[Secret]
    ca_file: str

    @property
    def _api(self) -> Api:
        return Api(self.api_url, self.auth, self.ca_file)


class ServerObject(ApiKind):
    """A kind for what exists once in each server, by the name in its first field.

    ``prefix`` distinguishes it from another server's in the plan of one host.
    """

    prefix: str

    @property
    def identity(self) -> str:
        return f"{self.prefix}{super().identity}"
