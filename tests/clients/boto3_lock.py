"""boto3 against the store that AWS_ENDPOINT_URL names: object lock.

Prints "all good", or ends with the assertion that failed.
"""
import time
from datetime import datetime, timedelta, timezone

from boto3_store import client, expect_error

BUCKET = "boto3-lock"
LATER = "boto3-lock-later"
WAIT_SECONDS = 60


def after(**period):
    """A time of whole seconds."""
    return (datetime.now(timezone.utc) + timedelta(**period)).replace(microsecond=0)


def put(s3, key, **arguments):
    return s3.put_object(Bucket=BUCKET, Key=key, Body=b"body", ChecksumAlgorithm="CRC32", **arguments)["VersionId"]


def configuration(s3):
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}
    empty = s3.get_object_lock_configuration(Bucket=BUCKET)["ObjectLockConfiguration"]
    assert empty == {"ObjectLockEnabled": "Enabled"}, empty
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    wanted = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=BUCKET, ObjectLockConfiguration=wanted)
    assert s3.get_object_lock_configuration(Bucket=BUCKET)["ObjectLockConfiguration"] == wanted
    version = put(s3, "by default")
    head = s3.head_object(Bucket=BUCKET, Key="by default")
    assert head["ObjectLockMode"] == "GOVERNANCE", head
    assert timedelta(days=1, hours=23) < head["ObjectLockRetainUntilDate"] - after() <= timedelta(days=2, seconds=1), head
    expect_error("AccessDenied", s3.delete_object, Bucket=BUCKET, Key="by default", VersionId=version)
    s3.delete_object(Bucket=BUCKET, Key="by default", VersionId=version, BypassGovernanceRetention=True)
    s3.put_object_lock_configuration(Bucket=BUCKET, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    state = {"Status": "Suspended"}
    expect_error("InvalidBucketState", s3.put_bucket_versioning, Bucket=BUCKET, VersioningConfiguration=state)


def enabled_later(s3):
    s3.create_bucket(Bucket=LATER)
    wanted = {"ObjectLockEnabled": "Enabled"}
    expect_error("ObjectLockConfigurationNotFoundError", s3.get_object_lock_configuration, Bucket=LATER)
    arguments = {"Bucket": LATER, "ObjectLockConfiguration": wanted}
    expect_error("InvalidBucketState", s3.put_object_lock_configuration, **arguments)
    s3.put_bucket_versioning(Bucket=LATER, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(**arguments)
    assert s3.get_object_lock_configuration(Bucket=LATER)["ObjectLockConfiguration"] == wanted
    s3.delete_bucket(Bucket=LATER)


def compliance(s3):
    until = after(days=1)
    version = put(s3, "kept", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
    target = {"Bucket": BUCKET, "Key": "kept", "VersionId": version}
    assert s3.get_object_retention(**target)["Retention"] == {"Mode": "COMPLIANCE", "RetainUntilDate": until}
    expect_error("AccessDenied", s3.delete_object, **target, BypassGovernanceRetention=True)
    for retention in (
        {"Mode": "COMPLIANCE", "RetainUntilDate": after(hours=1)},
        {"Mode": "GOVERNANCE", "RetainUntilDate": after(days=3)},
        {},
    ):
        arguments = {**target, "Retention": retention, "BypassGovernanceRetention": True}
        expect_error("AccessDenied", s3.put_object_retention, **arguments)
    longer = {"Mode": "COMPLIANCE", "RetainUntilDate": after(days=2)}
    s3.put_object_retention(**target, Retention=longer)
    assert s3.get_object_retention(**target)["Retention"] == longer
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "kept", "VersionId": version}]})
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"], answer
    assert s3.delete_object(Bucket=BUCKET, Key="kept")["DeleteMarker"] is True
    assert s3.get_object(**target)["Body"].read() == b"body"
    expect_error("BucketNotEmpty", s3.delete_bucket, Bucket=BUCKET)


def legal_hold(s3):
    version = put(s3, "held", ObjectLockLegalHoldStatus="ON")
    target = {"Bucket": BUCKET, "Key": "held", "VersionId": version}
    assert s3.get_object_legal_hold(**target)["LegalHold"] == {"Status": "ON"}
    expect_error("AccessDenied", s3.delete_object, **target, BypassGovernanceRetention=True)
    s3.put_object_legal_hold(**target, LegalHold={"Status": "OFF"})
    assert s3.head_object(**target)["ObjectLockLegalHoldStatus"] == "OFF"
    s3.delete_object(**target)
    expect_error("NoSuchObjectLockConfiguration", s3.get_object_retention, Bucket=BUCKET, Key=unlocked(s3))


def unlocked(s3):
    put(s3, "unlocked")
    return "unlocked"


def copies_and_parts(s3):
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": after(days=1)}
    source = {"Bucket": BUCKET, "Key": unlocked(s3)}
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=source, **lock)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts", ChecksumAlgorithm="CRC32", **lock)["UploadId"]
    place = {"Bucket": BUCKET, "Key": "parts", "UploadId": upload}
    part = s3.upload_part(**place, PartNumber=1, Body=b"part", ChecksumAlgorithm="CRC32")
    listed = {"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": [listed]})
    for key in ("copy", "parts"):
        head = s3.head_object(Bucket=BUCKET, Key=key)
        assert {name: head[name] for name in lock} == lock, head
        expect_error("AccessDenied", s3.delete_object, Bucket=BUCKET, Key=key, VersionId=head["VersionId"])


def ends(s3):
    version = put(s3, "short", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=after(seconds=3))
    target = {"Bucket": BUCKET, "Key": "short", "VersionId": version}
    expect_error("AccessDenied", s3.delete_object, **target)
    for _ in range(WAIT_SECONDS * 2):
        time.sleep(0.5)
        try:
            return s3.delete_object(**target)
        except s3.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied", error
    raise AssertionError("the retention does not end")


def main():
    s3 = client()
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    configuration(s3)
    enabled_later(s3)
    compliance(s3)
    legal_hold(s3)
    copies_and_parts(s3)
    ends(s3)
    print("all good")


main()
