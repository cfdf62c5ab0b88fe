import { test } from "node:test"
import assert from "node:assert/strict"
import { isFailure } from "@hayloft/base/failures.js"
import { checkFormPolicy, parseFormPolicy, sizeRangeOf } from "./policy-core.js"

const NOW_MS = Date.UTC(2026, 0, 2)
const EXPIRATION = "2026-01-02T12:00:00.000Z"
const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64")
const policyOf = (conditions: unknown, expiration: unknown = EXPIRATION) =>
  parseFormPolicy(base64(JSON.stringify({ expiration, conditions })))

function says(work: () => unknown, kind: "invalidFormPolicy" | "accessDenied", message: string): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(isFailure(error, kind), String(error))
    assert.equal(error.details["message"], message)
    return true
  })
}

const isInvalid = (conditions: unknown, message: string): void =>
  says(() => policyOf(conditions), "invalidFormPolicy", `Invalid Policy: ${message}`)

const BYTES = Buffer.from("día", "utf8").toString("latin1")

function check(conditions: readonly unknown[], fields: Readonly<Record<string, string>>, nowMs = NOW_MS): void {
  checkFormPolicy(policyOf(conditions), new Map(Object.entries(fields)), nowMs)
}

function fails(conditions: readonly unknown[], fields: Readonly<Record<string, string>>, message: string): void {
  says(() => check(conditions, fields), "accessDenied", `Invalid according to Policy: ${message}`)
}

