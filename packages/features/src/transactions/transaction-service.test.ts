/** Transactions of a store: all operations are done, or nothing is changed; and the leftovers. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseCoordPath, parseVersionId } from "@hayloft/base/ids.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { encodeAccount } from "@hayloft/engine/format/records.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import { refuses } from "@hayloft/objects/commands/testing-bucket.js"
import { TRANSACTION_LIMITS } from "./transaction-commands-core.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import type { TransactionOperation } from "./contract.js"
import { ACCOUNT, check, remove, rename, tokenOf, TwoBuckets } from "./testing-transactions.js"
import { SMALL_PART_BYTES } from "@hayloft/upkeep/testing-services.js"

const NULL = parseVersionId("null")
const ANY = { ifMatch: ["*"] }
const NONE = { ifNoneMatch: ["*"] }
const WRONG = { ifMatch: ["0".repeat(32)] }

test("uploads, deletions, renames and checks of two buckets happen together", async () => {
  const scene = await TwoBuckets.open(["two"])
  const { one, two, world } = scene
  const bytes = (length: number) => Buffer.from(world.random.bytes(length))
  const [inline, large, old] = [bytes(500), bytes(300_000), bytes(70_001)]
  const parts = [bytes(SMALL_PART_BYTES), bytes(1_001)]
  const etag = await scene.put(one, "inline", inline)
  await scene.put(one, "large", large)
  await scene.put(two, "old", old)
  await scene.put(two, "replaced", old)
  const results = await scene.commit([
    await scene.upload(two, "replaced", parts, ANY),
    remove(two, "old"),
    rename({ bucket: one, key: "large" }, { bucket: two, key: "large" }, { conditions: NONE }),
    rename({ bucket: one, key: "inline" }, { bucket: one, key: "moved" }, { sourceConditions: { ifMatch: [etag] } }),
    check(one, "nothing", NONE),
    remove(one, "absent"),
  ])
  assert.deepEqual(await scene.keys(one), ["moved"])
  assert.deepEqual(await scene.keys(two), ["large", "replaced"])
  assert.deepEqual(await scene.read(one, "moved"), inline)
  assert.deepEqual(await scene.read(two, "large"), large)
  assert.deepEqual(await scene.read(two, "replaced"), Buffer.concat(parts))
  const [put, removed, across, within, checked, absent] = results
  assert.equal(put?.etag, await scene.etag(two, "replaced"))
  assert.equal(removed?.deleteMarker, true)
  assert.ok(removed.versionId !== undefined && across?.versionId !== undefined)
  assert.deepEqual(await scene.read(two, "large", across.versionId), large)
  assert.deepEqual([within, checked, absent], [{ etag }, {}, {}])
  const sums = { objects: 2, versions: 5, uploads: 0 }
  const sizes = 2 * old.length + large.length + parts.reduce((sum, part) => sum + part.length, 0)
  assert.deepEqual(scene.counters(two), { ...sums, bytes: sizes })
  assert.deepEqual(scene.counters(one), { objects: 1, versions: 1, bytes: inline.length, uploads: 0 })
  await world.settle("collector")
  assert.doesNotMatch(scene.rows(), /^(?:transactions|uploads|parts)/m)
})

/** Operations that are refused after the others, which would succeed. */
const REFUSED: Readonly<
  Record<string, readonly [FailureKind, (scene: TwoBuckets) => TransactionOperation | Promise<TransactionOperation>]>
