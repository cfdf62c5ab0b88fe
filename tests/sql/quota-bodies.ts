/** Quotas under three engines of one database that do things at the same time. */
import assert from "node:assert/strict"
import { asFailure } from "@hayloft/base/failures.js"
import {
  objectKeyOfText,
  parseAccountId,
  parseBucketName,
  parseUploadId,
  type BucketId,
  type RowKey,
} from "@hayloft/base/ids.js"
import { usageRowKey } from "@hayloft/engine/format/objects/usage.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import { command, query } from "@hayloft/engine/metadata/index.js"
import { createBucket } from "@hayloft/objects/commands/bucket-commands-core.js"
import { completeUpload, createUpload, putPart, sealUpload } from "@hayloft/objects/commands/multipart-commands-core.js"
import { readCounters } from "@hayloft/objects/commands/bucket-rows-core.js"
import { NO_CHECKSUM } from "@hayloft/objects/commands/row-editor-core.js"
import { putVersion, removeLatest } from "@hayloft/objects/commands/version-commands-core.js"
import { abort, bytesOfAllParts } from "@hayloft/objects/ended-upload.js"
import { Quotas } from "@hayloft/features/quotas/quotas.js"
import { createAccount } from "@hayloft/access/accounts/account-commands-core.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { SqlMetadata } from "@hayloft/engine/sql/index.js"
import "@hayloft/features/index.js"

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0")
const uploadIdOf = (incarnation: number, number: number) => parseUploadId(hex(incarnation, 8) + hex(number, 24))

export type OpenEngine = (node: string) => Promise<SqlMetadata>

const OWNER = parseAccountId("root")
const NAME = parseBucketName("counted")
const TARGET = { kind: "bucket", name: NAME } as const
const ACCOUNT = { kind: "account", id: OWNER } as const
const counters = query("Counters", readCounters)

const putOf = (bucketId: BucketId, key: string, sizeBytes = 10) =>
  putVersion({
    bucketId,
    key: objectKeyOfText(key),
    conditions: {},
    uploadId: undefined,
    hints: [],
    version: {
      content: { kind: "inline" } as const,
      payload: new Uint8Array(sizeBytes),
      sizeBytes,
      parts: 0,
      md5: new Uint8Array(16),
      random: new Uint8Array(8),
      checksum: NO_CHECKSUM,
      details: NO_DETAILS,
      isShared: false,
      storageClass: "STANDARD" as const,
    },
  })
const removalOf = (bucketId: BucketId, key: string) =>
  removeLatest({ bucketId, key: objectKeyOfText(key), conditions: {}, random: new Uint8Array(8) })

const newQuotas = (engine: SqlMetadata): Quotas => new Quotas(engine, async () => undefined)

async function begin(open: OpenEngine) {
  const engines = [await open("a"), await open("b"), await open("c")] as const
  const [first] = engines
  await first.run(createAccount({ id: OWNER, displayName: "Root", email: "" }))
  const { id } = await first.run(createBucket({ name: NAME, owner: OWNER, location: "" }))
  return { engines, bucketId: id, stop: () => Promise.all(engines.map(engine => engine.stop())) }
}

const outcomeOf = (run: Promise<unknown>): Promise<string> =>
  run.then(
    () => "done",
    (error: unknown) => asFailure(error).kind,
  )

const PUTS_EACH = 10
/** The room of each round. As many as one engine puts in a batch, and more: then a part of the second batch fits. */
const ROOMS = [10, 15, 10, 15]

/** Exactly as many succeed as fit, by objects and by bytes, for a bucket and for its account. */
export async function raceForRoom(open: OpenEngine): Promise<void> {
  const { engines, bucketId, stop } = await begin(open)
  const quotas = newQuotas(engines[0])
  for (let at = 0; at < 5; at += 1) await engines[0].run(putOf(bucketId, `first ${at}`))
  let objects = 5
  for (const [round, room] of ROOMS.entries()) {
    const target = round % 2 === 0 ? TARGET : ACCOUNT
    const isBytes = round < 2
    const limits = isBytes ? { hardBytes: 10 * (objects + room) + 3 } : { hardObjects: objects + room }
    await quotas.set(target, limits)
    const runs = engines.flatMap((engine, node) =>
      Array.from({ length: PUTS_EACH }, (_, at) => engine.run(putOf(bucketId, `${round} ${node} ${at}`))),
    )
    const outcomes = await Promise.all(runs.map(outcomeOf))
    const done = outcomes.filter(outcome => outcome === "done").length
    assert.equal(done, room, outcomes.join(" "))
    assert.ok(
      outcomes.every(outcome => outcome === "done" || outcome === "quotaExceeded"),
      outcomes.join(" "),
    )
    objects += room
    const { versions, bytes } = await engines[1].ask(counters(bucketId))
    assert.deepEqual([versions, bytes], [objects, 10 * objects])
    const check = await newQuotas(engines[2]).check(target)
    assert.ok(check.agrees && check.isStill, JSON.stringify(check))
    await quotas.clear(target)
  }
  await stop()
}