test("invalid documents are refused, each with S3's message", () => {
  const parse = (text: string) => () => parseFormPolicy(text)
  says(parse("not base64!"), "invalidFormPolicy", "Invalid Policy: invalid Base64 encoding.")
  says(parse(base64("{")), "invalidFormPolicy", "Invalid Policy: Invalid JSON.")
  says(parse(base64("[]")), "invalidFormPolicy", "Invalid Policy: Invalid JSON.")
  says(parse(Buffer.from([0xff]).toString("base64")), "invalidFormPolicy", "Invalid Policy: Invalid JSON.")
  says(parse(base64('{"expiration": "x"}')), "invalidFormPolicy", "Invalid Policy: Policy missing conditions.")
  says(parse(base64('{"conditions": []}')), "invalidFormPolicy", "Invalid Policy: Policy missing expiration.")
  says(parse(base64('{"Expiration": "x"}')), "invalidFormPolicy", "Invalid Policy: Unexpected: 'Expiration'")
  isInvalid({}, "Invalid 'conditions' value: must be a List.")
  isInvalid([1], "Invalid condition test: must be a List or Object.")
  isInvalid([[]], "Invalid Condition: missing operation identifier.")
  isInvalid([["ends-with", "$key", "x"]], "Invalid Condition: unknown operation 'ends-with'.")
  isInvalid([["eq", "$key"]], "Invalid eq: wrong number of arguments.")
  isInvalid([["content-length-range", 0]], "Invalid content-length-range: wrong number of arguments.")
  isInvalid([["content-length-range", -1, 0]], "Invalid JSON.")
  isInvalid([["content-length-range", 0, 512.5]], "Invalid JSON.")
  isInvalid([["eq", "$key", 1]], "Invalid JSON.")
  isInvalid([{}], "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
  isInvalid(
    [{ key: "a", acl: "b" }],
    "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
  )
  isInvalid([{ key: 1 }], "Invalid Simple-Condition: value must be a string.")
})

test("an expiration is a moment in UTC", () => {
  for (const good of ["2026-01-02T12:00:00.000Z", "2026-01-02T12:00:00Z"]) {
    assert.equal(policyOf([], good).expiresMs, Date.UTC(2026, 0, 2, 12))
  }
  for (const bad of ["2026-01-02 12:00:00Z", "2026-01-02T12:00:00+02:00", "2026-02-30T12:00:00Z", 1]) {
    says(() => policyOf([], bad), "invalidFormPolicy", `Invalid Policy: Invalid 'expiration' value: '${bad}'`)
  }
})

test("a policy is valid until it expires", () => {
  const { expiresMs } = policyOf([])
  check([], {}, expiresMs)
  says(() => check([], {}, expiresMs + 1), "accessDenied", "Invalid according to Policy: Policy expired.")
})

test("conditions: exact, prefix, object; only values are case-sensitive", () => {
  const conditions = [{ bUcKeT: "b" }, ["StArTs-WiTh", "$KeY", "user/"], ["eq", "$acl", "private"]]
  check(conditions, { bucket: "b", key: "user/a", acl: "private" })
  check([["starts-with", "$key", ""]], { key: "" })
  fails(
    conditions,
    { bucket: "b", key: "User/a", acl: "private" },
    'Policy Condition failed: ["starts-with", "$KeY", "user/"]',
  )
  fails(conditions, { bucket: "c", key: "user/a", acl: "private" }, 'Policy Condition failed: ["eq", "$bUcKeT", "b"]')
  fails(conditions, { bucket: "b", key: "user/a" }, 'Policy Condition failed: ["eq", "$acl", "private"]')
  fails([["starts-with", "$key", ""]], {}, 'Policy Condition failed: ["starts-with", "$key", ""]')
  fails([["eq", "key", "a"]], { key: "a" }, 'Policy Condition failed: ["eq", "key", "a"]')
  fails([["content-length-range", "test", "10"]], {}, 'Policy Condition failed: ["content-length-range", "test", "10"]')
})

test("every condition of a field must hold", () => {
  const conditions = [
    ["starts-with", "$key", "a"],
    ["starts-with", "$key", "ab"],
  ]
  check(conditions, { key: "abc" })
  fails(conditions, { key: "ac" }, 'Policy Condition failed: ["starts-with", "$key", "ab"]')
})

test("a list of content types is split only for a prefix condition", () => {
  const images = [["starts-with", "$Content-Type", "image/"]]
  check(images, { "content-type": "image/png,image/gif" })
  check(images, { "content-type": "image/png, image/gif" })
  fails(
    images,
    { "content-type": "image/png,text/plain" },
    'Policy Condition failed: ["starts-with", "$Content-Type", "image/"]',
  )
  check([["eq", "$Content-Type", "a,b"]], { "content-type": "a,b" })
  check([["starts-with", "$key", "a"]], { key: "a,b" })
})

test("every field must be covered, except those of the signature and ignored ones", () => {
  const free = { policy: "p", "x-amz-signature": "s", awsaccesskeyid: "k", signature: "s", "x-ignore-a": "" }
  check([], free)
  fails([], { ...free, key: "k" }, "Extra input fields: key")
  fails([{ key: "k" }], { key: "k", "x-amz-date": "d" }, "Extra input fields: x-amz-date")
  fails([], { bucket: "b", [`x-${BYTES}`]: "" }, "Extra input fields: bucket, x-día")
})

test("characters of the policy are compared with the bytes of the form", () => {
  check([{ key: "día" }], { key: BYTES })
  check([{ "x-amz-meta-día": "x" }], { [`x-amz-meta-${BYTES}`]: "x" })
})

test("a dollar sign may be escaped, and a backslash before one stays", () => {
  const parse = (key: string) =>
    parseFormPolicy(base64(`{"expiration": "${EXPIRATION}", "conditions": [{"key": "${key}"}]}`))
  checkFormPolicy(parse("\\$foo"), new Map([["key", "$foo"]]), NOW_MS)
  checkFormPolicy(parse("\\\\$foo"), new Map([["key", "\\$foo"]]), NOW_MS)
})

test("sizes: all ranges hold, written as numbers or digits", () => {
  assert.deepEqual(sizeRangeOf(policyOf([])), { min: 0, max: Number.MAX_SAFE_INTEGER })
  assert.deepEqual(sizeRangeOf(policyOf([["content-length-range", 5, "10"]])), { min: 5, max: 10 })
  const both = policyOf([
    ["content-length-range", 1, 10],
    ["Content-Length-Range", "3", "20"],
  ])
  assert.deepEqual(sizeRangeOf(both), { min: 3, max: 10 })
})