> = {
  "check: another ETag": ["preconditionFailed", ({ one }) => check(one, "there", WRONG)],
  "check: it is there": ["preconditionFailed", ({ one }) => check(one, "there", NONE)],
  "check: it is not there": ["noSuchKey", ({ one }) => check(one, "absent", ANY)],
  "delete: another ETag": ["preconditionFailed", ({ one }) => remove(one, "there", WRONG)],
  "delete: another ETag of a version": ["preconditionFailed", ({ two }) => remove(two, "kept", WRONG, NULL)],
  "put: it is there": ["preconditionFailed", scene => scene.upload(scene.one, "there", [Buffer.from("x")], NONE)],
  "put: a part that is not": [
    "invalidPart",
    async scene => {
      const put = await scene.upload(scene.one, "there", [Buffer.from("x")])
      assert.ok(put.kind === "put")
      return { ...put, complete: { ...put.complete, parts: [{ partNumber: 2, etag: "x", checksum: undefined }] } }
    },
  ],
  "put: no upload": [
    "noSuchUpload",
    async scene => {
      const put = await scene.upload(scene.one, "there", [Buffer.from("x")])
      assert.ok(put.kind === "put")
      await scene.run(scene.world.services.multipart.abort(put.complete))
      return put
    },
  ],
  "rename: the source is not there": [
    "noSuchKey",
    ({ one, two }) => rename({ bucket: one, key: "absent" }, { bucket: two, key: "new" }),
  ],
  "rename: another source": [
    "preconditionFailed",
    ({ one, two }) => rename({ bucket: one, key: "there" }, { bucket: two, key: "new" }, { sourceConditions: WRONG }),
  ],
  "rename: the destination is there": [
    "preconditionFailed",
    ({ one, two }) => rename({ bucket: one, key: "there" }, { bucket: two, key: "kept" }, { conditions: NONE }),
  ],
}

async function filled(): Promise<TwoBuckets> {
  const scene = await TwoBuckets.open()
  const { one, two, world } = scene
  for (const [bucket, key] of [
    [one, "there"],
    [one, "leaves"],
    [one, "large"],
    [two, "kept"],
  ] as const)
    await scene.put(bucket, key, world.random.bytes(key === "large" ? 200_000 : 300))
  await scene.run(world.services.buckets.setVersioning(two, "enabled"))
  return scene.refreshed()
}

const others = async (scene: TwoBuckets): Promise<readonly TransactionOperation[]> => [
  await scene.upload(scene.two, "put", [Buffer.from("body")]),
  remove(scene.one, "leaves"),
  rename({ bucket: scene.one, key: "large" }, { bucket: scene.two, key: "large" }),
]

for (const [name, [kind, operation]] of Object.entries(REFUSED))
  test(`one operation that is refused refuses all, with its number, and nothing has changed (${name})`, async () => {
    const scene = await filled()
    const operations = await others(scene)
    const refused = await operation(scene)
    await scene.world.settle("collector")
    const [before, { needles }] = [scene.rows(), scene.world]
    for (const at of [0, 1, 3]) {
      const all = [...operations.slice(0, at), refused, ...operations.slice(at)]
      await refuses(scene.commit(all), kind, { operation: at })
      await scene.world.settle("collector")
      assert.equal(scene.rows(), before)
      assert.equal(scene.world.needles, needles)
    }
    // The uploads go on.
    await scene.commit(operations)
    assert.deepEqual(await scene.read(scene.two, "put"), Buffer.from("body"))
    assert.deepEqual(await scene.keys(scene.two), ["kept", "large", "put"])
  })

test("an object that is locked refuses a transaction, unless its deletion may bypass governance", async () => {
  const scene = await filled()
  const { world, one } = scene
  const { buckets, objects } = world.services
  await scene.run(world.services.storeClock.start())
  await scene.run(buckets.setVersioning(one, "enabled"))
  await scene.run(buckets.setLock(one, undefined))
  const bucket = await buckets.open(one.name)
  const target = { bucket, key: objectKeyOfText("there"), versionId: NULL }
  const untilMs = world.clock.wallMs() + 100_000_000_000_000
  await scene.run(objects.setRetention(target, { mode: "GOVERNANCE", untilMs }, false))
  const operations = [remove(bucket, "leaves"), remove(bucket, "there", {}, NULL)]
  await refuses(scene.commit(operations), "objectLocked", { operation: 1, yieldsToBypass: true })
  assert.deepEqual(await scene.keys(bucket), ["large", "leaves", "there"])
  const bypass: TransactionOperation = { kind: "delete", remove: { ...target, conditions: {}, bypassGovernance: true } }
  await scene.commit([remove(bucket, "leaves"), bypass])
  assert.deepEqual(await scene.keys(bucket), ["large"])
})

