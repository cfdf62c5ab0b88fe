/** Validation of policies: all problems with their lines, warnings of what has no effect, and agreement with the parser. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccessPolicy } from "./parse-access-policy.js"
import { problemsOf, type KnownActions } from "./validate.js"

const ACTIONS: KnownActions = new Map([
  ["s3:ListAllMyBuckets", "service"],
  ["s3:ListBucket", "bucket"],
  ["s3:GetObject", "object"],
  ["s3:PutObject", "object"],
  ["iam:GetUser", undefined],
])

const shown = (text: string, kind: "identity" | "resource" | "trust" = "identity"): readonly string[] =>
  problemsOf(text, kind, ACTIONS).map(
    ({ severity, where, line, message }) => `${severity} ${line} ${where}: ${message}`,
  )

test("every problem is named with its line, not the first alone", () => {
  const text = `{
  "Version": "2012-10-17",
  "Owner": "me",
  "Statement": [
    {
      "Effect": "allow",
      "Action": ["s3:GetObject", "GetObject", "s3 PutObject"],
      "Resource": "*"
    },
    {
      "Effect": "Allow",
      "Action": "s3:ListBucket",
      "Resource": [
        "*",
        "bucket"
      ],
      "Condition": { "StringLikes": { "s3:prefix": "a" }, "IpAddress": { "aws:SourceIp": "here" } }
    },
    { "Effect": "Deny", "Principal": "*", "Action": "*" }
  ]
}`
  assert.deepEqual(
    shown(text).map(line => line.split(":").slice(0, 1).join()),
    [
      "error 3 $.Owner",
      "error 6 $.Statement[0].Effect",
      "error 7 $.Statement[0].Action[1]",
      "error 7 $.Statement[0].Action[2]",
      "error 15 $.Statement[1].Resource[1]",
      "error 17 $.Statement[1].Condition.StringLikes",
      'error 17 $.Statement[1].Condition.IpAddress["aws',
      "error 19 $.Statement[2].Principal",
      "error 19 $.Statement[2]",
    ],
  )
})

test("what is no JSON, or says one thing twice, is named with its line", () => {
  assert.match(shown('{\n  "Version": "2012-10-17",\n  oops\n}').join(), /^error 3 \$: this is not JSON/)
  const twice = '{\n"Statement": { "Effect": "Deny",\n"Effect": "Allow", "Action": "*", "Resource": "*" } }'
  assert.match(shown(twice).join(), /^error \d \$\.Statement\.Effect: .*twice: Effect/)
  assert.match(shown("[]").join(), /^error 1 \$/)
})

const one = (statement: Readonly<Record<string, unknown>>, version = "2012-10-17"): string =>
  JSON.stringify({ Version: version, Statement: [{ Effect: "Allow", Resource: "*", ...statement }] })

test("actions that do not exist, and statements that never match, are warned of", () => {
  const warnings = (statement: Readonly<Record<string, unknown>>, version?: string) =>
    shown(one(statement, version)).join()
  assert.equal(warnings({ Action: ["s3:Get*", "s3:PutObject", "iam:GetUser", "*"] }), "")
  assert.match(
    warnings({ Action: "s3:GetObjekt" }),
    /^warning .*: s3:GetObjekt is no action; do you mean s3:GetObject\?$/,
  )
  assert.match(warnings({ Action: ["s3:GetObject", "ec2:Run*"] }), /Action\[1\]: this store has no service ec2/)
  const bucket = "arn:aws:s3:::photos"
  assert.match(warnings({ Action: "s3:GetObject", Resource: bucket }), /never matches: s3:GetObject acts on an object/)
  assert.match(
    warnings({ Action: "s3:ListBucket", Resource: `${bucket}/*` }),
    /never matches: s3:ListBucket acts on a bucket/,
  )
  assert.equal(warnings({ Action: ["s3:ListBucket", "s3:GetObject"], Resource: [bucket, `${bucket}/*`] }), "")
  assert.equal(warnings({ Action: ["s3:ListBucket", "s3:GetObject"], Resource: "arn:aws:s3:::photos*" }), "")
  assert.match(warnings({ Action: "s3:ListAllMyBuckets", Resource: bucket }), /never matches/)
  assert.match(warnings({ Action: "iam:GetUser", Resource: bucket }), /never matches/)
  assert.match(warnings({ Action: "*", Condition: { Bool: { "aws:Sekure": "true" } } }), /no request has .*aws:sekure/)
  const own = { Action: "s3:GetObject", Resource: `arn:aws:s3:::home/\${aws:username}/*` }
  assert.equal(warnings(own), "")
  assert.match(warnings(own, "2008-10-17"), /need "Version": "2012-10-17"/)
})

test("an action that is written wrong is named beside other errors, with the one that is meant", () => {
  const text = (actions: unknown) =>
    JSON.stringify({ Version: "2012-10-17", Statement: { Effect: "Perhaps", Action: actions, Resource: "*" } })
  assert.deepEqual(shown(text("s3:GetObjct")), [
    "error 1 $.Statement.Effect: Invalid effect: Perhaps",
    "warning 1 $.Statement.Action: s3:GetObjct is no action; do you mean s3:GetObject?",
  ])
  const [, second, third] = shown(text(["PutObjekt", "s3:GetObject", "s3:Frobnicate"]))
  assert.match(second ?? "", /Action\[0\]: Actions.* etc\.: PutObjekt; do you mean s3:PutObject\?$/)
  assert.equal(third, "warning 1 $.Statement.Action[2]: s3:Frobnicate is no action")
})

test("a document without an error is one that is accepted, and the reverse", () => {
  const element = fc.constantFrom<unknown>(
    "*",
    "s3:GetObject",
    "x",
    [],
    ["s3:Get*", 1],
    {},
    undefined,
    "arn:aws:s3:::b/*",
    "Allow",
  )
  const statement = fc.record({ Effect: element, Action: element, Resource: element, Principal: element, Sid: element })
  const condition = fc.constantFrom<unknown>(undefined, {}, { Bool: { "aws:SecureTransport": "true" } }, { Bool: 1 })
  fc.assert(
    fc.property(
      fc.array(fc.tuple(statement, condition), { maxLength: 3 }),
      fc.constantFrom("identity", "resource", "trust"),
      (parts, kind) => {
        const Statement = parts.map(([rest, Condition]) => ({ ...rest, Condition }))
        const text = JSON.stringify({ Version: "2012-10-17", Statement })
        const isValid = problemsOf(text, kind, ACTIONS).every(({ severity }) => severity === "warning")
        let isAccepted = true
        try {
          parseAccessPolicy(text, kind)
        } catch (error) {
          assert.ok(isFailure(error, "malformedPolicy"))
          isAccepted = false
        }
        assert.equal(isValid, isAccepted, text)
      },
    ),
  )
})
