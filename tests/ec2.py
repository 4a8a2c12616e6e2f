"""An EC2 of our own: moto's server as a process, asked over HTTP as AWS would be."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

REGION = "eu-central-1"
#: One of those that moto knows.
IMAGE = "ami-12c6146b"
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
START_SECONDS = 60.0
#: Of each test its own.
NETWORKS = itertools.count(1)


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def ec2_server(folder: Path) -> Iterator[str]:
    """The URL of a moto server, which ends with the context."""
    port, log = free_port(), folder / "moto.log"
    with log.open("wb") as output:
        argv = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(argv, stdout=output, stderr=output)
    try:
        await_answer(f"http://127.0.0.1:{port}/moto-api/", server, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def variables(url: str) -> dict[str, str]:
    """The environment of someone with credentials for the server."""
    return {**VARIABLES, "AWS_ENDPOINT_URL_EC2": url}


class RefusingServer(ThreadingHTTPServer):
    """An EC2 that refuses some actions, and passes all others on. ``errors``: code and text by action."""

    def __init__(self, url: str, errors: dict[str, tuple[str, str]]) -> None:
        super().__init__(("127.0.0.1", 0), _Refusing)
        self.beyond, self.errors = url, errors

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Refusing(BaseHTTPRequestHandler):
    """One request of EC2's query API: a form whose field ``Action`` says what is asked."""

    server: RefusingServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        action = urllib.parse.parse_qs(body.decode())["Action"][0]
        if action in self.server.errors:
            code, message = self.server.errors[action]
            text = f"<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
            return self._answer(403, f"<Response>{text}<RequestID>1</RequestID></Response>".encode())
        passed = urllib.request.Request(self.server.beyond, body, dict(self.headers))
        try:
            with urllib.request.urlopen(passed, timeout=30) as answer:
                self._answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form: str, *values: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def refusing(url: str, errors: dict[str, tuple[str, str]]) -> Iterator[str]:
    """The URL of a server that refuses some actions of the one at ``url``."""
    with RefusingServer(url, errors) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.url
        server.shutdown()


def await_answer(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until it answers; its log where it does not."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(log.read_text("utf-8", "replace"), pytrace=False)
            time.sleep(0.1)


class Account:
    """An instance in one group, in a network of its own, and what an administrator does there by hand."""

    def __init__(self, url: str) -> None:
        import boto3

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        client = self.client = boto3.session.Session(**keys).client("ec2", region_name=REGION, endpoint_url=url)
        network = f"10.{next(NETWORKS)}.0.0/16"
        self.vpc = client.create_vpc(CidrBlock=network)["Vpc"]["VpcId"]
        self.subnet = client.create_subnet(VpcId=self.vpc, CidrBlock=network)["Subnet"]["SubnetId"]
        self.group = self.new_group("web")
        self.instance, self.address = self.new_instance(self.group)

    def new_group(self, name: str) -> str:
        made = self.client.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)
        return str(made["GroupId"])

    def new_instance(self, *groups: str) -> tuple[str, str]:
        """Id and public address of a new instance in some groups."""
        interface = {
            "DeviceIndex": 0,
            "SubnetId": self.subnet,
            "AssociatePublicIpAddress": True,
            "Groups": list(groups),
        }
        made = self.client.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, NetworkInterfaces=[interface])
        instance = str(made["Instances"][0]["InstanceId"])
        found = self.client.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return instance, str(found["PublicIpAddress"])

    def allow(self, group: str, source: str, first: int, last: int = 0, protocol: str = "tcp") -> str:
        """A rule made by hand, as people do in the console. Returns its id."""
        key, field = ("Ipv6Ranges", "CidrIpv6") if ":" in source else ("IpRanges", "CidrIp")
        permission: dict[str, Any] = {"IpProtocol": protocol, key: [{field: source}]}
        if protocol != "-1":
            permission |= {"FromPort": first, "ToPort": last or first}
        made = self.client.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
        return str(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def ingress(self, group: str = "") -> list[Any]:
        """All ingress rules of a group, as AWS describes them."""
        wanted = [{"Name": "group-id", "Values": [group or self.group]}]
        rules = self.client.describe_security_group_rules(Filters=wanted)["SecurityGroupRules"]
        return [rule for rule in rules if not rule["IsEgress"]]

    def open_to(self, port: int, group: str = "") -> set[str]:
        """The networks that rules let in at exactly a port."""
        rules = [rule for rule in self.ingress(group) if rule.get("FromPort") == rule.get("ToPort") == port]
        return {rule.get("CidrIpv4") or rule["CidrIpv6"] for rule in rules}