test("quotas decide on the sum of a transaction, of each bucket and of their account", async () => {
  const scene = await TwoBuckets.open()
  const { one, two, world } = scene
  const account = { id: ACCOUNT, displayName: "Root", email: "", createdMs: 1, number: accountNumberOf(ACCOUNT) }
  world.tablet.plant("accounts", textRowKey(ACCOUNT), encodeAccount(account))
  await scene.put(one, "a", world.random.bytes(1_000))
  await scene.put(two, "b", world.random.bytes(1_000))
  const { quotas } = world.services
  const ofBucket = { kind: "bucket", name: one.name } as const
  const ofAccount = { kind: "account", id: ACCOUNT } as const
  await scene.run(quotas.set(ofBucket, { hardBytes: 1_500, hardObjects: 3 }))
  await scene.run(quotas.set(ofAccount, { hardBytes: 2_500 }))
  const used = async () => [(await quotas.show(ofBucket))?.used, (await quotas.show(ofAccount))?.used]
  const count = (bytes: number, objects: number) => ({ bytes, objects, partBytes: 0 })
  const upload = (key: string, length: number) => scene.upload(one, key, [world.random.bytes(length)])
  const c = await upload("c", 400)
  const before = scene.rows()
  const moved = rename({ bucket: two, key: "b" }, { bucket: one, key: "b" })
  // Each fits the bucket alone.
  await refuses(scene.commit([c, moved]), "quotaExceeded", { holder: "bucket" })
  assert.equal(scene.rows(), before)
  await scene.commit([c, moved, remove(one, "a")])
  assert.deepEqual([await scene.keys(one), await scene.keys(two)], [["b", "c"], []])
  assert.deepEqual(await used(), [count(1_400, 2), count(1_400, 2)])
  // In any order some of these would exceed the number of objects, or the bytes, before the others make room.
  const uploads = [await upload("d", 40), await upload("e", 30), await upload("f", 20)]
  await refuses(scene.commit(uploads), "quotaExceeded", { holder: "bucket" })
  await scene.commit([...uploads, remove(one, "b"), remove(one, "c")])
  assert.deepEqual(await used(), [count(90, 3), count(90, 3)])
  await scene.run(quotas.clear(ofBucket))
  await scene.put(two, "g", world.random.bytes(2_000))
  // The account is above its quota by now; renames between its buckets need no room.
  await scene.run(quotas.set(ofAccount, { hardBytes: 100 }))
  await scene.commit([rename({ bucket: two, key: "g" }, { bucket: one, key: "g" })])
  assert.deepEqual((await used())[1], count(2_090, 4))
})

test("an upload is in one operation only, and can be completed after a transaction that names it twice", async () => {
  const scene = await TwoBuckets.open()
  const { one, two, world } = scene
  const bytes = world.random.bytes(1_000)
  const put = await scene.upload(one, "a", [bytes])
  assert.ok(put.kind === "put")
  const again = { ...put, complete: { ...put.complete, bucket: two, key: objectKeyOfText("b") } }
  const first = check(one, "c", NONE)
  await refuses(scene.commit([first, put, again]), "invalidRequest", { operation: 2 })
  await scene.commit([first, put])
  assert.deepEqual(await scene.read(one, "a"), Buffer.from(bytes))
})

test("a key is in one operation only, and what could change too many rows is refused before anything is written", async () => {
  const scene = await TwoBuckets.open()
  const { one, two, world } = scene
  await scene.put(one, "a", world.random.bytes(100_000))
  const before = scene.rows()
  const place = (bucket: Bucket, key: string) => ({ bucket, key })
  const many = (count: number, operation: (number: number) => TransactionOperation) =>
    Array.from({ length: count }, (_, number) => operation(number))
  const refused: readonly (readonly TransactionOperation[])[] = [
    [],
    [remove(one, "a"), check(one, "a", ANY)],
    [rename(place(one, "a"), place(two, "b")), remove(two, "b")],
    [rename(place(one, "a"), place(one, "a"))],
    many(TRANSACTION_LIMITS.operationsMax + 1, number => check(one, `${number}`, NONE)),
    many(50, number => rename(place(one, `${number}`), place(two, `${number}`))),
  ]
  for (const operations of refused) await refuses(scene.commit(operations), "invalidRequest")
  assert.equal(scene.rows(), before)
  // The same key in two buckets is two keys.
  await scene.commit([remove(one, "a"), check(two, "a", NONE), remove(two, "b")])
  assert.deepEqual(await scene.keys(one), [])
})

