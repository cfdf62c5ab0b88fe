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
    put = dict(Bucket=BUCKET, Key="refused", Body=b"body")
    expect_error("NotImplemented", s3.put_object, **put, StorageClass="DEEP_ARCHIVE")
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


def main():
    s3 = client()
    s3.create_bucket(Bucket=BUCKET)
    puts(s3)
    copies(s3)
    uploads(s3)
    print("all good")


main()
