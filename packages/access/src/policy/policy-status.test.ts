/** Which bucket policies are public: Amazon's examples, and the edge cases of its rule. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { isPublic } from "./policy-status.js"
import { OTHER, OWNER, policyOf } from "./testing-requests.js"

const PUT = { Effect: "Allow", Principal: "*", Action: "s3:PutObject", Resource: "*" }

const LINES: readonly (readonly [what: string, change: object, isPublic: boolean])[] = [
  ["everybody", {}, true],
  ["everybody of AWS", { Principal: { AWS: "*" } }, true],
  ["a web identity", { Principal: { Federated: "graph.facebook.com" } }, true],
  ["an account", { Principal: { AWS: OTHER } }, false],
  ["an account and everybody", { Principal: { AWS: [OTHER, "*"] } }, true],
  ["a service", { Principal: { Service: "logging.s3.amazonaws.com" } }, false],
  ["a denial", { Effect: "Deny" }, false],
  ["vpcs by a pattern", { Condition: { StringLike: { "aws:SourceVpc": "vpc-*" } } }, true],
  ["a vpc", { Condition: { StringEquals: { "aws:SourceVpc": "vpc-91237329" } } }, false],
  ["a vpc, without a pattern", { Condition: { StringLike: { "AWS:sourcevpc": "vpc-91237329" } } }, false],
  ["a vpc or any", { Condition: { StringLike: { "aws:SourceVpc": ["vpc-1", "*"] } } }, true],
  ["a vpc, if any", { Condition: { StringEqualsIfExists: { "aws:SourceVpc": "vpc-1" } } }, true],
  ["all values of a vpc", { Condition: { "ForAllValues:StringEquals": { "aws:SourceVpc": "vpc-1" } } }, true],
  ["not a vpc", { Condition: { StringNotEquals: { "aws:SourceVpc": "vpc-1" } } }, true],
  [
    "the value of a variable",
    { Condition: { StringEquals: { "aws:SourceAccount": `\${aws:PrincipalAccount}` } } },
    true,
  ],
  ["a range", { Condition: { IpAddress: { "aws:SourceIp": "10.0.0.0/8" } } }, false],
  ["a broad range", { Condition: { IpAddress: { "aws:SourceIp": ["192.0.2.0/24", "0.0.0.0/1"] } } }, true],
  ["a range of version 6", { Condition: { IpAddress: { "aws:SourceIp": "2001:db8::/32" } } }, false],
  ["a broad range of version 6", { Condition: { IpAddress: { "aws:SourceIp": "2001::/16" } } }, true],
  ["all but a range", { Condition: { NotIpAddress: { "aws:SourceIp": "10.0.0.0/8" } } }, true],
  ["a user's id", { Condition: { StringLike: { "aws:userid": "AIDAEXAMPLE" } } }, false],
  ["sessions of a role", { Condition: { StringLike: { "aws:userid": "AROAEXAMPLE:*" } } }, true],
  ["the user id of anonymous callers", { Condition: { StringEquals: { "aws:userid": "anonymous" } } }, true],
  [
    "the account of anonymous callers",
    { Condition: { StringEqualsIgnoreCase: { "aws:PrincipalAccount": ["111122223333", "Anonymous"] } } },
    true,
  ],
  ["an account by a condition", { Condition: { StringEquals: { "aws:PrincipalAccount": "111122223333" } } }, false],
  [
    "access points of an account",
    { Condition: { ArnLike: { "s3:DataAccessPointArn": `arn:aws:s3:us-west-2:${OWNER}:accesspoint/*` } } },
    false,
  ],
  [
    "access points of any account",
    { Condition: { ArnLike: { "s3:DataAccessPointArn": "arn:aws:s3:us-west-2:*:accesspoint/x" } } },
    true,
  ],
  ["a prefix", { Condition: { StringEquals: { "s3:x-amz-acl": "private" } } }, true],
  [
    "a vpc, over a secure line",
    { Condition: { StringEquals: { "aws:SourceVpc": "vpc-1" }, Bool: { "aws:SecureTransport": "true" } } },
    false,
  ],
]

for (const [what, change, expected] of LINES) {
  test(`a policy that admits ${what} is ${expected ? "public" : "not public"}`, () => {
    assert.equal(isPublic(policyOf("resource", { ...PUT, ...change }).policy), expected)
    assert.equal(
      isPublic(policyOf("resource", { ...PUT, Principal: { AWS: OWNER } }, { ...PUT, ...change }).policy),
      expected,
    )
  })
}
