"""boto3 against the store that AWS_ENDPOINT_URL names: settings of a bucket.

Prints "all good", or ends with the assertion that failed.
"""
import urllib.request

from boto3_store import client, expect_error

BUCKET = "boto3-settings"
PAGE = "https://page.example.com"
CORS = {"CORSRules": [{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": [PAGE], "ExposeHeaders": ["ETag"]}]}
BLOCK = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}
OWNERSHIP = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
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
    assert shown(s3.get_bucket_request_payment(Bucket=BUCKET)) == {"Payer": "BucketOwner"}
    s3.put_bucket_request_payment(Bucket=BUCKET, RequestPaymentConfiguration={"Payer": "Requester"})
    assert shown(s3.get_bucket_request_payment(Bucket=BUCKET)) == {"Payer": "Requester"}


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
    cross_origin(s3)
    s3.delete_object(Bucket=BUCKET, Key="of a page")
    s3.delete_bucket(Bucket=BUCKET)
    print("all good")


main()
