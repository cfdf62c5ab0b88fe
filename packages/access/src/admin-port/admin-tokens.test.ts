/** Tokens of the admin API: what each is good for, until when, and what the store keeps of them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId, parseAdminTokenId } from "@hayloft/base/ids.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { AdminTokens } from "./admin-tokens.js"
import { MasterKeys } from "../secrets/master-keys.js"
import { openAccess, openAdminTokens } from "../open-access.js"

const MINUTE_MS = 60_000
const ROOT_KEY = {
  accountId: parseAccountId("root"),
  accessKeyId: parseAccessKeyId("HLROOT"),
  secret: "root-secret",
  createdMs: 1,
}

function world() {
  const clock = new SimClock()
  const metadata = new MemoryMetadata()
  const prepared = { times: 0 }
  const prepare = async () => void (prepared.times += 1)
  const open = (seed: number) => openAdminTokens(clock, new SimRandom(seed), metadata, prepare)
  return { clock, metadata, prepared, open }
}

const verified = async (tokens: AdminTokens, text: string) => (await tokens.named(text))?.prove()

test("a token is known by its text, by every process, until it is revoked or expires", async () => {
  const { clock, open, prepared } = world()
  const [here, there] = [open(1), open(2)]
  const { token, text } = await here.create({ name: "portal", scopes: ["read", "buckets"], expiresMs: undefined })
  const short = await here.create({ name: "ci", scopes: ["all"], expiresMs: clock.wallMs() + MINUTE_MS })
  assert.equal(prepared.times, 2)
  for (const tokens of [here, there]) {
    assert.deepEqual((await verified(tokens, text))?.scopes, ["read", "buckets"])
    assert.equal((await verified(tokens, short.text))?.name, "ci")
  }
  for (const wrong of [
    "",
    "hlt_",
    text.slice(0, -1),
    `${text.slice(0, -1)}${text.endsWith("a") ? "b" : "a"}`,
    `${text}a`,
  ]) {
    assert.equal(await verified(here, wrong), undefined, wrong)
  }
  const foreign = `hlt_${short.token.id}_${text.slice(-40)}`
  assert.equal(await verified(here, foreign), undefined, "the secret of another token")
  await clock.advance(MINUTE_MS - 1)
  assert.notEqual(await verified(there, short.text), undefined)
  await clock.advance(1)
  for (const tokens of [here, there]) assert.equal(await verified(tokens, short.text), undefined, "it has expired")
  await there.revoke(token.id)
  for (const tokens of [here, there]) assert.equal(await verified(tokens, text), undefined, "it was revoked")
  assert.deepEqual(
    (await here.list()).map(({ name }) => name),
    ["ci"],
  )
  await assert.rejects(here.revoke(token.id), error => isFailure(error, "noSuchEntity"))
  await assert.rejects(here.revoke(parseAdminTokenId("B".repeat(12))), error => isFailure(error, "noSuchEntity"))
})

test("a full store revokes tokens", async () => {
  const { metadata, open } = world()
  const tokens = open(1)
  const { token, text } = await tokens.create({ name: "ci", scopes: ["all"], expiresMs: undefined })
  metadata.isFull = true
  await tokens.revoke(token.id)
  assert.equal(await verified(tokens, text), undefined)
})

test("the rows of a token do not contain its secret", async () => {
  const { metadata, open } = world()
  const { text } = await open(1).create({ name: "portal", scopes: ["read"], expiresMs: undefined })
  const secret = text.slice(-40)
  for (const row of metadata.committed.range("adminTokens", { start: "" as never, end: "\xff" as never })) {
    assert.ok(!JSON.stringify([row[0], Buffer.from(row[1].value).toString("latin1")]).includes(secret))
  }
})

test("the last use is shown, written at most each quarter of an hour, and goes with the token", async () => {
  const { clock, metadata, open } = world()
  const tokens = open(1)
  const { token, text } = await tokens.create({ name: "portal", scopes: ["read"], expiresMs: undefined })
  const usedIn = async () => (await open(9).list())[0]?.usedMs
  /** The use is written behind the request. */
  const written = (usedMs: number) => until("the use is written", async () => (await usedIn()) === usedMs, 1)
  assert.equal(await usedIn(), undefined)
  await clock.advance(MINUTE_MS)
  await verified(tokens, text)
  const first = clock.wallMs()
  await written(first)
  // The uses of access keys are listed from the same rows.
  const access = openAccess(new SimRandom(3), metadata, new MasterKeys(new Uint8Array(32)), ROOT_KEY)
  assert.equal((await access.accounts.lastUses()).get(ROOT_KEY.accessKeyId), undefined)
  await clock.advance(14 * MINUTE_MS)
  await verified(tokens, text)
  assert.equal(await usedIn(), first)
  await clock.advance(MINUTE_MS)
  await verified(tokens, text)
  await written(clock.wallMs())
  await tokens.revoke(token.id)
  assert.deepEqual([...metadata.committed.range("keyUses", { start: "" as never, end: "\xff" as never })], [])
})

test("the last use comes back once a clock that was ahead is right", async () => {
  const { clock, metadata, open } = world()
  const tokens = open(1)
  const { text } = await tokens.create({ name: "portal", scopes: ["read"], expiresMs: undefined })
  const access = openAccess(new SimRandom(3), metadata, new MasterKeys(new Uint8Array(32)), ROOT_KEY)
  await access.accounts.ensureRoot()
  const key = must(await access.accounts.secretOf(ROOT_KEY.accessKeyId, undefined, clock.wallMs()), "the root key")
  const use = async () => {
    await verified(tokens, text)
    access.accounts.noteUse(key, clock.wallMs(), "s3", "")
    const shown = async () => [
      (await open(9).list())[0]?.usedMs,
      (await tokens.list())[0]?.usedMs,
      (await access.accounts.lastUses()).get(ROOT_KEY.accessKeyId)?.usedMs,
    ]
    await until("the uses are shown", async () => (await shown()).every(usedMs => usedMs === clock.wallMs()), 1)
  }
  await use()
  clock.jumpWall(365 * 24 * 60 * MINUTE_MS)
  await use()
  clock.jumpWall(-364 * 24 * 60 * MINUTE_MS)
  await use()
})

test("a token that would be expired already is refused", async () => {
  const { clock, open } = world()
  const late = open(1).create({ name: "late", scopes: ["read"], expiresMs: clock.wallMs() })
  await assert.rejects(late, error => isFailure(error, "invalidArgument"))
})
