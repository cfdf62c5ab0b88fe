/** Key turnover on two nodes: what the one that lags behind does meanwhile, and what else is under the old key. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import {
  parseAccountId,
  parseBucketId,
  parseBucketName,
  parseIncarnation,
  parseKmsKeyId,
  type BucketId,
} from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import { bucketKeyRowKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { encodeBucket } from "@hayloft/engine/format/records.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { openBytes, sealBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import { openObjectKeys } from "@hayloft/access/keys/index.js"
import { soleProcess } from "@hayloft/engine/metadata/index.js"
import { BucketErasing } from "@hayloft/objects/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { SharedRecordManager, writeFirstRecord } from "../cluster/shared-record.js"
import { SharedMemory } from "../cluster/testing-shared.js"
import { PURPOSE_AT_REST } from "../control/at-rest.js"
import { RecordEpochKeys } from "../control/epoch-keys.js"
import { RecordKeyMaterials } from "../control/key-materials.js"
import { recordOf } from "../control/testing-record.js"
import { KeyTurnover, type TurnoverOutcome } from "./key-turnover.js"
import "@hayloft/features/index.js"

const [DOOMED, OTHER, LATE] = [parseBucketId(1), parseBucketId(2), parseBucketId(3)]
const KEY_ID = parseKmsKeyId("01234567-89ab-4def-8123-456789abcdef")
const MASTER_KEY = new Uint8Array(32).fill(1)
const S3 = { mode: "s3" } as const

function plantBucket(rows: SharedMemory, id: BucketId): void {
  const record = {
    id,
    name: parseBucketName(`bucket-${id}`),
    owner: parseAccountId("root"),
    createdMs: 1,
    location: "",
    versioning: "never" as const,
    state: "open" as const,
    settingsVersion: 1,
    settings: [],
  }
  rows.plant("buckets", bucketRowKey(id), encodeBucket(record))
}

/** A backup that is complete once a test says so. */
class Backup {
  ordered = 0
  complete = 0

  order(): number {
    this.ordered += 1
    return this.ordered
  }

  isComplete(order: number): boolean {
    return this.complete >= order
  }
}

async function nodesOf(count: number, keptMs = 0) {
  const rows = new SharedMemory("n1")
  for (const id of [DOOMED, OTHER, LATE]) plantBucket(rows, id)
  const first = recordOf(1, [1, 2])
  await writeFirstRecord(rows, first)
  const { log } = new SimTelemetry()
  const backup = new Backup()
  const nodes = Array.from({ length: count }, (_, i) => {
    const [clock, random] = [new SimClock(), new SimRandom(i)]
    const records = new SharedRecordManager(rows, clock, log, first)
    const refresh = () => records.refresh()
    const keyed = { records, refresh, masterKey: MASTER_KEY, raiseFormatEpoch: async () => undefined }
    const epochs = new RecordEpochKeys({ clock, random, log }, keyed)
    const { keys, forgetSecrets } = openObjectKeys({ metadata: rows, clock, random }, { epochs })
    const materials = new RecordKeyMaterials({ records, refresh, epochs, clock, random })
    const stored = { metadata: rows, records, epochs, backup }
    const turnover = new KeyTurnover({ ...stored, random, clock, keptMs, forgetSecrets })
    return { clock, records, epochs, keys, materials, turnover }
  })
  const [one, two] = [must(nodes[0], "a node"), nodes[1] ?? must(nodes[0], "a node")]
  return { one, two, rows, backup, erasing: new BucketErasing(rows, { nowMs: () => 0 }) }
}

type World = Awaited<ReturnType<typeof nodesOf>>
type Node = World["one"]

/** Takes steps until one ends so. */
async function until({ turnover }: Node, outcome: TurnoverOutcome, epochMax: number): Promise<void> {
  for (let steps = 0; (await turnover.step(epochMax)) !== outcome; steps += 1) assert.ok(steps < 20)
}

const epochNumbers = ({ records }: Node) => records.record.keyring?.epochs.map(({ number }) => number)

async function erased({ one, erasing }: World): Promise<number> {
  await erasing.close(DOOMED)
  await erasing.erase(DOOMED, await one.epochs.renew(await erasing.epochOf(DOOMED)))
  return must(await erasing.erasedEpochs(), "a secret was destroyed")
}

test("a node that has not read the new key makes no secret under the old one", async () => {
  const world = await nodesOf(2)
  const { one, two, backup } = world
  for (const id of [DOOMED, OTHER]) await one.keys.create(id, S3)
  await two.epochs.start()
  await two.records.refresh()
  const epochMax = await erased(world)
  assert.equal(epochMax, 1)
  assert.deepEqual(epochNumbers(two), [1], "it has not read the record")
  const { key, sealing, secret } = await two.keys.create(LATE, S3)
  assert.equal(secret.epoch, 2)
  backup.complete = 1
  await until(one, "done", epochMax)
  assert.deepEqual(epochNumbers(one), [2])
  assert.equal(hexOf(await one.keys.open(LATE, sealing, undefined)), hexOf(key))
})

test("the secrets of other buckets open with the new key, on a node that had the old one", async () => {
  const world = await nodesOf(2)
  const { one, two, backup } = world
  const { key, sealing } = await one.keys.create(OTHER, S3)
  const doomed = await one.keys.create(DOOMED, S3)
  await two.keys.open(OTHER, sealing, undefined)
  const epochMax = await erased(world)
  backup.complete = 1
  await until(one, "done", epochMax)
  assert.equal(hexOf(await two.keys.open(OTHER, sealing, undefined)), hexOf(key))
  assert.equal((await two.keys.create(OTHER, S3)).secret.epoch, 2, "for recovery headers")
  await assert.rejects(
    asPromise(() => two.keys.open(DOOMED, doomed.sealing, undefined)),
    error => isFailure(error, "keysUnavailable"),
  )
  await two.records.refresh()
  await assert.rejects(
    asPromise(() => two.epochs.get(1)),
    error => isFailure(error, "keysUnavailable"),
  )
})

