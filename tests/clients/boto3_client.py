"""boto3 against the store that AWS_ENDPOINT_URL names: the calls that scripts use most.

Prints "all good", or ends with the assertion that failed. BOTO3_FOLDER is a folder to work in.
"""
import hashlib
import os
import urllib.error
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig

from boto3_store import ENDPOINT, client, expect_error

MIB = 1024 * 1024
# The object has two parts.
LARGE_BYTES = 5 * MIB + 4097
# The form is longer than a block.
FORM_BYTES_MAX = 4 * MIB + 1
FOLDER = os.environ["BOTO3_FOLDER"]
KEYS = [
    "plain", "with space", "plus+sign", "100%", "%41", "caf\u00e9", "cafe\u0301", "emoji \U0001f600",
    "/leading", "double//slash", "trailing/", "../up", "a/../b", "k" * 1000 + "/" + "m" * 23,
]


def objects(s3, bucket):
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"note": "n"}, ContentType="text/x-own")
    for key in KEYS:
        answer = s3.get_object(Bucket=bucket, Key=key)
        assert answer["Body"].read() == key.encode(), key
        assert answer["Metadata"] == {"note": "n"} and answer["ContentType"] == "text/x-own"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 3})
    assert sorted(entry["Key"] for page in pages for entry in page["Contents"]) == sorted(KEYS)
    old_pages = s3.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": 4})
    assert sorted(entry["Key"] for page in old_pages for entry in page["Contents"]) == sorted(KEYS)
    assert s3.get_object(Bucket=bucket, Key="plain", Range="bytes=1-2")["Body"].read() == b"la"
    expect_error("NoSuchKey", s3.get_object, Bucket=bucket, Key="missing")
    expect_error("404", s3.head_object, Bucket=bucket, Key="missing")
    expect_error("NoSuchBucket", s3.list_objects_v2, Bucket="no-such-bucket-here")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in KEYS]})
    assert len(answer["Deleted"]) == len(KEYS), answer


