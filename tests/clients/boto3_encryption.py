"""boto3 against the store that AWS_ENDPOINT_URL names: encryption with keys of the store, and of the client.

Prints "all good", or ends with the assertion that failed.
"""
import base64
import hashlib
import io
import json
import urllib.error
import urllib.request

from boto3.s3.transfer import TransferConfig
from boto3_store import client, expect_error

BUCKET = "boto3-encryption"
MIB = 1024 * 1024
KEY = bytes(range(32))
OTHER = bytes(range(32, 64))
MD5 = base64.b64encode(hashlib.md5(b"body").digest()).decode()
# The object has two parts, of which the second is shorter.
LARGE = bytes(i * 7 % 251 for i in range(1000)) * 5_500
PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)


def of(key, prefix=""):
    return {f"{prefix}SSECustomerAlgorithm": "AES256", f"{prefix}SSECustomerKey": key}


def read(s3, key, **arguments):
    return s3.get_object(Bucket=BUCKET, Key=key, **arguments)["Body"].read()


def settings(s3):
    missing = "ServerSideEncryptionConfigurationNotFoundError"
    expect_error(missing, s3.get_bucket_encryption, Bucket=BUCKET)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}
    configuration = {"Rules": [rule]}
    s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration=configuration)
    shown = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]
    assert shown == configuration, shown
    assert s3.put_object(Bucket=BUCKET, Key="default", Body=b"body")["ServerSideEncryption"] == "AES256"
    s3.delete_bucket_encryption(Bucket=BUCKET)
    expect_error(missing, s3.get_bucket_encryption, Bucket=BUCKET)
    assert "ServerSideEncryption" not in s3.put_object(Bucket=BUCKET, Key="none", Body=b"body")
    assert s3.head_object(Bucket=BUCKET, Key="default")["ServerSideEncryption"] == "AES256"


def of_the_store(s3):
    put = s3.put_object(Bucket=BUCKET, Key="s3", Body=b"body", ServerSideEncryption="AES256")
    assert put["ETag"] == f'"{hashlib.md5(b"body").hexdigest()}"', put
    assert put["ServerSideEncryption"] == "AES256", put
    s3.upload_fileobj(io.BytesIO(LARGE), BUCKET, "s3 large", Config=PARTS, ExtraArgs={"ServerSideEncryption": "AES256"})
    assert s3.head_object(Bucket=BUCKET, Key="s3 large")["ServerSideEncryption"] == "AES256"
    assert read(s3, "s3 large") == LARGE
    expect_error("InvalidArgument", s3.put_object, Bucket=BUCKET, Key="x", ServerSideEncryption="AES512")


def of_named_keys(s3):
    context = base64.b64encode(json.dumps({"team": "é"}).encode()).decode()
    asked = {"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": context, "BucketKeyEnabled": True}
    put = s3.put_object(Bucket=BUCKET, Key="kms", Body=b"body", ContentMD5=MD5, **asked)
    assert put["ETag"] != f'"{hashlib.md5(b"body").hexdigest()}"', put
    assert put["SSEKMSKeyId"].startswith("arn:aws:kms:") and put["BucketKeyEnabled"], put
    assert json.loads(base64.b64decode(put["SSEKMSEncryptionContext"])) == {"team": "é"}, put
    got = s3.get_object(Bucket=BUCKET, Key="kms")
    assert got["Body"].read() == b"body" and got["SSEKMSKeyId"] == put["SSEKMSKeyId"], got
    s3.upload_fileobj(io.BytesIO(LARGE), BUCKET, "kms large", Config=PARTS, ExtraArgs={"ServerSideEncryption": "aws:kms"})
    assert read(s3, "kms large") == LARGE
    s3.copy_object(Bucket=BUCKET, Key="from kms", CopySource={"Bucket": BUCKET, "Key": "kms"})
    assert "ServerSideEncryption" not in s3.head_object(Bucket=BUCKET, Key="from kms")
    unknown = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/unknown"}
    expect_error("KMS.NotFoundException", s3.put_object, Bucket=BUCKET, Key="x", **unknown)