test("the old key stays until a backup that began after the last secret moved is complete", async () => {
  const world = await nodesOf(1)
  const { one, backup } = world
  for (const id of [DOOMED, OTHER]) await one.keys.create(id, S3)
  const epochMax = await erased(world)
  let outcome = await one.turnover.step(epochMax)
  for (let steps = 0; outcome === "more" && steps < 20; steps += 1) outcome = await one.turnover.step(epochMax)
  assert.equal(outcome, "backup")
  assert.equal(await one.turnover.step(epochMax), "backup")
  assert.equal(backup.ordered, 1)
  assert.equal(one.records.record.keyring?.epochs.length, 2)
  // Another process begins again, and orders one of its own.
  one.turnover.release()
  backup.complete = 1
  await until(one, "backup", epochMax)
  backup.complete = 2
  assert.equal(await one.turnover.step(epochMax), "more")
  assert.equal(await one.turnover.step(epochMax), "done")
})

test("named keys and the key at rest stay the same under the new key", async () => {
  const world = await nodesOf(2)
  const { one, two, backup } = world
  await one.keys.create(DOOMED, S3)
  await two.records.refresh()
  await one.materials.add(KEY_ID, 1)
  const material = hexOf(await one.materials.get(KEY_ID, 1))
  const { key } = await one.epochs.current()
  const atRestKey = new Uint8Array(32).fill(9)
  await one.records.change("test", record => {
    const sealed = sealBytes(key, PURPOSE_AT_REST, atRestKey, new SimRandom(7))
    return {
      ...record,
      keyring: {
        ...must(record.keyring, "a ring"),
        atRest: { startedMs: 5, epoch: 1, sealed, converting: [], firstIncarnation: undefined },
      },
    }
  })
  const epochMax = await erased(world)
  backup.complete = 1
  await until(one, "done", epochMax)
  assert.equal(hexOf(await one.materials.get(KEY_ID, 1)), material)
  // It has not read yet that the old key is gone.
  await two.materials.add(KEY_ID, 2)
  await two.records.refresh()
  assert.equal(hexOf(await two.materials.get(KEY_ID, 1)), material)
  const { atRest } = must(one.records.record.keyring, "a ring")
  const sealed = must(atRest, "it is encrypted at rest")
  assert.deepEqual([sealed.startedMs, sealed.epoch], [5, 2])
  assert.deepEqual(openBytes((await one.epochs.current()).key, PURPOSE_AT_REST, sealed.sealed), Buffer.from(atRestKey))
})

test("the old key stays while the database may lose secrets under the new one, and opens those that it has lost", async () => {
  const world = await nodesOf(1, 3_600_000)
  const { one, rows, backup } = world
  const { key, sealing } = await one.keys.create(OTHER, S3)
  await one.keys.create(DOOMED, S3)
  const rowKey = bucketKeyRowKey(OTHER, 1)
  const { value } = must(rows.committed.get("bucketKeys", rowKey), "the secret")
  const epochMax = await erased(world)
  backup.complete = 9
  await until(one, "kept", epochMax)
  await one.clock.advance(3_599_999)
  assert.equal(await one.turnover.step(epochMax), "kept")
  // A standby takes over that lacks the last hour.
  rows.plant("bucketKeys", rowKey, value)
  await one.clock.advance(1)
  await until(one, "kept", epochMax)
  assert.equal(one.records.record.keyring?.epochs.length, 2)
  await one.clock.advance(3_600_000)
  await until(one, "done", epochMax)
  assert.deepEqual(epochNumbers(one), [2])
  assert.equal(hexOf(await one.keys.open(OTHER, sealing, undefined)), hexOf(key))
})

test("a secret that comes back under the old key while a backup is awaited is sealed again before the key goes", async () => {
  const world = await nodesOf(1)
  const { one, rows, backup } = world
  const { key, sealing } = await one.keys.create(OTHER, S3)
  await one.keys.create(DOOMED, S3)
  const rowKey = bucketKeyRowKey(OTHER, 1)
  const { value } = must(rows.committed.get("bucketKeys", rowKey), "the secret")
  const epochMax = await erased(world)
  await until(one, "backup", epochMax)
  rows.plant("bucketKeys", rowKey, value)
  backup.complete = 9
  await until(one, "done", epochMax)
  rows.generation += 1
  assert.equal(hexOf(await one.keys.open(OTHER, sealing, undefined)), hexOf(key))
})

test("after a reconciliation the old key stays for as long again, and for another backup", async () => {
  const world = await nodesOf(1, 3_600_000)
  const { one, rows, backup } = world
  await one.keys.create(DOOMED, S3)
  const epochMax = await erased(world)
  await until(one, "kept", epochMax)
  await one.clock.advance(3_600_000)
  await until(one, "backup", epochMax)
  rows.incarnations = { ...soleProcess(parseIncarnation(2)), reconciliations: 1 }
  backup.complete = 1
  await until(one, "kept", epochMax)
  await one.clock.advance(3_600_000)
  await until(one, "backup", epochMax)
  assert.equal(one.records.record.keyring?.epochs.length, 2)
  backup.complete = 2
  await until(one, "done", epochMax)
})
