"""Common parts of the boto3 scripts: clients of the store that AWS_ENDPOINT_URL names, and expected refusals."""
import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]


def client(service="s3", keys={}, **config):
    """`keys` are boto3's arguments for credentials; without them, the environment supplies the credentials."""
    settings = Config(**{"s3": {"addressing_style": "path"}, "retries": {"max_attempts": 1}, **config})
    return boto3.client(service, endpoint_url=ENDPOINT, config=settings, **keys)


def expect_error(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error
    raise AssertionError(f"{code} expected")
