/** Users, groups, policies and keys: the permissions that they give a request; every change applies immediately. */
import assert from "node:assert/strict"
import { parseAccessKeyId, parseAccountId } from "@hayloft/base/ids.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { packRecord } from "@hayloft/engine/format/encoding/pack.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import { command } from "@hayloft/engine/metadata/index.js"
import { readPrincipals } from "@hayloft/access/identities/named-principals-core.js"
import { AccessWorld, allow, collect, NOW_MS, rejects, ROOT_KEY, testBothWays, trust } from "./world.js"

const READ_ONLY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"

testBothWays(
  "a user may do what its policies and those of its groups allow, for as long as they do",
  async answersLater => {
    const world = await AccessWorld.open(answersLater)
    const { identities, accounts } = world.access
    const { ref, id } = await world.user("Bob")
    assert.equal(await world.may(id, "s3:GetObject"), false)
    await identities.attach(ref, READ_ONLY)
    assert.equal(await world.may(id, "s3:GetObject"), true)
    assert.equal(await world.may(id, "s3:PutObject"), false)
    const group = await world.create("group", "writers")
    await identities.putInline(group, "write", allow("s3:PutObject"))
    await identities.joinGroup(ref, "Writers")
    assert.equal(await world.may(id, "s3:PutObject"), true)
    assert.deepEqual(
      (await collect(identities.members(group, ""))).map(user => user.name),
      ["Bob"],
    )
    await identities.putInline(group, "write", allow("s3:PutObjectTagging"))
    assert.equal(await world.may(id, "s3:PutObject"), false, "a changed policy applies immediately")
    await identities.leaveGroup(ref, "writers")
    assert.equal(await world.may(id, "s3:PutObjectTagging"), false, "the end of a membership applies immediately")
    await identities.detach(ref, READ_ONLY)
    assert.equal(await world.may(id, "s3:GetObject"), false, "a detached policy applies immediately")
    await accounts.setKeyActive(id, false)
    assert.equal(await world.known(id), undefined, "a disabled key is refused immediately")
    await accounts.setKeyActive(id, true)
    assert.equal((await world.mustKnow(id)).principal.kind, "user")
    await accounts.removeKey(id)
    assert.equal(await world.known(id), undefined, "a deleted key is refused immediately")
    await identities.remove(ref)
    await rejects("noSuchEntity", identities.get(ref))
  },
)

testBothWays("a principal has the names that policies refer to", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const { identities } = world.access
  const ref = world.ref("user", "Ann")
  const user = await identities.create({
    ...ref,
    path: "/x/",
    tags: [["Team", "a"]],
    boundary: undefined,
    role: undefined,
  })
  const { key } = await world.access.accounts.createKey({ accountId: world.account, userName: "ann" })
  const number = accountNumberOf(world.account)
  const { principal, isWholeRoot } = await world.mustKnow(key.id)
  assert.deepEqual(principal, {
    kind: "user",
    accountId: world.account,
    accountNumber: number,
    arn: `arn:aws:iam::${number}:user/x/Ann`,
    userId: user.id,
    userName: "Ann",
    tags: [["Team", "a"]],
    issuedMs: undefined,
  })
  assert.equal(isWholeRoot, false)
  const root = await world.mustKnow(ROOT_KEY.accessKeyId)
  assert.equal(root.principal.arn, `arn:aws:iam::${number}:root`)
  assert.equal(root.isWholeRoot, true)
  assert.equal(
    world.access.accounts.knownSecret(ROOT_KEY.accessKeyId, undefined, NOW_MS),
    root,
    "the second lookup does not wait",
  )
})

