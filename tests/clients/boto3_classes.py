"""boto3 against the store that AWS_ENDPOINT_URL names: storage classes, of which only GLACIER is mapped.

Prints "all good", or ends with the assertion that failed.
"""
import io

from boto3.s3.transfer import TransferConfig
from boto3_store import client, expect_error

BUCKET = "boto3-classes"
MIB = 1024 * 1024
READABLE = ["REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"]


def shown(s3, key):
    return s3.head_object(Bucket=BUCKET, Key=key).get("StorageClass", "STANDARD")


def puts(s3):
    for name in READABLE:
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"body", StorageClass=name)
        assert shown(s3, name) == name, name
        attributes = s3.get_object_attributes(Bucket=BUCKET, Key=name, ObjectAttributes=["StorageClass"])
        assert attributes["StorageClass"] == name, attributes
    s3.put_object(Bucket=BUCKET, Key="plain", Body=b"body")
    listed = {item["Key"]: item["StorageClass"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert listed == {**{name: name for name in READABLE}, "plain": "STANDARD"}, listed
    s3.put_object(Bucket=BUCKET, Key="cold", Body=b"body", StorageClass="GLACIER")
    assert shown(s3, "cold") == "GLACIER"
    # It is not mapped, and so only a name.
    s3.put_object(Bucket=BUCKET, Key="named", Body=b"body", StorageClass="DEEP_ARCHIVE")
    assert shown(s3, "named") == "DEEP_ARCHIVE"
    assert s3.get_object(Bucket=BUCKET, Key="named")["Body"].read() == b"body"
    put = dict(Bucket=BUCKET, Key="refused", Body=b"body")
    expect_error("InvalidStorageClass", s3.put_object, **put, StorageClass="OUTPOSTS")


def copies(s3):
    source = {"Bucket": BUCKET, "Key": "STANDARD_IA"}
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=source)
    assert shown(s3, "copy") == "STANDARD"
    s3.copy_object(Bucket=BUCKET, Key="STANDARD_IA", CopySource=source, StorageClass="ONEZONE_IA")
    assert shown(s3, "STANDARD_IA") == "ONEZONE_IA"


def uploads(s3):
    body = b"x" * (6 * MIB)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    extra = {"StorageClass": "STANDARD_IA"}
    s3.upload_fileobj(io.BytesIO(body), BUCKET, "large", ExtraArgs=extra, Config=config)
    assert shown(s3, "large") == "STANDARD_IA"
    assert s3.get_object(Bucket=BUCKET, Key="large")["Body"].read() == body


def deletes_with_conditions(s3):
    """Where this release of boto3 has the parameters."""
    known = s3.meta.service_model.operation_model("DeleteObject").input_shape.members
    at = dict(Bucket=BUCKET, Key="conditions")
    s3.put_object(**at, Body=b"12345")
    head = s3.head_object(**at)
    matching = {
        "IfMatch": head["ETag"],
        "IfMatchSize": 5,
        "IfMatchLastModifiedTime": head["LastModified"],
    }
    other = {
        "IfMatch": '"' + "0" * 32 + '"',
        "IfMatchSize": 6,
        "IfMatchLastModifiedTime": head["LastModified"].replace(year=2001),
    }
    for name in matching:
        if name in known:
            expect_error("PreconditionFailed", s3.delete_object, **at, **{name: other[name]})
    s3.head_object(**at)
    s3.delete_object(**at, **{name: value for name, value in matching.items() if name in known})
    expect_error("404", s3.head_object, **at)


def restores(s3):
    cold = {"Bucket": BUCKET, "Key": "cold"}
    request = {"Days": 2, "GlacierJobParameters": {"Tier": "Expedited"}}
    expect_error("InvalidObjectState", s3.get_object, **cold)
    expect_error("InvalidObjectState", s3.copy_object, Bucket=BUCKET, Key="warm", CopySource=cold)
    expect_error("InvalidObjectState", s3.restore_object, Bucket=BUCKET, Key="plain", RestoreRequest=request)
    assert "Restore" not in s3.head_object(**cold)
    restored = s3.restore_object(**cold, RestoreRequest=request)
    assert restored["ResponseMetadata"]["HTTPStatusCode"] == 202, restored
    again = s3.restore_object(**cold, RestoreRequest={**request, "Days": 1})
    assert again["ResponseMetadata"]["HTTPStatusCode"] == 200, again
    assert s3.head_object(**cold)["Restore"].startswith('ongoing-request="false", expiry-date="')
    assert s3.get_object(**cold)["Body"].read() == b"body"
    s3.copy_object(Bucket=BUCKET, Key="warm", CopySource=cold)


def transitions(s3):
    rules = [
        {
            "ID": "cold",
            "Filter": {"Prefix": "data/"},
            "Status": "Enabled",
            "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 90, "StorageClass": "GLACIER"}],
            "NoncurrentVersionTransitions": [
                {"NoncurrentDays": 30, "StorageClass": "GLACIER", "NewerNoncurrentVersions": 3}
            ],
            "Expiration": {"Days": 365},
        }
    ]
    put = {"Bucket": BUCKET, "LifecycleConfiguration": {"Rules": rules}}
    s3.put_bucket_lifecycle_configuration(**put)
    assert s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"] == rules
    rules[0]["Transitions"][1]["StorageClass"] = "DEEP_ARCHIVE"
    expect_error("NotImplemented", s3.put_bucket_lifecycle_configuration, **put)


def main():
    s3 = client()
    s3.create_bucket(Bucket=BUCKET)
    puts(s3)
    copies(s3)
    uploads(s3)
    restores(s3)
    deletes_with_conditions(s3)
    transitions(s3)
    print("all good")


main()