/** Deletions and overwrites of one key compete with puts: what is used stays exact, and within the limit. */
export async function turnover(open: OpenEngine): Promise<void> {
  const { engines, bucketId, stop } = await begin(open)
  await newQuotas(engines[0]).set(TARGET, { hardBytes: 60 })
  for (let round = 0; round < 8; round += 1) {
    const runs = engines.flatMap((engine, node) => [
      engine.run(putOf(bucketId, "shared", 10 + 5 * node)),
      engine.run(putOf(bucketId, `own ${node}`, 20)),
      round % 2 === 0
        ? engine.run(putOf(bucketId, `more ${node}`, 10))
        : engine.run(removalOf(bucketId, `own ${(node + 1) % 3}`)),
    ])
    const outcomes = await Promise.all(runs.map(outcomeOf))
    assert.ok(
      outcomes.every(outcome => outcome === "done" || outcome === "quotaExceeded"),
      outcomes.join(" "),
    )
    const check = await newQuotas(engines[1]).check(TARGET)
    assert.ok(check.agrees && check.isStill, JSON.stringify(check))
    assert.ok(check.walked.bytes <= 60)
  }
  await stop()
}

/** A count begins while three engines write, remove and upload parts: it becomes exact, and stays so. */
export async function startWhileWriting(open: OpenEngine): Promise<void> {
  const { engines, bucketId, stop } = await begin(open)
  for (let round = 0; round < 4; round += 1) {
    const target = round % 2 === 0 ? TARGET : ACCOUNT
    const writing = engines.map(async (engine, node) => {
      for (let at = 0; at < 6; at += 1) {
        await engine.run(putOf(bucketId, `key ${node} ${at}`, 10 + at))
        if (at % 2 === 1) await engine.run(removalOf(bucketId, `key ${node} ${at}`))
        if (at % 3 === 0) await uploadOnce(engine, bucketId, 100 * round + 10 * node + at)
      }
    })
    await newQuotas(engines[0]).set(target, { hardBytes: 1_000_000 })
    await Promise.all(writing)
    const check = await newQuotas(engines[1]).check(target)
    assert.ok(check.agrees && check.isStill, JSON.stringify(check))
    await newQuotas(engines[2]).clear(target)
  }
  await stop()
}

/** An upload of two parts, one of which is not used; every other one is aborted. */
async function uploadOnce(engine: SqlMetadata, bucketId: BucketId, number: number): Promise<void> {
  const multipartId = multipartIdOf(number, new Uint8Array(8))
  const address = { bucketId, key: objectKeyOfText(`upload ${number}`), multipartId }
  const { own } = engine.incarnations
  await engine.run(createUpload(address, { checksum: undefined, details: NO_DETAILS, completion: undefined }))
  for (const partNumber of [1, 2]) {
    const extent = {
      uploadId: uploadIdOf(own, 10 * number + partNumber),
      part: partNumber,
      lengthBytes: 7,
      blockBytes: 4096,
      policy: parsePolicy("replica:1"),
      generation: 0,
      exceptions: [],
    }
    const part = { partNumber, md5: new Uint8Array(16), checksumValue: undefined, extent }
    await engine.run(putPart({ ...address, hints: [], part }))
  }
  if (number % 2 === 0) return abort(engine, address)
  const completion = { incarnation: own, token: new Uint8Array(8) }
  await engine.run(sealUpload(address, completion))
  const partsBytes = await bytesOfAllParts(engine, address)
  const version = {
    content: { kind: "segments", multipartId, completion: completion.token } as const,
    payload: undefined,
    sizeBytes: 7,
    md5: new Uint8Array(16),
    parts: 1,
    random: new Uint8Array(8),
    checksum: NO_CHECKSUM,
    details: NO_DETAILS,
    isShared: false,
    storageClass: "STANDARD" as const,
  }
  await engine.run(completeUpload({ ...address, completion, conditions: {}, version, partsBytes }))
}

const loseUsage = command<[key: RowKey], void>({
  name: "LoseUsage",
  touches: () => [],
  decide: (_view, _time, key) => ({ writes: [], usage: [{ key, change: "drop" }], result: undefined }),
})

/** A lost row refuses what is limited, and holds up nothing else: not what shrinks, nor others of the same batch. */
export async function loseRow(open: OpenEngine): Promise<void> {
  const { engines, bucketId, stop } = await begin(open)
  const [engine] = engines
  const quotas = newQuotas(engine)
  await engine.run(putOf(bucketId, "first"))
  await engine.run(putOf(bucketId, "second"))
  const { owner, quota } = await quotas.set(TARGET, { hardBytes: 1_000 })
  const upload = { bucketId, key: objectKeyOfText("upload"), multipartId: multipartIdOf(1, new Uint8Array(8)) }
  await engine.run(createUpload(upload, { checksum: undefined, details: NO_DETAILS, completion: undefined }))
  await engine.run(loseUsage(usageRowKey(owner, quota.run)))
  const runs = [engine.run(removalOf(bucketId, "first")), engine.run(putOf(bucketId, "third")), abort(engine, upload)]
  assert.deepEqual(await Promise.all(runs.map(outcomeOf)), ["done", "corruptRow", "done"])
  const [state] = await quotas.list()
  assert.deepEqual([state?.name, state?.used], [NAME, undefined])
  await quotas.restart(TARGET)
  await engine.run(putOf(bucketId, "third"))
  const check = await quotas.check(TARGET)
  assert.ok(check.agrees && check.isStill, JSON.stringify(check))
  await stop()
}
