"""boto3 against the store that AWS_ENDPOINT_URL names: access control lists.

Prints "all good", or ends with the assertion that failed.
"""
from boto3_store import client, expect_error

BUCKET = "boto3-acl"
ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"


def grants(answer):
    return [(grant["Grantee"].get("URI") or grant["Grantee"]["ID"], grant["Permission"]) for grant in answer["Grants"]]


def enforced(s3):
    expect_error("AccessControlListNotSupported", s3.put_bucket_acl, Bucket=BUCKET, ACL="public-read")
    expect_error("AccessControlListNotSupported", s3.put_object, Bucket=BUCKET, Key="k", ACL="public-read")
    s3.put_object(Bucket=BUCKET, Key="k", ACL="bucket-owner-full-control")
    s3.put_object_acl(Bucket=BUCKET, Key="k", ACL="bucket-owner-full-control")


def counting(s3):
    s3.put_bucket_ownership_controls(Bucket=BUCKET, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    expect_error("AccessDenied", s3.put_bucket_acl, Bucket=BUCKET, ACL="public-read")
    s3.delete_public_access_block(Bucket=BUCKET)
    shown = s3.get_bucket_acl(Bucket=BUCKET)
    owner = shown["Owner"]
    full = (owner["ID"], "FULL_CONTROL")
    assert grants(shown) == [full], shown
    s3.put_bucket_acl(Bucket=BUCKET, ACL="public-read-write")
    assert grants(s3.get_bucket_acl(Bucket=BUCKET)) == [full, (ALL_USERS, "READ"), (ALL_USERS, "WRITE")]
    policy = {"Owner": owner, "Grants": [{"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ_ACP"}]}
    s3.put_object_acl(Bucket=BUCKET, Key="k", AccessControlPolicy=policy)
    assert grants(s3.get_object_acl(Bucket=BUCKET, Key="k")) == [(ALL_USERS, "READ_ACP")]
    shown = s3.get_object_acl(Bucket=BUCKET, Key="k")
    s3.put_object_acl(Bucket=BUCKET, Key="k", AccessControlPolicy={"Owner": shown["Owner"], "Grants": shown["Grants"]})
    assert grants(s3.get_object_acl(Bucket=BUCKET, Key="k")) == [(ALL_USERS, "READ_ACP")], "a list is accepted as it was returned"
    s3.put_object(Bucket=BUCKET, Key="k", GrantFullControl=f'id="{owner["ID"]}"', GrantRead=f'uri="{ALL_USERS}"')
    assert grants(s3.get_object_acl(Bucket=BUCKET, Key="k")) == [full, (ALL_USERS, "READ")]
    s3.put_object(Bucket=BUCKET, Key="k", ACL="authenticated-read")
    assert grants(s3.get_object_acl(Bucket=BUCKET, Key="k")) == [full, (AUTHENTICATED, "READ")]
    logs = f'uri="{LOG_DELIVERY}"'
    s3.put_bucket_acl(Bucket=BUCKET, GrantWrite=logs, GrantReadACP=logs)
    assert sorted(grants(s3.get_bucket_acl(Bucket=BUCKET))) == [(LOG_DELIVERY, "READ_ACP"), (LOG_DELIVERY, "WRITE")]
    nobody = 'emailAddress="nobody@nowhere.example"'
    expect_error("UnresolvableGrantByEmailAddress", s3.put_object_acl, Bucket=BUCKET, Key="k", GrantRead=nobody)


def main():
    s3 = client()
    s3.create_bucket(Bucket=BUCKET)
    enforced(s3)
    counting(s3)
    s3.delete_object(Bucket=BUCKET, Key="k")
    s3.delete_bucket(Bucket=BUCKET)
    print("all good")


main()
