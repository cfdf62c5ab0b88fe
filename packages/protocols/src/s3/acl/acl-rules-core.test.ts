/** Which lists each kind of ownership accepts, who owns objects, and what a block of public lists refuses. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { CANNED_ACLS } from "@hayloft/access/index.js"
import type { CannedAcl } from "@hayloft/access/index.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccountId } from "@hayloft/base/ids.js"
import type { AccountId } from "@hayloft/base/ids.js"
import { changedAcl, newBucketAcl, newObjectAcl } from "./acl-rules-core.js"
import type { AclRules, StoredAcl } from "./acl-rules-core.js"

const keeper = parseAccountId("keeper")
const writer = parseAccountId("writer")
const canned = (name: CannedAcl): StoredAcl => ({ kind: "canned", name })
const fullControl = (id: AccountId): StoredAcl => ({
  kind: "grants",
  grants: [{ grantee: { kind: "account", id }, permission: "FULL_CONTROL" }],
})
const rules = (ownership: AclRules["ownership"], blockPublicAcls = false): AclRules => ({
  bucketOwner: keeper,
  ownership,
  blockPublicAcls,
})
const ENFORCED = rules("BucketOwnerEnforced")
const PREFERRED = rules("BucketOwnerPreferred")
const WRITERS = rules("ObjectWriter")

/** The outcome: `ok`, or the kind of the failure. */
function outcome(evaluate: () => unknown): string {
  try {
    evaluate()
    return "ok"
  } catch (error) {
    if (!isFailure(error)) throw error
    return error.kind
  }
}

test("if the owner is enforced, only lists that state the same are accepted, and none is stored", () => {
  const taken = CANNED_ACLS.filter(name => outcome(() => newObjectAcl(canned(name), writer, ENFORCED)) === "ok")
  assert.deepEqual([...taken].sort(), ["bucket-owner-full-control", "bucket-owner-read", "private"])
  for (const requested of [undefined, fullControl(keeper), ...taken.map(canned)]) {
    assert.equal(newObjectAcl(requested, writer, ENFORCED), undefined)
  }
  assert.equal(
    outcome(() => newObjectAcl(fullControl(writer), writer, ENFORCED)),
    "aclNotSupported",
  )
  for (const name of CANNED_ACLS) {
    const expected = taken.includes(name) ? "ok" : "aclNotSupported"
    assert.equal(
      outcome(() => changedAcl(canned(name), keeper, ENFORCED)),
      expected,
      name,
    )
  }
  assert.equal(changedAcl(fullControl(keeper), keeper, ENFORCED), undefined, "nothing changes")
})

test("the writer owns an object, or the bucket owner if that is preferred and requested by name", () => {
  const ownerOf = (requested: StoredAcl | undefined, by: AccountId | undefined, of: AclRules) =>
    newObjectAcl(requested, by, of)?.owner ?? keeper
  const handedOver = canned("bucket-owner-full-control")
  assert.equal(ownerOf(undefined, writer, WRITERS), writer)
  assert.equal(ownerOf(handedOver, writer, WRITERS), writer)
  assert.equal(ownerOf(undefined, writer, PREFERRED), writer)
  assert.equal(ownerOf(fullControl(keeper), writer, PREFERRED), writer)
  assert.equal(ownerOf(handedOver, writer, PREFERRED), keeper)
  assert.equal(ownerOf(undefined, undefined, WRITERS), keeper, "nobody owns nothing")
  assert.deepEqual(newObjectAcl(undefined, writer, WRITERS), { owner: writer, grants: undefined })
  assert.equal(newObjectAcl(undefined, keeper, WRITERS), undefined, "the usual costs nothing")
  assert.equal(newObjectAcl(handedOver, writer, PREFERRED), undefined)
  assert.equal(newObjectAcl(canned("public-read"), keeper, WRITERS)?.grants?.length, 2)
})

test("a block refuses public lists, and nothing else", () => {
  const isOpen = (name: CannedAcl) => name.startsWith("public") || name === "authenticated-read"
  for (const name of CANNED_ACLS) {
    const expected = isOpen(name) ? "accessDenied" : "ok"
    const [object, list] = [
      outcome(() => newObjectAcl(canned(name), writer, rules("ObjectWriter", true))),
      outcome(() => changedAcl(canned(name), writer, rules("ObjectWriter", true))),
    ]
    assert.deepEqual([object, list], [expected, expected], name)
    assert.equal(
      outcome(() => changedAcl(canned(name), writer, WRITERS)),
      "ok",
      name,
    )
  }
})

test("a bucket is created with a list only if lists apply, and with a public one only if none is blocked", () => {
  const made = (requested: StoredAcl | undefined, of: AclRules) => outcome(() => newBucketAcl(requested, of))
  assert.equal(made(undefined, rules("BucketOwnerEnforced", true)), "ok")
  assert.equal(made(canned("private"), rules("BucketOwnerEnforced", true)), "ok")
  assert.equal(made(canned("public-read"), rules("BucketOwnerEnforced", true)), "aclWithOwnership")
  assert.equal(made(fullControl(writer), ENFORCED), "aclWithOwnership")
  assert.equal(made(canned("public-read"), rules("ObjectWriter", true)), "aclWithAccessBlock")
  assert.equal(made(canned("log-delivery-write"), rules("ObjectWriter", true)), "ok")
  assert.equal(made(fullControl(writer), PREFERRED), "ok")
})

test("the operator may have lists ignored where none applies: they grant nothing, and a list that replaces one is refused", () => {
  const ignored = { ...rules("BucketOwnerEnforced", true), ignoresLists: true }
  for (const name of CANNED_ACLS) {
    assert.equal(newObjectAcl(canned(name), writer, ignored), undefined, name)
    assert.equal(newBucketAcl(canned(name), ignored).grants.length, 1, name)
  }
  assert.equal(
    outcome(() => changedAcl(canned("public-read"), keeper, ignored)),
    "aclNotSupported",
  )
  const applying = { ...WRITERS, ignoresLists: true }
  assert.deepEqual(
    newObjectAcl(canned("public-read"), keeper, applying),
    newObjectAcl(canned("public-read"), keeper, WRITERS),
  )
})
