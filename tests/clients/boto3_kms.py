"""boto3 against the KMS API that AWS_ENDPOINT_URL names: keys, aliases, policies, messages and data keys.

Ends with "all good" on standard output, or with a traceback.
"""
import json

from boto3_store import client, expect_error

kms = client("kms")

made = kms.create_key(Description="photos", Tags=[{"TagKey": "team", "TagValue": "web"}])["KeyMetadata"]
key, arn = made["KeyId"], made["Arn"]
assert made["KeyState"] == "Enabled" and made["CreationDate"].tzinfo is not None, made
kms.create_alias(AliasName="alias/boto", TargetKeyId=key)
assert kms.describe_key(KeyId="alias/boto")["KeyMetadata"]["Arn"] == arn
for number in range(4):
    kms.create_alias(AliasName=f"alias/many-{number}", TargetKeyId=key)
pages = list(kms.get_paginator("list_aliases").paginate(KeyId=key, PaginationConfig={"PageSize": 2}))
assert [len(page["Aliases"]) for page in pages] == [2, 2, 1], pages
assert key in [one["KeyId"] for page in kms.get_paginator("list_keys").paginate() for one in page["Keys"]]

context = {"purpose": "test", "é": "ü"}
sealed = kms.encrypt(KeyId="alias/boto", Plaintext=b"attack at dawn", EncryptionContext=context)
opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
assert opened["Plaintext"] == b"attack at dawn" and opened["KeyId"] == arn
expect_error("InvalidCiphertextException", kms.decrypt, CiphertextBlob=sealed["CiphertextBlob"])
data = kms.generate_data_key(KeyId=arn, KeySpec="AES_256", EncryptionContext=context)
assert len(data["Plaintext"]) == 32
assert kms.decrypt(CiphertextBlob=data["CiphertextBlob"], EncryptionContext=context)["Plaintext"] == data["Plaintext"]
assert "Plaintext" not in kms.generate_data_key_without_plaintext(KeyId=key, NumberOfBytes=64)
assert len(kms.generate_random(NumberOfBytes=9)["Plaintext"]) == 9

# Releases before 2024 lack these.
if hasattr(kms, "rotate_key_on_demand"):
    kms.rotate_key_on_demand(KeyId=key)
    pages = kms.get_paginator("list_key_rotations").paginate(KeyId=key)
    rotations = [one for page in pages for one in page["Rotations"]]
    assert [one["RotationType"] for one in rotations] == ["ON_DEMAND"], rotations
    assert kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)["Plaintext"]
kms.enable_key_rotation(KeyId=key)
assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
kms.disable_key_rotation(KeyId=key)

other = kms.create_key()["KeyMetadata"]["KeyId"]
moved = kms.re_encrypt(
    CiphertextBlob=sealed["CiphertextBlob"], SourceEncryptionContext=context, DestinationKeyId=other
)
assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], KeyId=other)["Plaintext"] == b"attack at dawn"
expect_error("IncorrectKeyException", kms.decrypt, CiphertextBlob=moved["CiphertextBlob"], KeyId=key)

policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
assert policy["Statement"][0]["Action"] == "kms:*", policy
kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
kms.tag_resource(KeyId=key, Tags=[{"TagKey": "stage", "TagValue": "ä"}])
tags = kms.list_resource_tags(KeyId=key)["Tags"]
assert tags == [{"TagKey": "stage", "TagValue": "ä"}, {"TagKey": "team", "TagValue": "web"}], tags

kms.disable_key(KeyId=key)
expect_error("DisabledException", kms.encrypt, KeyId=key, Plaintext=b"x")
kms.enable_key(KeyId=key)
gone = kms.schedule_key_deletion(KeyId=other, PendingWindowInDays=7)
assert gone["KeyState"] == "PendingDeletion" and gone["DeletionDate"].tzinfo is not None
expect_error("KMSInvalidStateException", kms.decrypt, CiphertextBlob=moved["CiphertextBlob"])
kms.cancel_key_deletion(KeyId=other)
try:
    kms.describe_key(KeyId="alias/none")
    raise AssertionError("an alias that does not exist is found")
except kms.exceptions.NotFoundException as error:
    assert error.response["ResponseMetadata"]["RequestId"]
expect_error("UnsupportedOperationException", kms.create_grant, KeyId=key, GranteePrincipal="a", Operations=["Encrypt"])
expect_error("UnsupportedOperationException", kms.create_key, KeySpec="RSA_2048")


def objects():
    """Objects are encrypted with named keys, and read while these are enabled."""
    s3 = client()
    at = {"Bucket": "boto3-kms"}
    s3.create_bucket(**at)
    named = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    assert s3.put_object(**at, Key="own", Body=b"body", **named)["SSEKMSKeyId"] == arn
    s3.put_object(**at, Key="shared", Body=b"body", BucketKeyEnabled=True, **named)
    s3.put_object(**at, Key="default", Body=b"body", ServerSideEncryption="aws:kms")
    assert "alias/aws/s3" in [alias["AliasName"] for alias in kms.list_aliases()["Aliases"]]
    kms.disable_key(KeyId=key)
    for name in ("own", "shared"):
        expect_error("KMS.DisabledException", s3.get_object, **at, Key=name)
        s3.head_object(**at, Key=name)
    assert s3.get_object(**at, Key="default")["Body"].read() == b"body"
    none = {**named, "SSEKMSKeyId": "00000000-0000-4000-8000-000000000000"}
    expect_error("KMS.NotFoundException", s3.put_object, **at, Key="other", Body=b"body", **none)
    kms.enable_key(KeyId=key)
    for name in ("own", "shared"):
        assert s3.get_object(**at, Key=name)["Body"].read() == b"body"


objects()
print("all good")
