/** Users, groups, roles and policies, command by command: limits, delete conflicts and memberships. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import type { IdentityRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import { accountRange } from "@hayloft/engine/format/row-key.js"
import { dropAccessKey, setKeyActive } from "../accounts/account-commands-core.js"
import { readAccessKey, readKeysOfUser } from "../accounts/account-queries-core.js"
import { accountId, addKey, ALLOW_ALL, keyId, newCompany, refuses } from "../accounts/testing-company.js"
import {
  attachPolicy,
  deleteIdentity,
  detachPolicy,
  joinGroup,
  leaveGroup,
  putInline,
  removeInline,
  renameUser,
  setBoundary,
  setPath,
  setTags,
  updateRole,
} from "./identity-commands-core.js"
import { boundaryMembership, groupMembership, policyMembership, parseMembership } from "./identity-links-core.js"
import { readIdentities, readIdentity, readPolicies, readPolicy, readPolicyUse } from "./identity-queries-core.js"
import { IDENTITY_LIMITS } from "./limits.js"
import {
  addVersion,
  createPolicy,
  defaultText,
  deletePolicy,
  removeVersion,
  setDefaultVersion,
  setPolicyTags,
} from "./managed-policy-commands-core.js"
import { BUILT_IN_POLICIES } from "./built-in-policies.js"
import { updateProvider } from "./provider-commands-core.js"

const [[BUILT_IN] = []] = [...BUILT_IN_POLICIES]

test("names of one kind must differ by more than case", async () => {
  const { create, find, metadata, ref } = await newCompany()
  const made = await create("user", "Ann", { path: "/team/" })
  assert.ok(made.createdMs > 0)
  assert.deepEqual(find("user", "ANN"), made)
  assert.deepEqual(await metadata.ask(readIdentity(ref("user", "ann"))), made)
  await refuses(create("user", "ANN"), "entityExists", /^User with name ANN already exists/)
  await create("group", "Ann")
  assert.equal(find("role", "Ann"), undefined)
  await refuses(metadata.run(setPath(ref("role", "Ann"), "/")), "noSuchEntity", /role with name Ann/)
  const page = await metadata.ask(readIdentities(accountId, "user", accountRange(accountId, "user").start))
  assert.deepEqual(page.items, [made])
})

test("a path, tags and the terms of a role can be changed; omitted fields stay", async () => {
  const { create, metadata, user, ref } = await newCompany()
  await create("user", "Ann", {
    path: "/old/",
    tags: [
      ["team", "a"],
      ["Stays", "1"],
    ],
  })
  assert.equal((await metadata.run(setPath(user, undefined))).path, "/old/")
  assert.equal((await metadata.run(setPath(user, "/new/"))).path, "/new/")
  const { tags } = await metadata.run(setTags(user, [["Team", "b"]], []))
  assert.deepEqual(tags, [
    ["Stays", "1"],
    ["Team", "b"],
  ])
  assert.deepEqual((await metadata.run(setTags(user, [], ["team"]))).tags, [["Stays", "1"]])
  await refuses(metadata.run(updateRole(user, { description: "no role" })), "invalidArgument")
  await create("role", "Reader", { role: { trust: ALLOW_ALL, description: "old", sessionSecondsMax: 3600 } })
  const { role } = await metadata.run(updateRole(ref("role", "Reader"), { description: "new" }))
  assert.deepEqual(role, { trust: ALLOW_ALL, description: "new", sessionSecondsMax: 3600 })
})

test("inline policies are stored by name, in order, up to the size limit of the kind", async () => {
  const { create, metadata, user } = await newCompany()
  await create("user", "Ann")
  const names = ({ inline }: IdentityRecord) => inline.map(({ name, text }) => `${name} ${text.length}`)
  await metadata.run(putInline(user, "b", "x"))
  await metadata.run(putInline(user, "a", "x"))
  assert.deepEqual(names(await metadata.run(putInline(user, "b", "xx"))), ["a 1", "b 2"])
  await refuses(metadata.run(putInline(user, "c", "x".repeat(2046))), "limitExceeded")
  assert.equal((await metadata.run(putInline(user, "c", "x".repeat(2045)))).inline.length, 3)
  await refuses(metadata.run(removeInline(user, "unknown")), "noSuchEntity", /unknown/)
  const left = await metadata.run(removeInline(user, "a"))
  assert.ok(!left.inline.some(({ name }) => name === "a") && left.inline.some(({ name }) => name === "b"))
})

test("a policy is attached once, up to a limit, and its holders are listed", async () => {
  const company = await newCompany()
  const { create, metadata, user, policy, linked } = company
  await create("user", "Ann")
  const arns: string[] = []
  for (let i = 0; i <= IDENTITY_LIMITS.attachedPoliciesMax; i += 1) arns.push(await policy(`policy${i}`))
  const [first = ""] = arns
  for (const arn of arns.slice(0, -1)) await metadata.run(attachPolicy(user, arn))
  assert.equal((await metadata.run(attachPolicy(user, first))).attached.length, IDENTITY_LIMITS.attachedPoliciesMax)
  await refuses(metadata.run(attachPolicy(user, must(arns.at(-1), "one more"))), "limitExceeded", /PoliciesPerUser/)
  await refuses(metadata.run(attachPolicy(user, `${first}unknown`)), "noSuchEntity")
  assert.deepEqual(await linked(policyMembership(first)), ["Ann"])
  assert.deepEqual(await metadata.ask(readPolicyUse(accountId, first)), { attachments: 1, boundaries: 0 })
  const { attached } = await metadata.run(detachPolicy(user, first))
  assert.ok(!attached.includes(first) && attached.length === IDENTITY_LIMITS.attachedPoliciesMax - 1)
  assert.deepEqual(await linked(policyMembership(first)), [])
  await refuses(metadata.run(detachPolicy(user, first)), "noSuchEntity")
})

test("a permissions boundary is set, replaced and removed", async () => {
  const { create, metadata, user, policy, linked } = await newCompany()
  const [one, other] = [await policy("one"), await policy("other")]
  await refuses(create("user", "Bob", { boundary: `${one}unknown` }), "noSuchEntity")
  await create("user", "Ann")
  await refuses(metadata.run(setBoundary(user, undefined)), "noSuchEntity")
  await refuses(metadata.run(setBoundary(user, `${one}unknown`)), "noSuchEntity")
  await metadata.run(setBoundary(user, one))
  assert.deepEqual(await metadata.ask(readPolicyUse(accountId, one)), { attachments: 0, boundaries: 1 })
  await refuses(metadata.run(deletePolicy(accountId, one)), "deleteConflict", /attached/)
  await metadata.run(setBoundary(user, other))
  assert.deepEqual([await linked(boundaryMembership(one)), await linked(boundaryMembership(other))], [[], ["Ann"]])
  assert.equal((await metadata.run(setBoundary(user, undefined))).boundary, undefined)
  await metadata.run(deletePolicy(accountId, one))
})

test("a user joins and leaves groups by any spelling of their names, up to a limit", async () => {
  const { create, metadata, user, ref, linked } = await newCompany()
  await create("user", "Ann")
  for (let i = 0; i <= IDENTITY_LIMITS.groupsPerUser; i += 1) await create("group", `Group${i}`)
  for (let i = 0; i < IDENTITY_LIMITS.groupsPerUser; i += 1) await metadata.run(joinGroup(user, `GROUP${i}`))
  const { groups } = await metadata.run(joinGroup(user, "group0"))
  assert.deepEqual([groups.length, groups[0]], [IDENTITY_LIMITS.groupsPerUser, "Group0"])
  await refuses(metadata.run(joinGroup(user, `Group${IDENTITY_LIMITS.groupsPerUser}`)), "limitExceeded")
  await refuses(metadata.run(joinGroup(user, "unknown")), "noSuchEntity")
  assert.deepEqual(await linked(groupMembership("gROUP0")), ["Ann"])
  await refuses(metadata.run(deleteIdentity(ref("group", "Group0"))), "deleteConflict", /members/)
  await metadata.run(leaveGroup(user, "group0"))
  assert.deepEqual(await linked(groupMembership("Group0")), [])
  await refuses(metadata.run(leaveGroup(user, "Group0")), "noSuchEntity", /not in group Group0/)
  await refuses(metadata.run(leaveGroup(user, "unknown")), "noSuchEntity")
  await metadata.run(deleteIdentity(ref("group", "Group0")))
})

test("an identity is deleted only after its keys, policies and memberships", async () => {
  const company = await newCompany()
  const { create, metadata, user, policy, find } = company
  const arn = await policy("policy")
  await create("user", "Ann")
  await create("group", "Group")
  const blocked = (what: RegExp) => refuses(metadata.run(deleteIdentity(user)), "deleteConflict", what)
  await addKey(company, 1, "Ann")
  await blocked(/access keys/)
  await metadata.run(dropAccessKey(keyId(1), undefined))
  await metadata.run(attachPolicy(user, arn))
  await blocked(/attached policies/)
  await metadata.run(detachPolicy(user, arn))
  await metadata.run(putInline(user, "inline", "{}"))
  await blocked(/remove policies/)
  await metadata.run(removeInline(user, "inline"))
  await metadata.run(joinGroup(user, "Group"))
  await blocked(/memberships/)
  await metadata.run(leaveGroup(user, "Group"))
  await metadata.run(setBoundary(user, arn))
  await metadata.run(deleteIdentity(user))
  assert.equal(find("user", "Ann"), undefined)
  assert.equal(metadata.rows("identityLinks"), 0)
  await refuses(metadata.run(deleteIdentity(user)), "noSuchEntity")
})

test("a renamed user keeps keys, groups and policies, and the old name is free", async () => {
  const company = await newCompany()
  const { create, metadata, user, find, linked, ref } = company
  await create("user", "Ann", { path: "/team/" })
  await create("user", "Carl")
  await create("group", "Group")
  await metadata.run(joinGroup(user, "Group"))
  await addKey(company, 1, "Ann")
  await refuses(metadata.run(renameUser(user, "CARL", undefined)), "entityExists")
  const renamed = await metadata.run(renameUser(user, "Bob", undefined))
  assert.deepEqual([renamed.name, renamed.path, find("user", "Ann")], ["Bob", "/team/", undefined])
  assert.deepEqual(await linked(groupMembership("Group")), ["Bob"])
  assert.equal((await metadata.ask(readAccessKey(keyId(1))))?.userName, "Bob")
  const spelled = await metadata.run(renameUser(ref("user", "Bob"), "BOB", "/"))
  assert.deepEqual([spelled.name, spelled.path, find("user", "bob")?.name], ["BOB", "/", "BOB"])
  assert.deepEqual(await linked(groupMembership("Group")), ["BOB"])
  await refuses(metadata.run(renameUser(user, "Dora", undefined)), "noSuchEntity")
})

test("a user has two access keys at most; only its owner can disable or delete a key", async () => {
  const company = await newCompany()
  const { create, metadata } = company
  await create("user", "Ann")
  await refuses(addKey(company, 1, "unknown"), "noSuchEntity")
  for (const number of [1, 2]) await addKey(company, number, "Ann")
  await refuses(addKey(company, 1, "Ann"), "accessKeyExists")
  await refuses(addKey(company, 3, "Ann"), "limitExceeded")
  const other = { accountId, userName: "Bob" }
  await refuses(metadata.run(setKeyActive(keyId(1), false, other)), "noSuchAccessKey")
  await refuses(metadata.run(dropAccessKey(keyId(1), other)), "noSuchAccessKey")
  await metadata.run(setKeyActive(keyId(1), false, { accountId, userName: "ANN" }))
  assert.equal((await metadata.ask(readAccessKey(keyId(1))))?.isActive, false)
  await metadata.run(dropAccessKey(keyId(1), { accountId, userName: "Ann" }))
  assert.equal(await metadata.ask(readAccessKey(keyId(1))), undefined)
  const keys = await metadata.ask(readKeysOfUser(accountId, "ann"))
  assert.equal(keys.length, 1)
  await addKey(company, 3, "Ann")
})

test("a managed policy is found by its whole ARN, in its own account", async () => {
  const { metadata, policy, number } = await newCompany()
  const arn = await policy("Policy", "/team/")
  const find = async (text: string) => metadata.ask(readPolicy(accountId, text))
  assert.equal((await find(arn)).name, "Policy")
  const others = [
    `arn:aws:iam::${number}:policy/Policy`,
    `arn:aws:iam::${number}:policy/team/policy`,
    `arn:aws:iam::${number}:role/team/Policy`,
    "arn:aws:iam::000000000001:policy/team/Policy",
    "no arn",
  ]
  for (const other of others) await refuses(find(other), "noSuchEntity")
  const create = createPolicy(accountId, { name: "POLICY", path: "/", id: "", description: "", tags: [] }, ALLOW_ALL)
  await refuses(metadata.run(create), "entityExists")
  const page = await metadata.ask(readPolicies(accountId, accountRange(accountId).start))
  assert.deepEqual(
    page.items.map(({ record, use }) => [record.name, use.attachments]),
    [["Policy", 0]],
  )
})

test("built-in policies can be attached but never changed", async () => {
  const { metadata, create, user } = await newCompany()
  const arn = must(BUILT_IN, "there is a built-in policy")
  await create("user", "Ann")
  await metadata.run(attachPolicy(user, arn))
  await refuses(metadata.run(addVersion(accountId, arn, ALLOW_ALL, true)), "accessDenied")
  await refuses(metadata.run(deletePolicy(accountId, arn)), "accessDenied")
})

test("a policy has up to five versions, one of them the default, and their numbers are never reused", async () => {
  const { metadata, policy } = await newCompany()
  const arn = await policy("Policy")
  const numbers = async () => (await metadata.ask(readPolicy(accountId, arn))).versions.map(({ number }) => number)
  const added = await metadata.run(addVersion(accountId, arn, "second", false))
  assert.deepEqual([added.defaultVersion, defaultText(added)], [1, ALLOW_ALL])
  assert.equal(defaultText(await metadata.run(addVersion(accountId, arn, "third", true))), "third")
  for (const text of ["fourth", "fifth"]) await metadata.run(addVersion(accountId, arn, text, false))
  await refuses(metadata.run(addVersion(accountId, arn, "sixth", false)), "limitExceeded")
  await refuses(metadata.run(removeVersion(accountId, arn, 3)), "deleteConflict")
  await refuses(metadata.run(removeVersion(accountId, arn, 9)), "noSuchEntity")
  await refuses(metadata.run(setDefaultVersion(accountId, arn, 9)), "noSuchEntity")
  await metadata.run(removeVersion(accountId, arn, 5))
  await metadata.run(addVersion(accountId, arn, "sixth", false))
  assert.deepEqual(await numbers(), [1, 2, 3, 4, 6])
  assert.equal(defaultText(await metadata.run(setDefaultVersion(accountId, arn, 2))), "second")
  await refuses(metadata.run(deletePolicy(accountId, arn)), "deleteConflict", /more than one version/)
  for (const number of [1, 3, 4, 6]) await metadata.run(removeVersion(accountId, arn, number))
  const { tags, updatedMs, createdMs } = await metadata.run(setPolicyTags(accountId, arn, [["a", "b"]], []))
  assert.deepEqual(tags, [["a", "b"]])
  assert.ok(updatedMs > createdMs)
  await metadata.run(deletePolicy(accountId, arn))
  await refuses((async () => metadata.ask(readPolicy(accountId, arn)))(), "noSuchEntity")
})

test("a membership row names its identity; any other key is reported as corrupt", () => {
  assert.deepEqual(parseMembership(rowKeyOf("company\x00group staff\x00user ann b")), { kind: "user", name: "ann b" })
  for (const key of ["company\x00group staff\x00robot ann", "company\x00user ", "user ann"])
    assert.throws(
      () => parseMembership(rowKeyOf(key)),
      error => isFailure(error, "corruptRecord"),
    )
})

test("a full store lets rights be withdrawn, and refuses new ones", () => {
  const user = { accountId, kind: "user", name: "Ann" } as const
  const arn = `arn:aws:iam::${accountId}:policy/Read`
  const removing = [
    removeInline(user, "own"),
    detachPolicy(user, arn),
    leaveGroup(user, "Staff"),
    setBoundary(user, undefined),
    setTags(user, [], ["team"]),
    removeVersion(accountId, arn, 1),
    setPolicyTags(accountId, arn, [], ["team"]),
    updateProvider(accountId, "https://login.example.org", { removeClientId: "app" }),
  ]
  const growing = [
    putInline(user, "own", ALLOW_ALL),
    attachPolicy(user, arn),
    joinGroup(user, "Staff"),
    setBoundary(user, arn),
    setTags(user, [["team", "a"]], []),
    addVersion(accountId, arn, ALLOW_ALL, true),
    setPolicyTags(accountId, arn, [["team", "a"]], []),
    updateProvider(accountId, "https://login.example.org", { addClientId: "app" }),
  ]
  for (const command of removing) assert.equal(command.grows, false, command.name)
  for (const command of growing) assert.equal(command.grows, true, command.name)
})