test("as many rows as the limits allow are changed by one command", async () => {
  const scene = await TwoBuckets.open(["two"])
  const { one, two, world } = scene
  const keys = Array.from({ length: 49 }, (_, number) => `key ${number}`)
  for (const key of keys) {
    await scene.put(one, key, world.random.bytes(100))
    await scene.put(two, key, world.random.bytes(100))
  }
  await scene.commit(keys.map(key => rename({ bucket: one, key }, { bucket: two, key })))
  assert.deepEqual([await scene.keys(one), (await scene.keys(two)).length], [[], keys.length])
  const many = Array.from({ length: 100 }, (_, number) => `many ${number}`)
  for (const key of many) await scene.put(two, key, world.random.bytes(100))
  await scene.commit(many.map(key => remove(two, key)))
  assert.equal((await scene.keys(two)).length, keys.length)
})

test("a transaction with a token is done once, also if its answer was lost", async () => {
  const scene = await TwoBuckets.open(["two"])
  const { one, two, world } = scene
  await scene.put(one, "from", world.random.bytes(300_000))
  const put = await scene.upload(two, "put", [Buffer.from("body")])
  const operations = [put, rename({ bucket: one, key: "from" }, { bucket: two, key: "to" }), remove(two, "absent")]
  const token = tokenOf("token", "document")
  world.tablet.haltAt = "CommitTransaction"
  await refuses(scene.commit(operations, token), "indeterminate")
  world.tablet.recover()
  const next = scene.restart(2)
  const results = await next.commit(operations, token)
  const { position } = world.tablet
  assert.deepEqual(await next.commit(operations, token), results)
  assert.deepEqual(await next.world.services.transactions.find(token), results)
  assert.equal(world.tablet.position, position, "nothing is written again")
  assert.deepEqual(await next.read(two, "to", results[1]?.versionId), await next.read(two, "to"))
  assert.deepEqual(next.counters(two), { objects: 2, versions: 3, bytes: 300_004, uploads: 0 })
  await refuses(next.commit(operations, tokenOf("token", "another")), "idempotencyMismatch")
  await refuses(next.world.services.transactions.find(tokenOf("token", "another")), "idempotencyMismatch")
  await refuses(next.commit(operations), "noSuchUpload", { operation: 0 })
})

test("the same transaction, sent twice at the same time, is done once", async () => {
  const scene = await TwoBuckets.open(["two"])
  const { two, world } = scene
  await scene.put(two, "gone", Buffer.from("x"))
  const request = { operations: [remove(two, "gone")], token: tokenOf("token", "document") }
  const { transactions } = world.services
  const [first, second] = await scene.run(Promise.all([transactions.run(request), transactions.run(request)]))
  assert.deepEqual(second, first)
  assert.equal(scene.counters(two).versions, 2, "there is one delete marker")
})

test("the same transaction, sent twice at the same time, leaves no copies of its renames", async () => {
  const scene = await TwoBuckets.open()
  const { one, two, world } = scene
  await scene.put(one, "whole", world.random.bytes(300_000))
  await scene.commit([await scene.upload(one, "parts", [world.random.bytes(SMALL_PART_BYTES), Buffer.from("x")])])
  const operations = ["whole", "parts"].map(key => rename({ bucket: one, key }, { bucket: two, key }))
  const request = { operations, token: tokenOf("token", "document") }
  const { transactions, buckets } = world.services
  const [first, second] = await scene.run(Promise.all([transactions.run(request), transactions.run(request)]))
  assert.deepEqual(second, first)
  assert.deepEqual(scene.counters(two), { objects: 2, versions: 2, bytes: 300_001 + SMALL_PART_BYTES, uploads: 0 })
  await scene.commit([remove(two, "whole"), remove(two, "parts")])
  await world.settle("collector")
  assert.equal(world.needles, 0)
  await scene.run(buckets.remove(two))
})

/** Decisions of the engine in memory have times from this one on. */
const DECIDED_MS = 1_700_000_000_000

async function openAtDecisions(): Promise<TwoBuckets> {
  const scene = await TwoBuckets.open()
  const { clock, services } = scene.world
  await clock.advance(DECIDED_MS - clock.wallMs())
  await scene.run(services.storeClock.start())
  return scene
}

