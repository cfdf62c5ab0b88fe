/** The grants of canned lists, the actions that each permission allows, and the stored form of a list. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseAccountId, parseAccountNumber, type AccountId } from "@hayloft/base/ids.js"
import type { AclPermission, Grant } from "@hayloft/engine/format/objects/acl.js"
import type { Principal } from "../principals/principal.js"
import * as lists from "./acl.js"
import { aclMatch, aclResourceFor } from "./acl-match.js"

const owner = parseAccountId("owner")
const friend = parseAccountId("friend")
const keeper = parseAccountId("keeper")

const rootOf = (accountId: AccountId): Principal => ({
  kind: "root",
  accountId,
  accountNumber: parseAccountNumber("123456789012"),
  arn: "arn:aws:iam::123456789012:root",
  userId: "123456789012",
  tags: [],
  issuedMs: undefined,
})
const anonymous: Principal = { kind: "anonymous" }

/** `owner FULL_CONTROL`, `AllUsers READ`. */
const shown = ({ grants }: lists.Acl): readonly string[] =>
  grants.map(({ grantee, permission }) => `${grantee.kind === "account" ? grantee.id : grantee.group} ${permission}`)

const grant = (who: string, permission: AclPermission): Grant => ({
  grantee:
    who === "AllUsers" || who === "AuthenticatedUsers" || who === "LogDelivery"
      ? { kind: "group", group: who }
      : { kind: "account", id: parseAccountId(who) },
  permission,
})
const listOf = (who: string, permission: AclPermission): lists.Acl => ({ owner, grants: [grant(who, permission)] })

test("each canned list has the grants of Amazon's", () => {
  const beside = Object.fromEntries(
    lists.CANNED_ACLS.map(name => {
      const [first, ...rest] = shown(lists.cannedAcl(name, owner, keeper))
      assert.equal(first, "owner FULL_CONTROL", name)
      return [name, rest]
    }),
  )
  assert.deepEqual(beside, {
    private: [],
    "public-read": ["AllUsers READ"],
    "public-read-write": ["AllUsers READ", "AllUsers WRITE"],
    "authenticated-read": ["AuthenticatedUsers READ"],
    "aws-exec-read": [`${lists.EC2_ACCOUNT} READ`],
    "bucket-owner-read": ["keeper READ"],
    "bucket-owner-full-control": ["keeper FULL_CONTROL"],
    "log-delivery-write": ["LogDelivery WRITE", "LogDelivery READ_ACP"],
  })
  for (const name of ["bucket-owner-read", "bucket-owner-full-control"] as const)
    assert.ok(lists.isOwnerOnly(lists.cannedAcl(name, owner, owner)), `${name} of the bucket's owner adds nothing`)
})

test("grants to everybody, signed or not, are public; the rest stays without them", () => {
  const open = lists.CANNED_ACLS.filter(name => lists.isPublicAcl(lists.cannedAcl(name, owner, keeper)))
  assert.deepEqual(open, ["public-read", "public-read-write", "authenticated-read"])
  const mixed = { owner, grants: [grant("AllUsers", "READ"), grant("friend", "READ"), grant("LogDelivery", "WRITE")] }
  assert.deepEqual(shown(lists.withoutPublic(mixed)), ["friend READ", "LogDelivery WRITE"])
})