def of_the_client(s3):
    put = s3.put_object(Bucket=BUCKET, Key="client", Body=b"body", **of(KEY))
    assert put["SSECustomerAlgorithm"] == "AES256" and put["SSECustomerKeyMD5"], put
    assert "ServerSideEncryption" not in put, put
    assert read(s3, "client", **of(KEY)) == b"body"
    expect_error("InvalidRequest", s3.get_object, Bucket=BUCKET, Key="client")
    expect_error("AccessDenied", s3.get_object, Bucket=BUCKET, Key="client", **of(OTHER))
    expect_error("InvalidRequest", s3.get_object, Bucket=BUCKET, Key="s3", **of(KEY))
    expect_error("400", s3.head_object, Bucket=BUCKET, Key="client")
    expect_error("403", s3.head_object, Bucket=BUCKET, Key="client", **of(OTHER))
    expect_error("InvalidArgument", s3.put_object, Bucket=BUCKET, Key="x", **of(KEY[:16]))
    s3.upload_fileobj(io.BytesIO(LARGE), BUCKET, "client large", Config=PARTS, ExtraArgs=of(KEY))
    target = io.BytesIO()
    s3.download_fileobj(BUCKET, "client large", target, Config=PARTS, ExtraArgs=of(KEY))
    assert target.getvalue() == LARGE
    assert read(s3, "client large", Range="bytes=5242878-5242885", **of(KEY)) == LARGE[5242878:5242886]


def copies(s3):
    source = {"Bucket": BUCKET, "Key": "client"}
    s3.copy_object(Bucket=BUCKET, Key="renewed", CopySource=source, **of(KEY, "CopySource"), **of(OTHER))
    assert read(s3, "renewed", **of(OTHER)) == b"body"
    s3.copy_object(Bucket=BUCKET, Key="plain", CopySource=source, **of(KEY, "CopySource"))
    assert read(s3, "plain") == b"body"
    expect_error("InvalidRequest", s3.copy_object, Bucket=BUCKET, Key="x", CopySource=source)
    large = {"Bucket": BUCKET, "Key": "client large"}
    extra = {**of(KEY, "CopySource"), "ServerSideEncryption": "AES256"}
    s3.copy(large, BUCKET, "copied large", Config=PARTS, ExtraArgs=extra, SourceClient=s3)
    assert read(s3, "copied large") == LARGE


def refused(url, text):
    try:
        urllib.request.urlopen(url)
    except urllib.error.HTTPError as error:
        assert error.code == 400, error
        assert text in error.read()
        return
    raise AssertionError(f"accepted: {url}")


def presigned():
    s3 = client(signature_version="s3v4")
    url = s3.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "signed", "ServerSideEncryption": "AES256"})
    headers = {"x-amz-server-side-encryption": "AES256"}
    urllib.request.urlopen(urllib.request.Request(url, b"body", headers, method="PUT"))
    assert s3.head_object(Bucket=BUCKET, Key="signed")["ServerSideEncryption"] == "AES256"
    old = client(signature_version="s3")
    refused(old.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "client", **of(KEY)}), b"as a header")
    refused(old.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "kms"}), b"Signature Version 4")


def blocked(s3):
    if "BlockedEncryptionTypes" not in s3.meta.service_model.shape_for("ServerSideEncryptionRule").members:
        return
    rule = {"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}}
    s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
    shown = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert shown["BlockedEncryptionTypes"] == {"EncryptionType": ["SSE-C"]}, shown
    expect_error("AccessDenied", s3.put_object, Bucket=BUCKET, Key="x", Body=b"body", **of(KEY))
    assert read(s3, "client", **of(KEY)) == b"body"


def main():
    s3 = client()
    s3.create_bucket(Bucket=BUCKET)
    settings(s3)
    of_the_store(s3)
    of_named_keys(s3)
    of_the_client(s3)
    copies(s3)
    presigned()
    blocked(s3)
    print("all good")


main()
