/** Invalid policies are refused, in AWS's wording where it exists, with the path; valid ones are accepted. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { isFailure } from "@hayloft/base/failures.js"
import { parseBucketPolicy, type ActionScope } from "./bucket-policy.js"
import type { AccessPolicy, AccessPolicyKind } from "./contract.js"
import { parseIpAddress } from "./ip-range.js"
import { POLICY_LIMITS, policyCharacters } from "./limits.js"
import { patternOf } from "./pattern.js"
import { parseAccessPolicy } from "./parse-access-policy.js"

const ALLOW = { Effect: "Allow", Action: "s3:GetObject", Resource: "arn:aws:s3:::photos/*" }
const EVERYBODY = { ...ALLOW, Principal: "*" }
const ASSUME = { Effect: "Allow", Action: "sts:AssumeRole", Principal: { AWS: "111111111111" } }

const document = (...statements: readonly unknown[]): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: statements })

function refused(parse: () => AccessPolicy): string {
  try {
    parse()
  } catch (error) {
    assert.ok(isFailure(error, "malformedPolicy"), String(error))
    return `${String(error.details["where"])} ${String(error.details["message"])}`
  }
  return "taken"
}

type Line = readonly [AccessPolicyKind, text: string, message: string]

const conditioned = (condition: unknown): string => document({ ...ALLOW, Condition: condition })
const at = "$.Statement[0]"

const LINES: readonly Line[] = [
  ["identity", "", "$ Syntax errors in policy."],
  ["resource", "{", "$ This policy contains invalid Json"],
  ["resource", "[]", "$ Policies must be valid JSON and the first byte must be '{'"],
  ["resource", '{"Version":"2012-10-17"}', "$ Missing required field Statement"],
  ["resource", document(), "$.Statement Could not parse the policy: Statement is empty!"],
  ["identity", '{"Statement":"x"}', "$.Statement Each statement must be an object"],
  [
    "identity",
    JSON.stringify({ Version: "2020-01-01", Statement: ALLOW }),
    "$.Version The policy must contain a valid version string",
  ],
  ["identity", JSON.stringify({ Id: 1, Statement: ALLOW }), "$.Id The Id of a policy must be a string"],
  ["identity", JSON.stringify({ Statements: [ALLOW] }), "$.Statements Unknown field Statements"],
  ["identity", document({ ...ALLOW, effect: "Allow" }), `${at}.effect Unknown field effect`],
  // Duplicate members, at any depth and in any spelling
  [
    "identity",
    '{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}',
    "$.Version The policy has a member twice: Version",
  ],
  [
    "identity",
    '{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*"},{"Effect":"Allow","Action":"a:b","\\u0041ction":"*","Resource":"*"}]}',
    "$.Statement[1].Action The policy has a member twice: Action",
  ],
  [
    "identity",
    conditioned({ StringLike: { "s3:prefix": "a" } }).replace('"a"}', '"a","s3:prefix":"b"}'),
    `${at}.Condition.StringLike["s3:prefix"] The policy has a member twice: s3:prefix`,
  ],
  // Effect, Sid
  ["identity", document({ ...ALLOW, Effect: "allow" }), `${at}.Effect Invalid effect: allow`],
  ["identity", document({ Action: "*", Resource: "*" }), `${at} Missing required field Effect`],
  ["identity", document({ ...ALLOW, Sid: "not one" }), `${at}.Sid Statement IDs (SID) must be alpha-numeric.`],
  [
    "identity",
    document({ ...ALLOW, Sid: "A" }, { ...ALLOW, Sid: "A" }),
    "$.Statement[1].Sid Statement IDs (SID) in a single policy must be unique.",
  ],
  // Actions
  ["identity", document({ Effect: "Allow", Resource: "*" }), `${at} Policy statement must contain actions.`],
  ["resource", document({ Effect: "Allow", Resource: "*", Principal: "*" }), `${at} Missing required field Action`],
  ["identity", document({ ...ALLOW, Action: [] }), `${at}.Action Policy statement must contain actions.`],
  ["identity", document({ ...ALLOW, Action: ["s3:*", 1] }), `${at}.Action[1] Policy statement must contain actions.`],
  [
    "identity",
    document({ ...ALLOW, Action: ["s3:*", "GetObject"] }),
    `${at}.Action[1] Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.: GetObject`,
  ],
  [
    "identity",
    document({ ...ALLOW, NotAction: "s3:*" }),
    `${at}.NotAction A statement has Action or NotAction, not both`,
  ],
  // Resources
  ["identity", document({ Effect: "Allow", Action: "*" }), `${at} Policy statement must contain resources.`],
  [
    "identity",
    document({ ...ALLOW, Resource: "photos" }),
    `${at}.Resource Resource photos must be in ARN format or "*".`,
  ],
  [
    "resource",
    document({ ...EVERYBODY, Resource: ["*", "arn:aws:s3:::"] }),
    `${at}.Resource[1] Policy has invalid resource`,
  ],
  [
    "resource",
    document({ ...EVERYBODY, Resource: "arn:aws:s*:::photos" }),
    `${at}.Resource Policy has invalid resource`,
  ],
  [
    "resource",
    document({ ...EVERYBODY, Resource: `arn:aws:s3:::photos/\${}` }),
    `${at}.Resource Policy has invalid resource`,
  ],
  [
    "resource",
    document({ ...EVERYBODY, Resource: `arn:aws:s3::\${aws:userid}:a` }),
    `${at}.Resource Policy has invalid resource`,
  ],
  [
    "identity",
    document({ ...ALLOW, NotResource: "*" }),
    `${at}.NotResource A statement has Resource or NotResource, not both`,
  ],
  ["trust", document({ ...ASSUME, Resource: "*" }), `${at}.Resource Has prohibited field Resource`],
  [
    "trust",
    document({ ...ASSUME, Action: "s3:GetObject" }),
    `${at}.Action AssumeRole policy may only specify STS AssumeRole actions.`,
  ],
  // Principals
  ["identity", document(EVERYBODY), `${at}.Principal Policy document should not specify a principal.`],
  ["resource", document(ALLOW), `${at} Missing required field Principal`],
  ...[
    "arn:aws:iam::111111111111:user/*",
    "arn:aws:iam::111111111111:group/all",
    "arn:aws:iam::1111:root",
    "bob",
    "11111111111",
    "",
    "AKIAIOSFODNN7EXAMPLE",
  ].map((AWS): Line => [
    "resource",
    document({ ...EVERYBODY, Principal: { AWS } }),
    `${at}.Principal.AWS Invalid principal in policy`,
  ]),
  [
    "resource",
    document({ ...EVERYBODY, Principal: { AWS: ["*", "x"] } }),
    `${at}.Principal.AWS[1] Invalid principal in policy`,
  ],
  [
    "resource",
    document({ ...EVERYBODY, Principal: { User: "x" } }),
    `${at}.Principal.User Invalid principal in policy`,
  ],
  ["resource", document({ ...EVERYBODY, Principal: {} }), `${at}.Principal Invalid principal in policy`],
  ["resource", document({ ...EVERYBODY, Principal: "111111111111" }), `${at}.Principal Invalid principal in policy`],
  ["resource", document({ ...ALLOW, NotPrincipal: "*" }), `${at}.NotPrincipal Allow with NotPrincipal is not allowed.`],
  // Conditions
  ["identity", conditioned([]), `${at}.Condition Conditions must be an object of operators`],
  [
    "identity",
    conditioned({ StringMatches: { "s3:prefix": "a" } }),
    `${at}.Condition.StringMatches Invalid Condition type : StringMatches`,
  ],
  [
    "identity",
    conditioned({ NullIfExists: { "s3:prefix": "true" } }),
    `${at}.Condition.NullIfExists Invalid Condition type : NullIfExists`,
  ],
  [
    "identity",
    conditioned({ "ForSome:StringLike": {} }),
    `${at}.Condition["ForSome:StringLike"] Invalid Condition type : ForSome:StringLike`,
  ],
  [
    "identity",
    conditioned({ StringLike: "a" }),
    `${at}.Condition.StringLike A condition operator must have an object of keys and values`,
  ],
  [
    "identity",
    conditioned({ StringLike: { prefix: "a" } }),
    `${at}.Condition.StringLike.prefix Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.`,
  ],
  [
    "resource",
    document({ ...EVERYBODY, Condition: { StringLike: { "s3:colour": "a" } } }),
    `${at}.Condition.StringLike["s3:colour"] Policy has an invalid condition key`,
  ],
  [
    "resource",
    document({ ...EVERYBODY, Condition: { StringLike: { "aws:PrincipalTag/": "a" } } }),
    `${at}.Condition.StringLike["aws:PrincipalTag/"] Policy has an invalid condition key`,
  ],
  [
    "identity",
    conditioned({ StringLike: { "s3:prefix": [] } }),
    `${at}.Condition.StringLike["s3:prefix"] A condition needs a value`,
  ],
  [
    "identity",
    conditioned({ StringLike: { "s3:prefix": ["a", null] } }),
    `${at}.Condition.StringLike["s3:prefix"][1] Invalid value in Conditions for StringLike`,
  ],
  [
    "identity",
    conditioned({ StringLike: { "s3:prefix": `\${name}` } }),
    `${at}.Condition.StringLike["s3:prefix"] Invalid value in Conditions for StringLike`,
  ],
  ...(
    [
      ["NumericLessThan", "ten"],
      ["NumericLessThan", `\${aws:EpochTime}`],
      ["DateGreaterThan", "2026-02-30"],
      ["Bool", "yes"],
      ["Null", "maybe"],
      ["BinaryEquals", "***"],
      ["ArnLike", "bob"],
    ] as const
  ).map(([operator, value]): Line => [
    "identity",
    conditioned({ [operator]: { "aws:x": value } }),
    `${at}.Condition.${operator}["aws:x"] Invalid value in Conditions for ${operator}`,
  ]),
  ...["10.0.0.0/33", "10.0.0", "300.0.0.1", "::/129", "1::2::3", "fe80::1%eth0", "10.0.0.0/x", "01.2.3.4", ""].map(
    (value): Line => [
      "identity",
      conditioned({ IpAddress: { "aws:SourceIp": value } }),
      `${at}.Condition.IpAddress["aws:SourceIp"] Invalid IP address in Conditions`,
    ],
  ),
]

for (const [kind, text, message] of LINES) {
  test(`${kind}: ${message}`, () => {
    assert.equal(
      refused(() => parseAccessPolicy(text, kind)),
      message,
    )
  })
}

test("policies that AWS accepts are accepted", () => {
  const taken: readonly (readonly [AccessPolicyKind, string])[] = [
    ["identity", JSON.stringify({ Version: "2012-10-17", Id: "any", Statement: ALLOW })],
    [
      "identity",
      document({ Sid: "", Effect: "Deny", NotAction: ["ec2:*", "*"], NotResource: "arn:aws-cn:ec2:*:*:instance/*" }),
    ],
    ["identity", document({ ...ALLOW, Sid: "" }, { ...ALLOW, Sid: "" })],
    ["identity", JSON.stringify({ Statement: { ...ALLOW, Resource: `arn:aws:s3:::photos/\${name}` } })],
    ["identity", conditioned({})],
    [
      "identity",
      conditioned({ "ForAnyValue:StringLikeIfExists": { "ec2:InstanceType": ["t?.*", `\${aws:username}`] } }),
    ],
    [
      "identity",
      conditioned({
        ArnLike: { "aws:SourceArn": [`\${aws:PrincipalArn}`, "*"] },
        NumericEquals: { "s3:max-keys": 10 },
      }),
    ],
    [
      "resource",
      document({
        ...EVERYBODY,
        Sid: "with spaces",
        Condition: { StringEquals: { "id.example.com:8443/realm:sub": "x" } },
      }),
    ],
    [
      "resource",
      document({
        ...EVERYBODY,
        Principal: {
          AWS: [
            "*",
            "111111111111",
            "arn:aws:sts::111111111111:assumed-role/r/s",
            "AROAEXAMPLEEXAMPLE1:s",
            "arn:aws:iam::111111111111:role/path/r",
          ],
          Service: "logging.s3.amazonaws.com",
          CanonicalUser: "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be",
        },
      }),
    ],
    [
      "trust",
      document({
        ...ASSUME,
        Action: "sts:AssumeRoleWithWebIdentity",
        Principal: { Federated: "arn:aws:iam::111111111111:oidc-provider/id.example.com/a" },
      }),
    ],
  ]
  for (const [kind, text] of taken)
    assert.equal(
      refused(() => parseAccessPolicy(text, kind)),
      "taken",
      text,
    )
})

test("a document of 2008 has no variables: their syntax is text", () => {
  const { statements, version } = parseAccessPolicy(
    JSON.stringify({ Statement: { ...ALLOW, Resource: `arn:aws:s3:::photos/\${` } }),
    "identity",
  )
  assert.equal(version, "2008-10-17")
  assert.deepEqual(statements[0]?.resources?.patterns, [`arn:aws:s3:::photos/\${`])
})

test("document size is limited: for IAM without white space, for buckets with it", () => {
  const long = (length: number): string => document({ ...ALLOW, Resource: `arn:aws:s3:::photos/${"x".repeat(length)}` })
  const spaces = " ".repeat(3000)
  assert.equal(policyCharacters(`{ "a" :\n\t1 }`), 7)
  assert.equal(
    refused(() => parseAccessPolicy(spaces + long(10_000) + spaces, "identity")),
    "taken",
  )
  assert.match(
    refused(() => parseAccessPolicy(long(10_300), "identity")),
    /longer than 10240 characters/,
  )
  assert.match(
    refused(() => parseAccessPolicy(document({ ...ASSUME, Sid: "x".repeat(2000) }), "trust")),
    /longer than 2048/,
  )
  assert.match(
    refused(() => parseAccessPolicy(" ".repeat(POLICY_LIMITS.textCharactersMax + 1), "identity")),
    /longer than 131072/,
  )
  const padded = document(EVERYBODY).padEnd(POLICY_LIMITS.bucketBytesMax)
  assert.equal(
    refused(() => parseAccessPolicy(padded, "resource")),
    "taken",
  )
  assert.match(
    refused(() => parseAccessPolicy(`${padded} `, "resource")),
    /larger than 20480 bytes/,
  )
})

test("deep nesting and long strings are refused safely", () => {
  for (const text of [
    `{"Statement":${"[".repeat(9000)}${"]".repeat(9000)}}`,
    `{"${"x".repeat(9000)}":1}`,
    "[".repeat(10_000),
  ]) {
    assert.notEqual(
      refused(() => parseAccessPolicy(text, "resource")),
      "taken",
    )
  }
})

test("condition keys, addresses and patterns are read at once, whatever characters they repeat", () => {
  const key = `${"/".repeat(5_000)}:${"1".repeat(5_000)}:`
  const text = document({ ...EVERYBODY, Condition: { StringLike: { [key]: "a" } } })
  assert.match(
    refused(() => parseAccessPolicy(text, "resource")),
    /invalid condition key/,
  )
  assert.equal(parseIpAddress(`${"%".repeat(1_000_000)}\n`), undefined)
  const openings = "${".repeat(500_000)
  assert.ok(patternOf(openings, { variables: false, wildcards: true }) !== undefined)
  assert.equal(patternOf(openings, { variables: true, wildcards: true }), undefined)
})

const ACTIONS: ReadonlyMap<string, ActionScope> = new Map([
  ["s3:GetObject", "object"],
  ["s3:PutObject", "object"],
  ["s3:ListBucket", "bucket"],
])

const BUCKET_LINES: readonly (readonly [change: object, message: string])[] = [
  [{}, "taken"],
  [{ Action: "s3:*" }, "taken"],
  [{ Action: "*", Resource: "*" }, "taken"],
  [{ Action: ["s3:GetObject", "s3:ListBucket"], Resource: "arn:aws:s3:::photos*" }, "taken"],
  [{ Action: "S3:LISTBUCKET", Resource: "arn:aws:s3:::photos" }, "taken"],
  [{ Resource: "arn:aws:s3:::other/*" }, `${at} Policy has invalid resource`],
  [{ Resource: "arn:aws:s3:::photos2/*" }, `${at} Policy has invalid resource`],
  [{ Resource: "arn:aws:s3:::other*/x" }, `${at} Policy has invalid resource`],
  [{ Resource: "arn:aws:s3:::photo" }, `${at} Policy has invalid resource`],
  [{ Action: ["s3:GetObject", "s3:ListBucket"], Resource: "arn:aws:s3:::*" }, "taken"],
  [{ Resource: "arn:aws:s3:::ph*/public/*" }, "taken"],
  [
    { Action: "s3:ListBucket", Resource: "arn:aws:s3:::ph*/*" },
    `${at} Action does not apply to any resource(s) in statement`,
  ],
  [{ Resource: "arn:aws:s3:::photos?public" }, "taken"],
  [{ Action: ["s3:GetObject", "s3:ListBucket"], Resource: "arn:aws:s3:::ph*s" }, "taken"],
  [{ Resource: "arn:aws:s3:::ph*x" }, "taken"],
  [{ Resource: "arn:aws:iam::111111111111:user/bob" }, `${at} Policy has invalid resource`],
  [{ Action: "s3:Frobnicate" }, `${at} Policy has invalid action: s3:Frobnicate is no action of buckets and objects`],
  [{ Action: ["s3:GetObject", "ec2:*"] }, `${at} Policy has invalid action: ec2:* is no action of buckets and objects`],
  [
    { Action: "s3:GetObjct" },
    `${at} Policy has invalid action: s3:GetObjct is no action of buckets and objects; do you mean s3:GetObject?`,
  ],
  [{ Action: "s3:ListBucket" }, `${at} Action does not apply to any resource(s) in statement`],
  [
    { Action: "s3:Get*", Resource: "arn:aws:s3:::photos" },
    `${at} Action does not apply to any resource(s) in statement`,
  ],
]

for (const [change, message] of BUCKET_LINES) {
  test(`a bucket policy with ${JSON.stringify(change)}: ${message}`, () => {
    const rules = { bucket: "photos", actions: ACTIONS }
    assert.equal(
      refused(() => parseBucketPolicy(document({ ...EVERYBODY, ...change }), rules)),
      message,
    )
  })
}
