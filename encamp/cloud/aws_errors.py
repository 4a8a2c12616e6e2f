"""Errors of AWS in words: which end the step, and which leave it to the operator."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from encamp.cloud.step import Undecided
from encamp.resources.base import Failure, Refused

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

ACTIONS = (
    "ec2:DescribeInstances",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSecurityGroupRules",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:CreateTags",
    "ec2:DeleteTags",
)
POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(ACTIONS), "Resource": "*"}]}
)
#: The caller may not do it, or AWS does not know the caller.
DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
UNKNOWN_CALLER = ("AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "RequestExpired")
CHECK_CALLER = "check the credentials: `aws sts get-caller-identity`"
#: What no retry mends, and the setting that it comes from.
WRONG = {
    "InvalidInstanceID.NotFound": "check cloud_instance and cloud_region",
    "InvalidInstanceID.Malformed": "check cloud_instance",
    "InvalidGroup.NotFound": "check cloud_security_group and cloud_region",
    "InvalidGroupId.Malformed": "check cloud_security_group",
    "RulesPerSecurityGroupLimitExceeded": "use fewer, larger networks in allowed_sources, remove rules that are not "
    "needed, or ask AWS for a higher quota of rules a security group",
}


@contextlib.contextmanager
def explained(by_hand: str = "") -> Iterator[None]:
    """Turn errors of boto3 into Undecided, where rights or credentials are missing, or Failure.

    ``by_hand`` is the command that does the same, where it is known here.
    """
    from botocore import exceptions as aws

    try:
        yield
    except aws.NoRegionError:
        raise Refused(
            "no AWS region is known", "", "set cloud_region: (or AWS_REGION, or a profile's region)"
        ) from None
    except aws.ClientError as error:
        raise _of_answer(error, by_hand) from None
    except aws.BotoCoreError as error:
        raise _undecided(str(error), CHECK_CALLER, by_hand) from None


def _of_answer(error: ClientError, by_hand: str) -> Failure:
    """An error that AWS itself sent."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    text = f"{code}: {re.sub(r' *Encoded authorization failure message:.*', '', message, flags=re.DOTALL)}"
    if code in DENIED:
        return _undecided(text, f"ask for this policy: {POLICY}", by_hand)
    if code in UNKNOWN_CALLER:
        return _undecided(text, CHECK_CALLER, by_hand)
    return Refused(text, fix=WRONG[code]) if code in WRONG else Failure(text)


def _undecided(reason: str, fix: str, by_hand: str) -> Undecided:
    return Undecided(reason, "", "\n".join(filter(None, (fix, by_hand))))
