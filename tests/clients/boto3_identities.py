"""boto3 against the store that AWS_ENDPOINT_URL names: users, groups, roles, policies, providers, sessions.

Ends with "all good" on standard output, or with a traceback.
"""
import json

from boto3_store import client, expect_error


def keys_of(made):
    keys = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    return {**keys, "aws_session_token": made["SessionToken"]} if "SessionToken" in made else keys


def document(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


iam = client("iam")
READ = document(Action="s3:Get*", Resource="arn:aws:s3:::b/${aws:username}/*")

for number in range(5):
    iam.create_user(UserName=f"boto-{number}", Path="/boto/")
pages = list(iam.get_paginator("list_users").paginate(PathPrefix="/boto/", PaginationConfig={"PageSize": 2}))
assert [len(page["Users"]) for page in pages] == [2, 2, 1], pages
assert pages[0]["Users"][0]["CreateDate"].tzinfo is not None
expect_error("EntityAlreadyExists", iam.create_user, UserName="boto-0")
try:
    iam.get_user(UserName="nobody")
    raise AssertionError("a deleted user is still returned")
except iam.exceptions.NoSuchEntityException as error:
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert error.response["ResponseMetadata"]["RequestId"]

iam.create_group(GroupName="boto")
iam.add_user_to_group(GroupName="boto", UserName="boto-0")
iam.put_group_policy(GroupName="boto", PolicyName="read", PolicyDocument=READ)
assert iam.get_group_policy(GroupName="boto", PolicyName="read")["PolicyDocument"] == json.loads(READ)
assert [user["UserName"] for user in iam.get_group(GroupName="boto")["Users"]] == ["boto-0"]

policy = iam.create_policy(PolicyName="boto", PolicyDocument=READ)["Policy"]
iam.create_policy_version(PolicyArn=policy["Arn"], PolicyDocument=READ, SetAsDefault=True)
assert iam.get_policy(PolicyArn=policy["Arn"])["Policy"]["DefaultVersionId"] == "v2"
assert [one["VersionId"] for one in iam.list_policy_versions(PolicyArn=policy["Arn"])["Versions"]] == ["v2", "v1"]
iam.put_user_permissions_boundary(UserName="boto-1", PermissionsBoundary=policy["Arn"])
assert iam.get_user(UserName="boto-1")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == policy["Arn"]
entities = iam.list_entities_for_policy(PolicyArn=policy["Arn"])
assert [user["UserName"] for user in entities["PolicyUsers"]] == ["boto-1"] and entities["PolicyRoles"] == []

trust = document(Principal={"AWS": "*"}, Action="sts:AssumeRole")
role = iam.create_role(RoleName="boto", AssumeRolePolicyDocument=trust, MaxSessionDuration=7200)["Role"]
assert role["AssumeRolePolicyDocument"] == json.loads(trust) and role["MaxSessionDuration"] == 7200
iam.attach_role_policy(RoleName="boto", PolicyArn="arn:aws:iam::aws:policy/IAMReadOnlyAccess")
iam.put_user_policy(UserName="boto-0", PolicyName="own", PolicyDocument=document(Action="sts:AssumeRole", Resource="*"))
user_keys = keys_of(iam.create_access_key(UserName="boto-0")["AccessKey"])
assumed = client("sts", user_keys).assume_role(RoleArn=role["Arn"], RoleSessionName="boto")
assert assumed["AssumedRoleUser"]["Arn"].endswith(":assumed-role/boto/boto")
session = keys_of(assumed["Credentials"])
assert client("sts", session).get_caller_identity()["UserId"].endswith(":boto")
assert client("iam", session).get_account_summary()["SummaryMap"]["Users"] >= 5
expect_error("AccessDenied", client("iam", session).delete_user, UserName="boto-4")
expect_error("SignatureDoesNotMatch", client("iam", {**user_keys, "aws_secret_access_key": "wrong"}).list_users)

provider = iam.create_open_id_connect_provider(Url="https://boto.example.com", ClientIDList=["a", "b"], ThumbprintList=[])
got = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider["OpenIDConnectProviderArn"])
assert got["ClientIDList"] == ["a", "b"] and got["ThumbprintList"] == [], got
iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider["OpenIDConnectProviderArn"])
assert iam.list_account_aliases()["AccountAliases"] == []

def whoami(keys):
    return client("sts", keys).get_caller_identity()["Arn"]


