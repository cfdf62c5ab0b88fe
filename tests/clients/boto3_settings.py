"""boto3 against the store that AWS_ENDPOINT_URL names: settings of a bucket.

Prints "all good", or ends with the assertion that failed.
"""
import datetime
import urllib.request

from boto3_store import client, expect_error

BUCKET = "boto3-settings"
PAGE = "https://page.example.com"
CORS = {"CORSRules": [{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": [PAGE], "ExposeHeaders": ["ETag"]}]}
BLOCK = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}
OWNERSHIP = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
WEBSITE = {
    "IndexDocument": {"Suffix": "index.html"},
    "ErrorDocument": {"Key": "error.html"},
    "RoutingRules": [
        {
            "Condition": {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": "docs/"},
            "Redirect": {"HostName": "new.example.com", "HttpRedirectCode": "302", "ReplaceKeyPrefixWith": "documents/"},
        }
    ],
}
TAGS = {"TagSet": [{"Key": "team", "Value": "\u00e9"}]}


def shown(answer):
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def settings(s3):
    everything = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
    assert s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"] == everything
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=BLOCK)
    assert s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"] == BLOCK
    s3.delete_public_access_block(Bucket=BUCKET)
    expect_error("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=BUCKET)
    s3.put_bucket_ownership_controls(Bucket=BUCKET, OwnershipControls=OWNERSHIP)
    assert s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"] == OWNERSHIP
    s3.delete_bucket_ownership_controls(Bucket=BUCKET)
    expect_error("OwnershipControlsNotFoundError", s3.get_bucket_ownership_controls, Bucket=BUCKET)
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging=TAGS)
    assert shown(s3.get_bucket_tagging(Bucket=BUCKET)) == TAGS
    s3.delete_bucket_tagging(Bucket=BUCKET)
    expect_error("NoSuchTagSet", s3.get_bucket_tagging, Bucket=BUCKET)
    s3.put_bucket_website(Bucket=BUCKET, WebsiteConfiguration=WEBSITE)
    assert shown(s3.get_bucket_website(Bucket=BUCKET)) == WEBSITE
    s3.delete_bucket_website(Bucket=BUCKET)
    expect_error("NoSuchWebsiteConfiguration", s3.get_bucket_website, Bucket=BUCKET)
    assert shown(s3.get_bucket_request_payment(Bucket=BUCKET)) == {"Payer": "BucketOwner"}
    s3.put_bucket_request_payment(Bucket=BUCKET, RequestPaymentConfiguration={"Payer": "Requester"})
    assert shown(s3.get_bucket_request_payment(Bucket=BUCKET)) == {"Payer": "Requester"}


def lifecycle(s3):
    midnight = datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)
    size = {"And": {"ObjectSizeGreaterThan": 1, "ObjectSizeLessThan": 5}}
    abort = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}
    rules = [
        {"ID": "dated \u00e9", "Filter": size, "Status": "Enabled", "Expiration": {"Date": midnight}},
        {"ID": "uploads", "Filter": {"Prefix": "up/"}, "Status": "Enabled", **abort},
        {"ID": "off", "Filter": {}, "Status": "Disabled", "Expiration": {"Days": 1}},
        {
            "ID": "old logs",
            "Filter": {"And": {"Prefix": "logs/", "Tags": [{"Key": "keep", "Value": "no"}]}},
            "Status": "Enabled",
            "Expiration": {"Days": 30},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7, "NewerNoncurrentVersions": 3},
        },
        {"ID": "markers", "Filter": {}, "Status": "Enabled", "Expiration": {"ExpiredObjectDeleteMarker": True}},
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"] == rules
    expected = 'expiry-date="Fri, 01 Jan 2100 00:00:00 GMT", rule-id="dated %C3%A9"'
    assert s3.put_object(Bucket=BUCKET, Key="expires", Body=b"abc")["Expiration"] == expected
    assert s3.get_object(Bucket=BUCKET, Key="expires")["Expiration"] == expected
    source = {"Bucket": BUCKET, "Key": "expires"}
    assert s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=source)["Expiration"] == expected
    assert "Expiration" not in s3.put_object(Bucket=BUCKET, Key="stays", Body=b"abcde")
    tagged = s3.put_object(Bucket=BUCKET, Key="logs/a", Body=b"", Tagging="keep=no")["Expiration"]
    assert tagged.endswith(' 00:00:00 GMT", rule-id="old logs"'), tagged
    assert s3.head_object(Bucket=BUCKET, Key="logs/a")["Expiration"] == tagged
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="up/load")
    assert upload["AbortRuleId"] == "uploads", upload
    assert upload["AbortDate"].time() == datetime.time(0), upload
    listed = s3.list_parts(Bucket=BUCKET, Key="up/load", UploadId=upload["UploadId"])
    assert listed["AbortDate"] == upload["AbortDate"], listed
    s3.abort_multipart_upload(Bucket=BUCKET, Key="up/load", UploadId=upload["UploadId"])
    legacy = [{"ID": "legacy", "Prefix": "logs/", "Status": "Enabled", "Expiration": {"Days": 3}}]
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": legacy})
    assert s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"] == legacy
    cold = {"Transitions": [{"Days": 30, "StorageClass": "GLACIER"}]}
    rules = [{"ID": "cold", "Filter": {}, "Status": "Enabled", **cold}]
    refused = {"Bucket": BUCKET, "LifecycleConfiguration": {"Rules": rules}}
    expect_error("NotImplemented", s3.put_bucket_lifecycle_configuration, **refused)
    s3.delete_bucket_lifecycle(Bucket=BUCKET)
    expect_error("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket=BUCKET)
    for key in ["expires", "copy", "stays", "logs/a"]:
        s3.delete_object(Bucket=BUCKET, Key=key)


def cross_origin(s3):
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration=CORS)
    assert shown(s3.get_bucket_cors(Bucket=BUCKET)) == CORS
    arguments = {"Bucket": BUCKET, "Key": "of a page"}
    url = s3.generate_presigned_url("put_object", Params=arguments)
    ask = urllib.request.Request(url, method="OPTIONS")
    ask.add_header("Origin", PAGE)
    ask.add_header("Access-Control-Request-Method", "PUT")
    with urllib.request.urlopen(ask) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE, answer.headers
    put = urllib.request.Request(url, data=b"body", method="PUT")
    put.add_header("Content-Type", "")
    put.add_header("Origin", PAGE)
    with urllib.request.urlopen(put) as answer:
        assert answer.headers["Access-Control-Expose-Headers"] == "ETag", answer.headers
    s3.delete_bucket_cors(Bucket=BUCKET)
    expect_error("NoSuchCORSConfiguration", s3.get_bucket_cors, Bucket=BUCKET)


def main():
    s3 = client()
    s3.create_bucket(Bucket=BUCKET)
    settings(s3)
    lifecycle(s3)
    cross_origin(s3)
    s3.delete_object(Bucket=BUCKET, Key="of a page")
    s3.delete_bucket(Bucket=BUCKET)
    print("all good")


main()
