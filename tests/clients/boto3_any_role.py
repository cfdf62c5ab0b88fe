"""boto3 against the store that AWS_ENDPOINT_URL names, which is called as MinIO's: temporary keys for any text as RoleArn.

Ends with "all good" on standard output, or with a traceback.
"""
import json

from boto3_store import client, expect_error

sts, s3 = client("sts"), client()
BUCKET = "boto3-any-role"
READ = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{BUCKET}/shared/*"]}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [READ]})

s3.create_bucket(Bucket=BUCKET)
for key in ("shared/a", "own/a"):
    s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
for arn in ("arn:minio:iam:::role/any-role", "arn:aws:iam::000000000000:role/polaris", "arn:aws:iam::123456789012:role/x"):
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="catalog", Policy=POLICY, DurationSeconds=900)
    made = answer["Credentials"]
    names = {"aws_access_key_id": "AccessKeyId", "aws_secret_access_key": "SecretAccessKey", "aws_session_token": "SessionToken"}
    narrowed = client(keys={name: made[value] for name, value in names.items()})
    assert narrowed.get_object(Bucket=BUCKET, Key="shared/a")["Body"].read() == b"shared/a", arn
    expect_error("AccessDenied", narrowed.get_object, Bucket=BUCKET, Key="own/a")
    expect_error("AccessDenied", narrowed.put_object, Bucket=BUCKET, Key="shared/a", Body=b"")
own = sts.get_caller_identity()["Account"]
role = {"RoleArn": f"arn:aws:iam::{own}:role/none", "RoleSessionName": "catalog"}
expect_error("AccessDenied", sts.assume_role, **role)
print("all good")
