"""Common parts of the boto3 scripts: clients of the store that AWS_ENDPOINT_URL names, and expected refusals.

AWS_ENDPOINT_URL_KMS names the address of KMS, if it has one of its own.
"""
import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]


def client(service="s3", keys={}, **config):
    """`keys` are boto3's arguments for credentials; without them, the environment supplies the credentials."""
    settings = Config(**{"s3": {"addressing_style": "path"}, "retries": {"max_attempts": 1}, **config})
    endpoint = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}", ENDPOINT)
    return boto3.client(service, endpoint_url=endpoint, config=settings, **keys)


def expect_error(code, call, **arguments):
    """`code`: one, or a tuple of those that are right."""
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] in (code if isinstance(code, tuple) else (code,)), error
        return error
    raise AssertionError(f"{code} expected")