def transfers(s3, bucket):
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    for size in (0, 1, 4097, 5 * MIB - 1, LARGE_BYTES):
        path = os.path.join(FOLDER, str(size))
        with open(path, "wb") as file:
            file.write(hashlib.sha256(str(size).encode()).digest() * (size // 32) + b"x" * (size % 32))
        s3.upload_file(path, bucket, f"size {size}", Config=config)
        s3.download_file(bucket, f"size {size}", path + ".back", Config=config)
        with open(path, "rb") as left, open(path + ".back", "rb") as right:
            assert left.read() == right.read(), size
    s3.copy({"Bucket": bucket, "Key": f"size {LARGE_BYTES}"}, bucket, "copied", Config=config)
    assert s3.head_object(Bucket=bucket, Key="copied")["ContentLength"] == LARGE_BYTES
    if hasattr(s3, "rename_object"):  # since botocore 1.39
        renamed(s3, bucket)


def renamed(s3, bucket):
    before = s3.head_object(Bucket=bucket, Key="copied")
    expect_error("NoSuchKey", s3.rename_object, Bucket=bucket, Key="renamed", RenameSource=f"/{bucket}/missing")
    for _ in range(2):  # a repeat with its token succeeds
        s3.rename_object(Bucket=bucket, Key="renamed", RenameSource=f"/{bucket}/copied", ClientToken="once")
    after = s3.head_object(Bucket=bucket, Key="renamed")
    assert (after["ETag"], after["ContentLength"]) == (before["ETag"], before["ContentLength"]), after
    expect_error("404", s3.head_object, Bucket=bucket, Key="copied")


def versions(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    ids = [s3.put_object(Bucket=bucket, Key="v", Body=body)["VersionId"] for body in (b"1", b"2")]
    s3.delete_object(Bucket=bucket, Key="v")
    expect_error("NoSuchKey", s3.get_object, Bucket=bucket, Key="v")
    assert s3.get_object(Bucket=bucket, Key="v", VersionId=ids[0])["Body"].read() == b"1"
    listed = s3.list_object_versions(Bucket=bucket, Prefix="v")
    assert [entry["VersionId"] for entry in listed["Versions"]] == ids[::-1]
    assert listed["DeleteMarkers"][0]["IsLatest"] is True


def presigned(s3, bucket):
    """With a client that signs with version 4, and with a default one, which signs with version 2 in us-east-1."""
    arguments = {"Bucket": bucket, "Key": "signed +\u00e9"}
    put = urllib.request.Request(s3.generate_presigned_url("put_object", Params=arguments), data=b"body", method="PUT")
    put.add_header("Content-Type", "")
    assert urllib.request.urlopen(put).status == 200
    with urllib.request.urlopen(s3.generate_presigned_url("get_object", Params=arguments)) as answer:
        assert answer.read() == b"body"
    stored = {**arguments, "ContentType": "text/x-own", "Metadata": {"note": "n"}, "Tagging": "a=1"}
    url = s3.generate_presigned_url("put_object", Params=stored)
    put = urllib.request.Request(url, data=b"other", method="PUT")
    put.add_header("Content-Type", "text/x-own")
    if "AWSAccessKeyId=" not in url:
        put.add_header("x-amz-meta-note", "n")
        put.add_header("x-amz-tagging", "a=1")
    assert urllib.request.urlopen(put).status == 200
    override = {**arguments, "ResponseContentType": "text/y; a=\"b c\"", "VersionId": s3.head_object(**arguments)["VersionId"]}
    with urllib.request.urlopen(s3.generate_presigned_url("get_object", Params=override)) as answer:
        assert answer.read() == b"other" and answer.headers["Content-Type"] == "text/y; a=\"b c\""
        assert answer.headers["x-amz-meta-note"] == "n" and answer.headers["x-amz-tagging-count"] == "1"
    refused = urllib.request.Request(url.replace("Expires=", "Expires=1"), data=b"x", method="PUT")
    refused.add_header("Content-Type", "text/x-own")
    try:
        urllib.request.urlopen(refused)
    except urllib.error.HTTPError as error:
        assert error.code == 403, error.code
    else:
        raise AssertionError("a URL whose expiry was changed was accepted")


def post_form(form, key, body):
    """Sends a form as a browser does; returns the status and the text of the answer."""
    boundary = "----boto3FormBoundary"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form["fields"].items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{key}"\r\n\r\n'
    data = "".join([*parts, head]).encode() + body + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(form["url"], data=data, method="POST")
    request.add_header("Content-Type", f"multipart/form-data; boundary={boundary}")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def forms(s3, bucket):
    fields = {"Content-Type": "text/x-own", "success_action_status": "201", "x-amz-meta-note": "n"}
    conditions = [{name: value} for name, value in fields.items()] + [["content-length-range", 1, FORM_BYTES_MAX]]
    form = s3.generate_presigned_post(bucket, "forms/${filename}", Fields=fields, Conditions=conditions)
    for size in (1, 4096, 4097, FORM_BYTES_MAX):
        name = f"caf\u00e9 {size}"
        body = hashlib.sha256(name.encode()).digest() * (size // 32) + b"x" * (size % 32)
        status, text = post_form(form, name, body)
        assert status == 201 and f"<Key>forms/{name}</Key>" in text, (status, text)
        answer = s3.get_object(Bucket=bucket, Key=f"forms/{name}")
        assert answer["Body"].read() == body, size
        assert answer["Metadata"] == {"note": "n"} and answer["ContentType"] == "text/x-own"
    for body, code in ((b"", "EntityTooSmall"), (b"x" * (FORM_BYTES_MAX + 1), "EntityTooLarge")):
        status, text = post_form(form, "refused", body)
        assert status == 400 and f"<Code>{code}</Code>" in text, (status, text)
    form["fields"]["Content-Type"] = "text/html"
    status, text = post_form(form, "refused", b"x")
    assert status == 403 and "Policy Condition failed" in text, (status, text)
    expect_error("NoSuchKey", s3.get_object, Bucket=bucket, Key="forms/refused")


def older_signatures(s3, bucket):
    """Signature version 2 in the header. Debian 12's botocore signs requests wrongly whose path in its model has a query."""
    s3.create_bucket(Bucket=bucket)
    assert bucket in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    s3.get_waiter("bucket_exists").wait(Bucket=bucket)
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"note": "n"}, ContentType="text/x-own")
        answer = s3.get_object(Bucket=bucket, Key=key, ResponseContentType="text/y; a=\"b c\"")
        assert answer["Body"].read() == key.encode(), key
        assert answer["Metadata"] == {"note": "n"} and answer["ContentType"] == "text/y; a=\"b c\""
    pages = s3.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": 3})
    listed = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert sorted(listed) == sorted(KEYS), listed
    for key in listed:
        s3.delete_object(Bucket=bucket, Key=key)
    s3.delete_bucket(Bucket=bucket)


def main():
    s3 = client(signature_version="s3v4")
    as_it_is = client()
    assert "AWSAccessKeyId=" in as_it_is.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    bucket = "boto3-bucket"
    s3.create_bucket(Bucket=bucket)
    assert bucket in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    s3.get_waiter("bucket_exists").wait(Bucket=bucket)
    objects(s3, bucket)
    transfers(s3, bucket)
    versions(s3, bucket)
    older_signatures(client(signature_version="s3"), "boto3-older")
    for each in (s3, as_it_is):
        presigned(each, bucket)
        forms(each, bucket)
    emptied = boto3.resource("s3", endpoint_url=ENDPOINT).Bucket(bucket)
    emptied.object_versions.delete()
    emptied.delete()
    print("all good")


main()
