/** Which denials are kept, how many, and that an entry is small. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { fail } from "@hayloft/base/failures.js"
import { DeniedAccess } from "../policy/denied-access.js"
import { OTHER, rootOf } from "../policy/testing-requests.js"
import { Denials, DENIALS_KEPT, type DeniedRequest } from "./denials.js"

const idOf = (number: number): string => number.toString(16).toUpperCase().padStart(16, "0")

const denied = (number: number, more: Partial<DeniedRequest> = {}): DeniedRequest => ({
  requestId: idOf(number),
  deniedMs: 1,
  service: "s3",
  operation: "GetObject",
  status: 403,
  code: "AccessDenied",

  remoteAddress: "192.0.2.1",
  accessKeyId: undefined,
  principal: undefined,
  action: undefined,
  resource: undefined,
  ...more,
})

test("a flood of requests without a key, or with a wrong one, evicts no denial of an authenticated caller", () => {
  const denials = new Denials()
  const failure = fail("accessDenied")
  denials.note(denied(1, { principal: rootOf(OTHER) }), failure)
  denials.note(denied(2, { accessKeyId: "AKIAMISTYPED" }), failure)
  for (let number = 10; number < 10 + 2 * DENIALS_KEPT; number += 1) {
    denials.note(denied(number, { principal: { kind: "anonymous" } }), failure)
  }
  assert.equal(denials.find(idOf(1))?.requestId, idOf(1))
  assert.equal(denials.find(idOf(2))?.requestId, idOf(2))
  assert.equal(denials.find(idOf(10)), undefined, "the oldest of the flood are evicted")
  assert.notEqual(denials.find(idOf(9 + 2 * DENIALS_KEPT)), undefined)
  assert.equal(denials.find(idOf(3)), undefined)
})

test("exactly the latest denials of each kind of caller are kept", () => {
  const denials = new Denials()
  for (let number = 0; number <= DENIALS_KEPT; number += 1) denials.note(denied(number), fail("accessDenied"))
  assert.equal(denials.find(idOf(0)), undefined)
  assert.notEqual(denials.find(idOf(1)), undefined)
  assert.notEqual(denials.find(idOf(DENIALS_KEPT)), undefined)
})

test("an entry keeps no long text and nothing of the request beyond its names", () => {
  const denials = new Denials()
  const long = "x".repeat(100_000)
  denials.note(
    denied(1, { resource: long }),
    fail("signatureMismatch", { canonicalRequest: long, stringToSign: long, message: long }),
  )
  const request = {
    principal: rootOf(OTHER),
    action: "s3:GetObject",
    resource: long,
    nowMs: 1,
    context: { valuesOf: () => long },
  }
  denials.note(denied(2), new DeniedAccess(request, { outcome: "implicitDeny", lacking: ["resource"] }))
  for (const id of [1, 2]) assert.ok(JSON.stringify(denials.find(idOf(id))).length < 10_000, `request ${id}`)
  assert.ok(!("context" in (denials.find(idOf(2)) ?? {})), "the context would keep the whole request")
})
