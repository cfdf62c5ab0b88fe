/** Denials in words, of the kinds that take hours to come about; the others are asked of a server in tests/why.test.ts. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { fail, type Failure } from "../../base/failures.js"
import { parseAccessKeyId, parseAccountId } from "../../base/ids.js"
import type { AccessKey } from "../contract.js"
import { OTHER, userOf } from "../policy/testing-requests.js"
import { Denials } from "./denials.js"
import { explainDenial } from "./explain-denial-core.js"

const ID = "0123456789ABCDEF"
const KEY: AccessKey = {
  ...{ id: parseAccessKeyId("AKIAONE"), accountId: parseAccountId("a"), userName: undefined, createdMs: 0 },
  ...{ isActive: true, service: undefined },
}

function told(failure: Failure, key?: AccessKey, principal?: ReturnType<typeof userOf>): string {
  const denials = new Denials()
  const request = {
    ...{ requestId: ID, deniedMs: 1_000, service: "s3", operation: "GetObject", status: 403, code: "AccessDenied" },
    ...{ remoteAddress: "", accessKeyId: "AKIAONE", principal, action: "s3:GetObject", resource: "arn:aws:s3:::b/k" },
  }
  denials.note(request, failure)
  const found = denials.find(ID)
  assert.ok(found)
  const { sentence, grants, hints } = explainDenial(found, key)
  return [sentence, ...grants.map(({ side }) => side), ...hints].join("; ")
}

const service = (expiresMs: number): AccessKey["service"] => ({ description: "", expiresMs, policy: undefined })

test("credentials that have ended, and keys that count again", () => {
  assert.match(told(fail("tokenExpired")), /temporary credentials had expired; get new ones/)
  const unknown = fail("invalidAccessKey", { accessKeyId: "AKIAONE" })
  assert.match(told(unknown, { ...KEY, service: service(1_000) }), /the key ended at 1970-01-01T00:00:01/)
  assert.match(told(unknown, { ...KEY, service: service(1_001) }), /was made or enabled since/)
  assert.match(told(unknown, { ...KEY, isActive: false }), /hayloft key enable AKIAONE/)
  assert.match(told(unknown), /no such key exists/)
})

test("a closed bucket needs its policy, and a user of another account a word of that too", () => {
  const closed = fail("accessDenied", { closedBucket: "b" })
  assert.match(
    told(closed, KEY, userOf(OTHER, "carol")),
    /^bucket "b" .*; identity; resource; the grant of the caller's own side/,
  )
  assert.doesNotMatch(told(fail("accessDenied", { closedBucket: "source" }), KEY, userOf(OTHER, "carol")), /resource;/)
})

test("what nobody has words for is told in the failure's own", () => {
  assert.equal(told(fail("accessDenied", { reason: "the requester pays" })), "the requester pays")
  assert.equal(told(fail("accessDenied", { message: "Not so" })), "Not so")
  assert.equal(told(fail("malformedAuthorization")), "the authorization is malformed")
})