const ALLOWED: Readonly<Record<lists.AclResource, Readonly<Record<AclPermission, readonly string[]>>>> = {
  bucket: {
    READ: ["ListBucket", "ListBucketVersions", "ListBucketMultipartUploads"],
    WRITE: ["PutObject", "DeleteObject", "DeleteObjectVersion"],
    READ_ACP: ["GetBucketAcl"],
    WRITE_ACP: ["PutBucketAcl"],
    FULL_CONTROL: [
      "ListBucket",
      "ListBucketVersions",
      "ListBucketMultipartUploads",
      "PutObject",
      "DeleteObject",
      "DeleteObjectVersion",
      "GetBucketAcl",
      "PutBucketAcl",
    ],
  },
  object: {
    READ: ["GetObject", "GetObjectVersion"],
    WRITE: [],
    READ_ACP: ["GetObjectAcl", "GetObjectVersionAcl"],
    WRITE_ACP: ["PutObjectAcl", "PutObjectVersionAcl"],
    FULL_CONTROL: [
      "GetObject",
      "GetObjectVersion",
      "GetObjectAcl",
      "GetObjectVersionAcl",
      "PutObjectAcl",
      "PutObjectVersionAcl",
    ],
  },
}
/** Actions that no list decides. */
const NEVER = [
  "DeleteBucket",
  "GetBucketPolicy",
  "PutBucketPolicy",
  "GetBucketLocation",
  "PutBucketCORS",
  "ListAllMyBuckets",
  "GetObjectTagging",
  "PutObjectTagging",
  "AbortMultipartUpload",
  "getobject",
  "*",
]

test("each permission allows the actions of Amazon's table, and nothing else", () => {
  const actions = [...ALLOWED.bucket.FULL_CONTROL, ...ALLOWED.object.FULL_CONTROL, ...NEVER]
  for (const of of ["bucket", "object"] as const) {
    for (const [permission, allowed] of Object.entries(ALLOWED[of])) {
      const list = listOf("friend", permission as AclPermission)
      const found = actions.filter(
        action => aclResourceFor(`s3:${action}`) === of && aclMatch(list, rootOf(friend), `s3:${action}`) !== undefined,
      )
      assert.deepEqual(found, allowed, `${of} ${permission}`)
    }
  }
  for (const action of NEVER) {
    assert.equal(aclResourceFor(`s3:${action}`), undefined, action)
    assert.equal(aclMatch(listOf("AllUsers", "FULL_CONTROL"), anonymous, `s3:${action}`), undefined, action)
  }
})

test("each grantee matches the callers that it names, as closely as it should", () => {
  const match = (who: string, principal: Principal) => aclMatch(listOf(who, "READ"), principal, "s3:GetObject")
  const reaches = (who: string) => [match(who, anonymous), match(who, rootOf(friend)), match(who, rootOf(keeper))]
  assert.deepEqual(reaches("friend"), [undefined, "account", undefined])
  assert.deepEqual(reaches("AllUsers"), ["caller", "caller", "caller"])
  assert.deepEqual(reaches("AuthenticatedUsers"), [undefined, "caller", "caller"])
  assert.deepEqual(reaches("LogDelivery"), [undefined, undefined, undefined])
  const both = { owner, grants: [grant("friend", "READ"), grant("AllUsers", "FULL_CONTROL")] }
  assert.equal(aclMatch(both, rootOf(friend), "s3:GetObject"), "caller", "the closest match decides")
})

test("an owner without any grant can still read and change the list, and nothing else", () => {
  const empty = { owner: friend, grants: [] }
  const actions = [...ALLOWED.bucket.FULL_CONTROL, ...ALLOWED.object.FULL_CONTROL]
  const open = actions.filter(action => aclMatch(empty, rootOf(friend), `s3:${action}`) === "account")
  assert.deepEqual(
    open,
    actions.filter(action => action.endsWith("Acl")),
  )
  for (const action of actions) assert.equal(aclMatch(empty, rootOf(owner), `s3:${action}`), undefined, action)
})

test("the stored form of an object's list restores the list, and the default list stores nothing", () => {
  assert.equal(lists.storedAcl(lists.ownerOnly(keeper), keeper), undefined)
  assert.deepEqual(lists.storedAcl(lists.ownerOnly(owner), keeper), { owner, grants: undefined })
  for (const name of lists.CANNED_ACLS) {
    for (const bucketOwner of [owner, keeper]) {
      const acl = lists.cannedAcl(name, owner, bucketOwner)
      assert.deepEqual(lists.aclOfObject(lists.storedAcl(acl, bucketOwner), bucketOwner), acl, name)
    }
  }
  const none = { owner, grants: [] }
  assert.deepEqual(
    lists.aclOfObject(lists.storedAcl(none, owner), owner),
    none,
    "a list without grants is not the default",
  )
})
