/** Explanations of denials that take hours to happen; tests/why.test.ts tests the others with a server. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId } from "@hayloft/base/ids.js"
import type { AccessKey } from "../contract.js"
import { OTHER, userOf } from "../policy/testing-requests.js"
import { Denials } from "./denials.js"
import { explainDenial } from "./explain-denial-core.js"

const ID = "0123456789ABCDEF"
const KEY: AccessKey = {
  id: parseAccessKeyId("AKIAONE"),
  accountId: parseAccountId("a"),
  userName: undefined,
  createdMs: 0,
  isActive: true,
  service: undefined,
}

function explained(failure: Failure, key?: AccessKey, principal?: ReturnType<typeof userOf>): string {
  const denials = new Denials()
  const request = {
    requestId: ID,
    deniedMs: 1_000,
    service: "s3",
    operation: "GetObject",
    status: 403,
    code: "AccessDenied",
    remoteAddress: "",
    accessKeyId: "AKIAONE",
    principal,
    action: "s3:GetObject",
    resource: "arn:aws:s3:::b/k",
  }
  denials.note(request, failure)
  const found = denials.find(ID)
  assert.ok(found)
  const { sentence, grants, hints } = explainDenial(found, key)
  return [sentence, ...grants.map(({ side }) => side), ...hints].join("; ")
}

const service = (expiresMs: number): AccessKey["service"] => ({ description: "", expiresMs, policy: undefined })

test("expired credentials, and keys that are valid again, are explained", () => {
  assert.match(explained(fail("tokenExpired")), /temporary credentials had expired; get new ones/)
  const unknown = fail("invalidAccessKey", { accessKeyId: "AKIAONE" })
  assert.match(explained(unknown, { ...KEY, service: service(1_000) }), /the key expired at 1970-01-01T00:00:01/)
  assert.match(explained(unknown, { ...KEY, service: service(1_001) }), /was created or enabled after the denial/)
  assert.match(explained(unknown, { ...KEY, isActive: false }), /hayloft key enable AKIAONE/)
  assert.match(explained(unknown), /no such key exists/)
})

test("a closed bucket needs a bucket policy, and a user of another account an identity policy too", () => {
  const closed = fail("accessDenied", { closedBucket: "b" })
  assert.match(explained(closed, KEY, userOf(OTHER, "carol")), /^bucket "b" .*; identity; resource; the identity grant/)
  assert.doesNotMatch(
    explained(fail("accessDenied", { closedBucket: "source" }), KEY, userOf(OTHER, "carol")),
    /resource;/,
  )
})

test("a denial without an explanation of its own reports the failure's message", () => {
  assert.equal(explained(fail("accessDenied", { reason: "the requester pays" })), "the requester pays")
  assert.equal(explained(fail("accessDenied", { message: "Not so" })), "Not so")
  assert.equal(explained(fail("malformedAuthorization")), "the authorization is malformed")
})