testBothWays(
  "versions of a managed policy: five at most, the default one applies, and those in use cannot be deleted",
  async answersLater => {
    const world = await AccessWorld.open(answersLater)
    const { identities } = world.access
    const { ref, id } = await world.user("bob")
    const policy = { name: "P", path: "/", description: "", tags: [], text: allow("s3:GetObject") }
    await identities.createPolicy(world.account, policy)
    await rejects("entityExists", identities.createPolicy(world.account, { ...policy, name: "p" }))
    const arn = `arn:aws:iam::${accountNumberOf(world.account)}:policy/P`
    await identities.attach(ref, arn)
    assert.equal(await world.may(id, "s3:GetObject"), true)
    await identities.addPolicyVersion(world.account, arn, allow("s3:PutObject"), false)
    assert.equal(await world.may(id, "s3:PutObject"), false)
    await identities.setDefaultPolicyVersion(world.account, arn, 2)
    assert.equal(await world.may(id, "s3:PutObject"), true)
    assert.equal(await world.may(id, "s3:GetObject"), false)
    for (let i = 3; i <= 5; i += 1) await identities.addPolicyVersion(world.account, arn, policy.text, false)
    await rejects("limitExceeded", identities.addPolicyVersion(world.account, arn, policy.text, true))
    await rejects("deleteConflict", identities.removePolicyVersion(world.account, arn, 2))
    await rejects("deleteConflict", identities.removePolicy(world.account, arn))
    await identities.detach(ref, arn)
    await rejects("deleteConflict", identities.removePolicy(world.account, arn))
    for (const number of [1, 3, 4, 5]) await identities.removePolicyVersion(world.account, arn, number)
    await identities.setBoundary(ref, arn)
    assert.deepEqual(
      (await collect(identities.policyHolders(world.account, arn))).map(({ identity, isBoundary }) => [
        identity.name,
        isBoundary,
      ]),
      [["bob", true]],
    )
    await rejects("deleteConflict", identities.removePolicy(world.account, arn))
    await identities.setBoundary(ref, undefined)
    await identities.removePolicy(world.account, arn)
    await rejects("noSuchEntity", identities.attach(ref, arn))
    await rejects("accessDenied", identities.addPolicyVersion(world.account, READ_ONLY, policy.text, true))
  },
)

testBothWays("a boundary limits a user, and its own policy limits a service key", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const { identities, accounts } = world.access
  const { ref, id } = await world.user("bob", "s3:*")
  await identities.setBoundary(ref, READ_ONLY)
  assert.equal(await world.may(id, "s3:PutObject"), false)
  assert.equal(await world.may(id, "s3:GetObject"), true)
  const service = { description: "backup", expiresMs: NOW_MS + 1_000, policy: allow("s3:PutObject") }
  const { key } = await accounts.createKey({ accountId: world.account, userName: "bob", service })
  assert.equal(await world.may(key.id, "s3:GetObject"), false)
  await identities.setBoundary(ref, undefined)
  assert.equal(await world.may(key.id, "s3:PutObject"), true)
  assert.equal(accounts.knownSecret(key.id, undefined, NOW_MS), undefined, "a key that expires is never cached")
  assert.equal(await world.known(key.id, undefined, NOW_MS + 1_000), undefined, "an expired key is refused")
  const ofRoot = await accounts.createKey({ accountId: world.account, userName: undefined, service })
  assert.equal(await world.may(ofRoot.key.id, "s3:PutObject"), true)
  assert.equal(await world.may(ofRoot.key.id, "s3:GetObject"), false)
  assert.equal((await world.mustKnow(ofRoot.key.id)).isWholeRoot, false)
  const plain = { description: "", expiresMs: undefined, policy: undefined }
  const unlimited = await accounts.createKey({ accountId: world.account, userName: undefined, service: plain })
  assert.equal((await world.mustKnow(unlimited.key.id)).isWholeRoot, true)
  await rejects(
    "malformedPolicy",
    accounts.createKey({ accountId: world.account, userName: "bob", service: { ...service, policy: "{" } }),
  )
})

testBothWays(
  "a user has at most two keys; its service keys are deleted with it; no user can change another user's keys",
  async answersLater => {
    const world = await AccessWorld.open(answersLater)
    const { identities, accounts } = world.access
    const { ref, id } = await world.user("bob")
    await world.user("ann")
    const second = await accounts.createKey({ accountId: world.account, userName: "bob" })
    await rejects("limitExceeded", accounts.createKey({ accountId: world.account, userName: "bob" }))
    await rejects("noSuchEntity", accounts.createKey({ accountId: world.account, userName: "nobody" }))
    const service = { description: "", expiresMs: undefined, policy: undefined }
    const third = await accounts.createKey({ accountId: world.account, userName: "bob", service })
    assert.deepEqual(
      (await accounts.keysOf({ accountId: world.account, userName: "BOB" })).map(key => key.id).sort(),
      [id, second.key.id, third.key.id].sort(),
    )
    const ann = { accountId: world.account, userName: "ann" }
    await rejects("noSuchAccessKey", accounts.removeKey(id, ann))
    await rejects("noSuchAccessKey", accounts.setKeyActive(id, false, ann))
    await rejects("noSuchAccessKey", accounts.removeKey(ROOT_KEY.accessKeyId, ann))
    await rejects("invalidRequest", accounts.removeKey(ROOT_KEY.accessKeyId))
    await rejects("deleteConflict", identities.remove(ref))
    await accounts.removeKey(id)
    await accounts.removeKey(second.key.id)
    await world.mustKnow(third.key.id)
    await identities.remove(ref)
    assert.equal(await world.known(third.key.id), undefined)
    assert.equal(await accounts.getKey(third.key.id), undefined)
  },
)

