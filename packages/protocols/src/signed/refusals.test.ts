/** Refusals: which of them say that the caller was denied, however its protocol words that. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, type FailureKind } from "@hayloft/base/failures.js"
import { Refusals } from "./refusals.js"

const REQUEST = {
  requestId: "0",
  deniedMs: 0,
  service: "s3",
  operation: "GetObject",
  status: 0,
  code: "",

  remoteAddress: "127.0.0.1",
  accessKeyId: undefined,
  account: undefined,
  principal: undefined,
  action: undefined,
  resource: undefined,
}

/** Returns what a refusal with this status left behind. */
function refused(kind: FailureKind, status: number) {
  const [denials, marks]: [string[], string[]] = [[], []]
  const refusals = new Refusals(
    { note: (_, failure) => void denials.push(failure.kind) },
    { noteFailure: () => undefined },
  )
  const exchange = { note: () => undefined, denyAccount: () => void marks.push("denied") }
  refusals.note(exchange, fail(kind), { status, code: kind }, () => REQUEST)
  return { isListed: denials.length > 0, isAccountDenied: marks.length > 0 }
}

test("a caller who has not shown who it is was denied, whatever status its protocol answers", () => {
  const [denied, other] = [
    { isListed: true, isAccountDenied: true },
    { isListed: false, isAccountDenied: false },
  ]
  assert.deepEqual(refused("accessDenied", 403), denied, "S3")
  assert.deepEqual(refused("accessDenied", 401), denied, "Swift")
  assert.deepEqual(refused("invalidAccessKey", 400), denied, "KMS")
  assert.deepEqual(refused("noSuchKey", 404), other)
  assert.deepEqual(refused("tooManyInFlight", 503), other)
})