def ends_with_its_key():
    """A user with a policy of the account, a role, and sessions, which end while the key is inactive."""
    iam.create_user(UserName="bob", Tags=[{"Key": "team", "Value": "\u00e9"}])
    assert iam.get_user(UserName="bob")["User"]["Tags"] == [{"Key": "team", "Value": "\u00e9"}]
    bob = keys_of(iam.create_access_key(UserName="bob")["AccessKey"])
    expect_error("AccessDenied", client("iam", bob).list_users)
    lister = document(Action=["iam:List*", "sts:AssumeRole"], Resource="*")
    arn = iam.create_policy(PolicyName="lister", PolicyDocument=lister)["Policy"]["Arn"]
    iam.attach_user_policy(UserName="bob", PolicyArn=arn)
    assert "bob" in [user["UserName"] for user in client("iam", bob).list_users()["Users"]]
    role = iam.create_role(RoleName="work", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    sts = client("sts", bob)
    working = keys_of(sts.assume_role(RoleArn=role, RoleSessionName="work")["Credentials"])
    assert whoami(working).endswith("assumed-role/work/work")
    expect_error("AccessDenied", client("iam", working).list_users)
    iam.put_role_policy(RoleName="work", PolicyName="p", PolicyDocument=lister)
    assert "work" in [role["RoleName"] for role in client("iam", working).list_roles()["Roles"]]
    temporary = keys_of(sts.get_session_token()["Credentials"])
    assert whoami(temporary).endswith("user/bob")
    key = {"UserName": "bob", "AccessKeyId": bob["aws_access_key_id"]}
    iam.update_access_key(**key, Status="Inactive")
    for ended in (bob, working, temporary):
        expect_error("InvalidClientTokenId", client("sts", ended).get_caller_identity)
    expect_error("NotImplemented", iam.list_server_certificates)
    expect_error("DeleteConflict", iam.delete_user, UserName="bob")
    iam.detach_user_policy(UserName="bob", PolicyArn=arn)
    iam.delete_access_key(**key)
    iam.delete_user(UserName="bob")
    iam.delete_policy(PolicyArn=arn)
    iam.delete_role_policy(RoleName="work", PolicyName="p")
    iam.delete_role(RoleName="work")


def apply_to_objects():
    """Permissions of users and sessions apply to S3 immediately, and end immediately."""
    s3 = client()
    at = {"Bucket": "boto3-given", "Key": "team/object"}
    s3.create_bucket(Bucket="boto3-given")
    s3.put_object(**at, Body=b"content")
    iam.create_user(UserName="reader")
    reader = keys_of(iam.create_access_key(UserName="reader")["AccessKey"])
    session = keys_of(client("sts", reader).get_session_token()["Credentials"])
    both = [client("s3", reader), client("s3", session)]
    expect_error("AccessDenied", both[0].get_object, **at)
    read = document(Action="s3:GetObject", Resource="arn:aws:s3:::boto3-given/team/*")
    named = {"UserName": "reader", "PolicyName": "p"}
    iam.put_user_policy(**named, PolicyDocument=read)
    for one in both:
        assert one.get_object(**at)["Body"].read() == b"content"
        expect_error("AccessDenied", one.delete_object, **at)
    iam.delete_user_policy(**named)
    for one in both:
        expect_error("AccessDenied", one.get_object, **at)
    iam.put_user_policy(**named, PolicyDocument=read)
    both[1].get_object(**at)
    iam.delete_access_key(UserName="reader", AccessKeyId=reader["aws_access_key_id"])
    expect_error("InvalidAccessKeyId", both[0].get_object, **at)
    expect_error(("InvalidToken", "InvalidAccessKeyId"), both[1].get_object, **at)
    iam.delete_user_policy(**named)
    iam.delete_user(UserName="reader")
    s3.delete_object(**at)
    s3.delete_bucket(Bucket="boto3-given")


ends_with_its_key()
apply_to_objects()

iam.detach_role_policy(RoleName="boto", PolicyArn="arn:aws:iam::aws:policy/IAMReadOnlyAccess")
iam.delete_role(RoleName="boto")
iam.delete_user_permissions_boundary(UserName="boto-1")
iam.delete_policy_version(PolicyArn=policy["Arn"], VersionId="v1")
iam.delete_policy(PolicyArn=policy["Arn"])
iam.delete_user_policy(UserName="boto-0", PolicyName="own")
iam.remove_user_from_group(GroupName="boto", UserName="boto-0")
iam.delete_group_policy(GroupName="boto", PolicyName="read")
iam.delete_group(GroupName="boto")
iam.delete_access_key(UserName="boto-0", AccessKeyId=user_keys["aws_access_key_id"])
for number in range(5):
    iam.delete_user(UserName=f"boto-{number}")
print("all good")