testBothWays("deleting is refused while other resources depend on it", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const { identities } = world.access
  const user = await world.create("user", "bob")
  const group = await world.create("group", "devs")
  await identities.joinGroup(user, "devs")
  await rejects("deleteConflict", identities.remove(group))
  await rejects("deleteConflict", identities.remove(user))
  await identities.leaveGroup(user, "devs")
  await identities.putInline(group, "p", allow("s3:*"))
  await rejects("deleteConflict", identities.remove(group))
  await identities.removeInline(group, "p")
  await rejects("noSuchEntity", identities.removeInline(group, "p"))
  await identities.attach(group, READ_ONLY)
  await rejects("deleteConflict", identities.remove(group))
  await identities.detach(group, READ_ONLY)
  await rejects("noSuchEntity", identities.detach(group, READ_ONLY))
  await identities.remove(group)
  await identities.remove(user)
})

testBothWays("names are compared without case; a renamed user keeps its keys and policies", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const { identities } = world.access
  const { ref, id } = await world.user("Bob", "s3:GetObject")
  await rejects("entityExists", world.create("user", "BOB"))
  const group = await world.create("group", "devs")
  await identities.joinGroup(ref, "devs")
  await identities.attach(ref, READ_ONLY)
  await identities.update(ref, { name: "Robert", path: "/new/" })
  await rejects("noSuchEntity", identities.get(ref))
  assert.equal(await world.may(id, "s3:GetObject"), true)
  assert.match((await world.mustKnow(id)).principal.arn, /user\/new\/Robert$/)
  assert.deepEqual(
    (await collect(identities.members(group, ""))).map(user => user.name),
    ["Robert"],
  )
  await identities.update(world.ref("user", "robert"), { name: "ROBERT", path: undefined })
  assert.deepEqual(
    (await collect(identities.policyHolders(world.account, READ_ONLY))).map(({ identity }) => identity.name),
    ["ROBERT"],
  )
  await world.create("user", "Bob")
  await rejects("entityExists", identities.update(world.ref("user", "bob"), { name: "Robert", path: undefined }))
  await rejects("notImplemented", identities.update(group, { name: "others", path: undefined }))
})

testBothWays("bad names, texts and tags are refused", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const { identities } = world.access
  const user = await world.create("user", "bob")
  await rejects("invalidArgument", world.create("user", "no spaces"))
  await rejects("invalidArgument", world.create("user", "x".repeat(65)))
  await rejects("malformedPolicy", world.create("role", "r", "{}"))
  await rejects("malformedPolicy", identities.putInline(user, "p", "{"))
  await rejects(
    "limitExceeded",
    identities.putInline(user, "p", allow("s3:GetObject", `arn:aws:s3:::${"x".repeat(2_100)}`)),
  )
  await rejects(
    "invalidArgument",
    identities.setTags(
      user,
      [
        ["a", "1"],
        ["A", "2"],
      ],
      [],
    ),
  )
  await rejects("invalidArgument", identities.setTags(user, [["aws:x", "1"]], []))
  await rejects(
    "limitExceeded",
    identities.setTags(
      user,
      Array.from({ length: 51 }, (_, i) => [`k${i}`, ""]),
      [],
    ),
  )
  await identities.setTags(user, [["Team", "a"]], [])
  await identities.setTags(
    user,
    [
      ["team", "b"],
      ["x", ""],
    ],
    ["X"],
  )
  assert.deepEqual((await identities.get(user)).tags, [
    ["team", "b"],
    ["x", ""],
  ])
})

testBothWays("accounts cannot see each other's identities", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const { accounts, identities } = world.access
  const other = await accounts.createAccount({ id: parseAccountId("other"), displayName: "Other", email: "" })
  await world.user("bob")
  await rejects("noSuchEntity", identities.get(world.ref("user", "bob", other.id)))
  await world.create("user", "bob", undefined, other.id)
  assert.equal((await collect(identities.list(other.id, "user", ""))).length, 1)
  await identities.createPolicy(other.id, { name: "P", path: "/", description: "", tags: [], text: allow("s3:*") })
  const arn = `arn:aws:iam::${other.number}:policy/P`
  await identities.getPolicy(other.id, arn)
  await rejects("noSuchEntity", identities.getPolicy(world.account, `${arn}x`))
  assert.equal((await accounts.accountOfNumber(other.number))?.id, "other")
})

