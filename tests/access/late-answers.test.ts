/** Identity lookups that are in flight during a change: their results are never cached. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MasterKeys, openAccess } from "@hayloft/access/index.js"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import type { Query } from "@hayloft/engine/metadata/contract.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { allow, NO_CONTEXT, NOW_MS, rejects, ROOT_KEY, trust } from "./world.js"

/** Reads the answer at the time of the request, and delivers it when the test releases it. */
class SlowMetadata extends MemoryMetadata {
  readonly queries: string[] = []
  private release: (() => void) | undefined
  private held: Promise<void> | undefined

  hold(): void {
    this.held = new Promise(resolve => (this.release = resolve))
  }

  deliver(): void {
    this.held = undefined
    this.release?.()
  }

  override ask<Result>(query: Query<Result>): Soon<Result> {
    this.queries.push(query.name)
    const answer = super.ask(query)
    return this.held === undefined ? answer : this.held.then(() => answer)
  }
}

const ACCOUNT = ROOT_KEY.accountId
const NUMBER = accountNumberOf(ACCOUNT)
const BOB = { accountId: ACCOUNT, kind: "user", name: "bob" } as const
const READER = { accountId: ACCOUNT, kind: "role", name: "reader" } as const
const PLAIN = { path: "/", tags: [], boundary: undefined }

async function scene() {
  const metadata = new SlowMetadata()
  const access = openAccess(new SimRandom(7), metadata, new MasterKeys(new Uint8Array(32).fill(9)), ROOT_KEY)
  const { accounts, identities } = access
  await accounts.ensureRoot()
  await identities.create({ ...BOB, ...PLAIN, role: undefined })
  await identities.putInline(BOB, "own", allow("sts:AssumeRole"))
  const { key } = await accounts.createKey({ accountId: ACCOUNT, userName: "bob" })
  return { metadata, ...access, id: key.id }
}

test("a key that is disabled while its records are in flight is refused from then on", async () => {
  const { metadata, accounts, id } = await scene()
  metadata.hold()
  const pending = accounts.secretOf(id, undefined, NOW_MS)
  assert.ok(pending instanceof Promise)
  await accounts.setKeyActive(id, false)
  metadata.deliver()
  assert.equal((await pending)?.id, id, "the request began before the change")
  assert.equal(accounts.knownSecret(id, undefined, NOW_MS)?.id, undefined)
  assert.equal((await accounts.secretOf(id, undefined, NOW_MS))?.id, undefined)
})

test("a policy that is replaced while it is in flight does not decide the next request", async () => {
  const { metadata, accounts, identities, id } = await scene()
  const policyOf = async () => JSON.stringify((await accounts.secretOf(id, undefined, NOW_MS))?.policies)
  const before = await policyOf()
  await identities.setTags(BOB, [["forgotten", "now"]], [])
  metadata.hold()
  const late = policyOf()
  await identities.putInline(BOB, "own", allow("s3:GetObject"))
  metadata.deliver()
  assert.equal(await late, before)
  assert.notEqual(await policyOf(), before)
})

test("a session of a role that is deleted while its records are in flight has ended", async () => {
  const { metadata, accounts, identities, sessions, id } = await scene()
  const role = { description: "", trust: trust({ AWS: `arn:aws:iam::${NUMBER}:root` }), sessionSecondsMax: 3_600 }
  await identities.create({ ...READER, ...PLAIN, role })
  const bob = await accounts.secretOf(id, undefined, NOW_MS)
  assert.ok(bob)
  const { accessKeyId, token } = await sessions.assume(bob, {
    roleArn: `arn:aws:iam::${NUMBER}:role/reader`,
    sessionName: "work",
    seconds: undefined,
    policy: undefined,
    policyArns: [],
    tags: [],
    context: NO_CONTEXT,
    nowMs: NOW_MS,
  })
  metadata.hold()
  const pending = accounts.secretOf(accessKeyId, token, NOW_MS)
  await identities.remove(READER)
  metadata.deliver()
  assert.equal((await pending)?.id, accessKeyId)
  assert.equal(accounts.knownSecret(accessKeyId, token, NOW_MS)?.id, undefined)
  await rejects("invalidToken", async () => accounts.secretOf(accessKeyId, token, NOW_MS))
})

