"""boto3 against the store that AWS_ENDPOINT_URL names, whose bucket boto3-quotas has a quota of 1 MiB.

Prints "all good", or ends with the assertion that failed.
"""
import io

from boto3.s3.transfer import S3UploadFailedError, TransferConfig
from boto3_store import client, expect_error

BUCKET = "boto3-quotas"
KIB = 1024
MIB = 1024 * KIB
MESSAGE = "The bucket boto3-quotas would exceed its quota of 1.0 MiB (600.0 KiB used)."


def refused(call, **arguments):
    """Only one request was made, although the client repeats those that may succeed later."""
    error = expect_error("QuotaExceeded", call, Bucket=BUCKET, **arguments)
    answer = error.response
    assert answer["Error"]["Message"] == MESSAGE, answer
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403, answer
    assert answer["ResponseMetadata"]["RetryAttempts"] == 0, answer


def puts(s3):
    s3.put_object(Bucket=BUCKET, Key="first", Body=b"x" * (600 * KIB))
    refused(s3.put_object, Key="second", Body=b"x" * (600 * KIB))
    refused(s3.copy_object, Key="second", CopySource={"Bucket": BUCKET, "Key": "first"})
    s3.put_object(Bucket=BUCKET, Key="first", Body=b"y" * (600 * KIB))


def uploads(s3):
    upload = {"Key": "parts", "UploadId": s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]}
    refused(s3.upload_part, **upload, PartNumber=1, Body=b"x" * (600 * KIB))
    s3.abort_multipart_upload(Bucket=BUCKET, **upload)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    try:
        s3.upload_fileobj(io.BytesIO(b"x" * (6 * MIB)), BUCKET, "large", Config=config)
    except S3UploadFailedError as error:
        assert "QuotaExceeded" in str(error), error
    except s3.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "QuotaExceeded", error
    else:
        raise AssertionError("an upload beyond the quota was accepted")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET), "a refused upload was not aborted"


def deletes(s3):
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "first"}]})
    s3.put_object(Bucket=BUCKET, Key="second", Body=b"x" * (600 * KIB))


def main():
    s3 = client(retries={"max_attempts": 4, "mode": "standard"})
    puts(s3)
    uploads(s3)
    deletes(s3)
    print("all good")


main()