testBothWays(
  "an account of an earlier release gets its number at a start, and its key becomes the root's",
  async answersLater => {
    const world = await AccessWorld.open(answersLater)
    const id = parseAccountId("old")
    const value = packRecord(1, [id, "Old", "", 5])
    const writeOld = command({
      name: "WriteOld",
      decide: () => ({ writes: [{ family: "accounts", key: textRowKey(id), value }], result: undefined }),
    })
    await world.metadata.run(writeOld())
    await world.restart()
    const found = await world.access.accounts.accountOfNumber(accountNumberOf(id))
    assert.deepEqual(found, { id, displayName: "Old", email: "", createdMs: 5, number: accountNumberOf(id) })
    const key = await world.access.accounts.importKey({
      accountId: id,
      userName: undefined,
      id: parseAccessKeyId("OLDKEY"),
      secret: "12345678",
    })
    assert.equal((await world.mustKnow(key.id)).isWholeRoot, true)
  },
)

testBothWays("lists are complete and in order, whatever the number of pages", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const { accounts, identities } = world.access
  const group = await world.create("group", "all")
  const names = Array.from({ length: 250 }, (_, i) => `U${String(i).padStart(3, "0")}`)
  for (const name of names) await identities.joinGroup(await world.create("user", name), "all")
  for (const name of names) await accounts.createKey({ accountId: world.account, userName: name })
  const namesOf = async (items: AsyncIterable<{ readonly name: string }>) =>
    (await collect(items)).map(({ name }) => name)
  assert.deepEqual(await namesOf(identities.list(world.account, "user", "")), names)
  assert.deepEqual(await namesOf(identities.list(world.account, "user", "u099")), names.slice(100))
  assert.deepEqual(await namesOf(identities.members(group, "")), names)
  assert.deepEqual(await namesOf(identities.members(group, "u199")), names.slice(200))
  assert.deepEqual(await namesOf(identities.list(world.account, "role", "")), [])
  const keys = (await accounts.listKeys()).map(({ id }) => id)
  assert.deepEqual([keys.length, new Set(keys).size], [251, 251], "the keys of the users and of the root")
  for (let i = 0; i < 120; i += 1) await accounts.createAccount({ displayName: `a${i}`, email: "" })
  const ids = (await accounts.listAccounts()).map(({ id }) => id)
  assert.deepEqual([ids.length, new Set(ids).size], [121, 121])
})

testBothWays("the last use of a key is known immediately, and written only a few times", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const { id } = await world.user("bob")
  let writes = 0
  world.metadata.before = name => void (writes += name === "NoteKeyUses" ? 1 : 0)
  const known = await world.mustKnow(id)
  for (let i = 0; i < 1_000; i += 1) world.access.accounts.noteUse(known, NOW_MS + i * 1_000, "s3", "us-east-1")
  const last = { usedMs: NOW_MS + 999_000, service: "s3", region: "us-east-1" }
  assert.deepEqual(await world.access.accounts.lastUse(id), last)
  await new Promise(resolve => setImmediate(resolve))
  assert.ok(writes >= 1 && writes <= 2, `${writes} writes in 17 minutes`)
  await world.restart()
  const kept = await world.access.accounts.lastUse(id)
  assert.ok(kept !== undefined && last.usedMs - kept.usedMs <= 15 * 60_000, "a crash loses at most 15 minutes of it")
  await world.access.accounts.removeKey(id)
  assert.equal(await world.access.accounts.lastUse(id), undefined)
})

testBothWays("a policy may name existing accounts, users and roles only, spelled exactly", async answersLater => {
  const world = await AccessWorld.open(answersLater)
  const number = accountNumberOf(ROOT_KEY.accountId)
  await world.create("user", "Bob")
  await world.create("role", "reader", trust({ AWS: `arn:aws:iam::${number}:root` }))
  const names = async (type: "AWS" | "CanonicalUser" | "Service", ...values: readonly string[]) => {
    const found = await world.metadata.ask(readPrincipals(values.map(value => ({ type, value }))))
    return found.map(({ exists }) => exists)
  }
  const iam = `arn:aws:iam::${number}`
  const there = [number, `${iam}:root`, `${iam}:user/Bob`, `${iam}:role/reader`, "*", "AIDAAAAAAAAAAAAAAAAAA"]
  assert.deepEqual(await names("AWS", ...there, `arn:aws:sts::${number}:assumed-role/reader/any`), Array(7).fill(true))
  const missing = [`${iam}:user/bob`, `${iam}:user/team/Bob`, `${iam}:user/nobody`, `${iam}:role/Bob`, "000000000000"]
  const elsewhere = ["arn:aws:iam::000000000000:root", "arn:aws:iam::000000000000:user/Bob"]
  const sessions = [`arn:aws:sts::${number}:assumed-role/none/any`, `arn:aws:sts::${number}:federated-user/Bob`]
  assert.deepEqual(await names("AWS", ...missing, ...elsewhere, ...sessions), Array(9).fill(false))
  assert.deepEqual(await names("CanonicalUser", ROOT_KEY.accountId, "nobody"), [true, false])
  assert.deepEqual(await names("Service", "logging.s3.amazonaws.com"), [true])
})