test("a key and an account are read once until something changes", async () => {
  const { metadata, accounts, identities, id } = await scene()
  await accounts.secretOf(id, undefined, NOW_MS)
  await accounts.getAccount(ACCOUNT)
  metadata.queries.length = 0
  await accounts.secretOf(id, undefined, NOW_MS)
  await accounts.getAccount(ACCOUNT)
  assert.deepEqual(metadata.queries, [])
  await identities.setTags(BOB, [["team", "a"]], [])
  const key = await accounts.secretOf(id, undefined, NOW_MS)
  await accounts.getAccount(ACCOUNT)
  assert.deepEqual(metadata.queries, ["ReadKey", "ReadAccount"])
  assert.deepEqual(key?.principal.tags, [["team", "a"]])
})

test("a user who is renamed while all users are read is shown by the new name", async () => {
  const { metadata, accounts, identities } = await scene()
  const { id } = await identities.get(BOB)
  const stored = trust({ AWS: id })
  metadata.hold()
  const shown = accounts.showPrincipals(stored)
  await identities.update(BOB, { name: "rob", path: undefined })
  metadata.deliver()
  assert.equal(await shown, trust({ AWS: `arn:aws:iam::${NUMBER}:user/rob` }), "the users are read again")
  assert.equal(await accounts.showPrincipals(stored), trust({ AWS: `arn:aws:iam::${NUMBER}:user/rob` }))
})

test("a key that another process removes is not accepted with the next request", async () => {
  const metadata = new MemoryMetadata()
  const open = () => openAccess(new SimRandom(7), metadata, new MasterKeys(new Uint8Array(32).fill(9)), ROOT_KEY)
  const [one, other] = [open(), open()]
  await one.accounts.ensureRoot()
  const { key } = await one.accounts.createKey({ accountId: ROOT_KEY.accountId, userName: undefined })
  const known = async () => other.accounts.secretOf(key.id, undefined, NOW_MS)
  assert.ok(await known())
  assert.ok(await known())
  await one.accounts.removeKey(key.id)
  assert.equal(await known(), undefined)
})

test("policies are displayed after one walk over the identities, unless one that they name is missing", async () => {
  const metadata = new SlowMetadata()
  const { accounts, identities } = openAccess(
    new SimRandom(7),
    metadata,
    new MasterKeys(new Uint8Array(32).fill(9)),
    ROOT_KEY,
  )
  await accounts.ensureRoot()
  await identities.create({ ...BOB, ...PLAIN, role: undefined })
  const stored = trust({ AWS: (await identities.get(BOB)).id })
  metadata.queries.length = 0
  assert.equal(await accounts.showPrincipals(stored), trust({ AWS: `arn:aws:iam::${NUMBER}:user/bob` }))
  assert.deepEqual(metadata.queries, ["ReadNamedIdentities"])
  await identities.remove(BOB)
  assert.equal(await accounts.showPrincipals(stored), stored)
})

test("another root key pair replaces the earlier one with the next request", async () => {
  const { metadata, accounts } = await scene()
  const next = { ...ROOT_KEY, accessKeyId: parseAccessKeyId("HLNEXT"), secret: "next-secret" }
  const secretOf = async (id: typeof next.accessKeyId) => (await accounts.secretOf(id, undefined, NOW_MS))?.secret
  metadata.hold()
  const late = secretOf(ROOT_KEY.accessKeyId)
  accounts.setRoot(next)
  metadata.deliver()
  assert.equal(await late, ROOT_KEY.secret, "the request began before the change")
  assert.equal(accounts.knownSecret(ROOT_KEY.accessKeyId, undefined, NOW_MS), undefined)
  assert.equal(await secretOf(ROOT_KEY.accessKeyId), undefined)
  assert.equal(await secretOf(next.accessKeyId), next.secret)
  const keys = (await accounts.listKeys()).map(({ id }) => id)
  assert.ok(keys.includes(next.accessKeyId) && !keys.includes(ROOT_KEY.accessKeyId))
})