test("a token is forgotten after a day", async () => {
  const scene = await openAtDecisions()
  const { world, one } = scene
  const token = tokenOf("token", "document")
  await scene.commit([remove(one, "absent")], token)
  await world.clock.advance(TRANSACTION_LIMITS.tokenMs - 3_600_000)
  world.clock.jumpWall(TRANSACTION_LIMITS.tokenMs)
  await world.settle("transaction-tokens")
  world.clock.jumpWall(-TRANSACTION_LIMITS.tokenMs)
  assert.ok((await world.services.transactions.find(token)) !== undefined)
  await world.clock.advance(2 * 3_600_000)
  await world.settle("transaction-tokens")
  assert.equal(await world.services.transactions.find(token), undefined)
  assert.doesNotMatch(scene.rows(), /^transactions/m)
})

test("nobody sees the rows that guard absences, and they go, also after a crash", async () => {
  const scene = await openAtDecisions()
  const { world, one, two } = scene
  await scene.put(one, "a", Buffer.from("a"))
  const run = world.tablet.run.bind(world.tablet)
  world.tablet.run = async command =>
    command.name === "DropGuards" ? Promise.reject(new Error("the end")) : run(command)
  const absent = ["put", "kept", "deleted"]
  await scene.commit([remove(one, "a"), ...absent.map(key => check(two, key, NONE)), remove(two, "never")])
  world.tablet.run = run
  assert.match(scene.rows(), /^heads/m)
  assert.deepEqual(await scene.keys(two), [])
  assert.equal(await scene.read(two, "kept"), undefined)
  const versions = { prefix: "", delimiter: "", keyMarker: "", versionIdMarker: undefined, max: 10 }
  const page = await world.services.objects.listVersions({ bucket: two, ...versions })
  assert.deepEqual(page.entries, [])
  // The keys can be used as if nothing were there.
  await scene.run(world.services.buckets.setVersioning(two, "enabled"))
  for (const text of ["first", "second"]) await scene.put(two, "put", Buffer.from(text))
  await scene.commit([check(two, "kept", NONE), remove(two, "deleted"), remove(one, "other")])
  assert.deepEqual(await scene.keys(two), ["put"])
  const next = scene.restart(2)
  await world.clock.advance(2 * 3_600_000)
  await next.run(next.world.services.storeClock.start())
  await next.world.settle("transaction-tokens")
  assert.doesNotMatch(scene.rows(), /^transactions/m)
  const { entries } = await world.services.objects.listVersions({ ...versions, bucket: two, prefix: "put" })
  const ids = entries.flatMap(entry => (entry.kind === "version" ? [entry.versionId] : []))
  await scene.commit([remove(two, "put", {}, ids[0])])
  assert.deepEqual(await scene.read(two, "put"), Buffer.from("first"), "the version before is uncovered")
  await scene.commit([remove(two, "put", {}, ids[1])])
  const heads = scene.rows().match(/^heads/gm)
  assert.equal(heads?.length, 1, "only that of the key with a delete marker")
})

test("a fence is shown to the decision", async () => {
  const scene = await TwoBuckets.open()
  const { one } = scene
  await scene.put(one, "a", Buffer.from("a"))
  const fence = { account: ACCOUNT, path: parseCoordPath("jobs/leader"), mode: "exclusive", token: 1 } as const
  for (const operation of [remove(one, "a", { fence }), check(one, "a", { fence })])
    await refuses(scene.commit([remove(one, "b"), operation]), "preconditionFailed", { operation: 1 })
  assert.deepEqual(await scene.keys(one), ["a"])
})

test("a bucket that has become remote takes part in no transaction", async () => {
  const scene = await TwoBuckets.open()
  const { one, two, world } = scene
  await scene.put(one, "a", Buffer.from("a"))
  await scene.run(world.services.buckets.setSetting(two, "remote", "{}"))
  const moved = rename({ bucket: one, key: "a" }, { bucket: two, key: "a" })
  for (const operation of [remove(two, "x"), check(two, "x", NONE), moved])
    await refuses(scene.commit([operation]), "notImplemented", { operation: 0 })
})
