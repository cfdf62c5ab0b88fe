/**
 * No command forgets the log of copies: random histories of all commands in buckets that are copied, in which each change of what
 * readers see under a key has a row of the log, and nothing else has.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Family } from "@hayloft/base/rows/families.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseBucketId, type BucketId } from "@hayloft/base/ids.js"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { parseCopyLogRowKey } from "@hayloft/engine/format/objects/copies.js"
import { encodeDetails, decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import { query } from "@hayloft/engine/metadata/index.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { setSetting } from "@hayloft/objects/commands/bucket-commands-core.js"
import { bucketOfRow } from "@hayloft/objects/commands/bucket-rows-core.js"
import { hasCopies } from "@hayloft/features/copies/copy-log-core.js"
import { readDetails } from "@hayloft/objects/commands/found-versions-core.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { COMMANDS } from "./kinds.js"
import { ALL_ROWS, Scene } from "./scene.js"
import "@hayloft/features/index.js"

const ROUNDS = runsOf(900)
/** If a command that has to change something is drawn seldom. */
const ROUNDS_MAX = 10 * ROUNDS
const NEEDED = ["PutVersion", "RemoveLatest", "RemoveVersion", "SetTags", "SetAttributes", "RenameObject"]

const rowsOf = query("RowsOf", (view, family: Family) => [...view.range(family, ALL_ROWS)])

const bucketIdOf = (row: string): BucketId =>
  parseBucketId(Number(Buffer.from(row.slice(0, 8), "latin1").readBigUInt64BE(0)))

/** Returns what readers see in copied buckets, by the row key of the object. */
const seen = query("Seen", view => {
  const copied = new Set<number>()
  for (const [, row] of view.range("buckets", ALL_ROWS)) {
    // The first row is the number of the last bucket.
    if (row.value.length < 12) continue
    const bucket = bucketOfRow(row)
    if (hasCopies(bucket)) copied.add(bucket.id)
  }
  const found = new Map<string, string>()
  for (const [key, { value }] of view.range("current", ALL_ROWS)) {
    const id = bucketIdOf(key)
    if (!copied.has(id)) continue
    const record = decodeVersion(value)
    const { order, modifiedMs } = record.head
    const details = Buffer.from(encodeDetails(readDetails(view, key, record))).toString("base64")
    found.set(key, `${order} ${modifiedMs} ${record.expiresAtSeconds ?? ""} ${details}`)
  }
  return { copied: [...copied], found }
})

const logged = async (model: MemoryMetadata): Promise<ReadonlySet<string>> =>
  new Set((await model.ask(rowsOf("copyLog"))).map(([key]) => key))

const objectOf = (logRow: string): string => {
  const { bucketId, key } = parseCopyLogRowKey(logRow as Parameters<typeof parseCopyLogRowKey>[0])
  return `${bucketId} ${key}`
}

const shownObject = (row: string): string => {
  const id = bucketIdOf(row)
  const key = [...row.slice(8, row.indexOf("\x00", 8))]
    .map(each => String.fromCharCode(each.charCodeAt(0) - 1))
    .join("")
  return `${id} ${key}`
}

test("every change of what readers see in a copied bucket has a row of the log, whichever command makes it", async () => {
  const model = new MemoryMetadata()
  const random = new SimRandom(TEST_SEED)
  const { incarnations } = model
  const scene = new Scene(model, random, { own: incarnations.own, other: undefined, incarnations }, 1_700_000_000_000)
  const kinds = COMMANDS.filter(({ name }) => name !== "ChangeCopies" && name !== "DropCopies")
  const weights = kinds.reduce((sum, { weight }) => sum + weight, 0)
  const changedBy = new Map<string, number>()
  const lacks = (): string | undefined => NEEDED.find(name => !changedBy.has(name))
  for (let round = 0; round < ROUNDS || (lacks() !== undefined && round < ROUNDS_MAX); round += 1) {
    scene.nowMs += random.below(3)
    let at = random.below(weights)
    const kind = kinds.find(({ weight }) => (at -= weight) < 0)
    // Buckets that are made are copied, most of the time.
    for (const { id, settings } of scene.buckets())
      if (!settings.includes("copies") && !settings.includes("remote"))
        await model.run(setSetting(id, "copies", "{}")).catch(() => undefined)
    const play = kind?.make(scene)
    if (kind === undefined || play?.kind !== "command") continue
    const [before, rowsBefore] = [await model.ask(seen()), await logged(model)]
    try {
      await model.run(play.command)
    } catch (error) {
      if (!isFailure(error)) throw error
    }
    const [after, rowsAfter] = [await model.ask(seen()), await logged(model)]
    const stayed = (row: string): boolean => {
      const [id = ""] = shownObject(row).split(" ")
      return before.copied.includes(Number(id)) && after.copied.includes(Number(id))
    }
    const keys = [...new Set([...before.found.keys(), ...after.found.keys()])].filter(stayed)
    const changed = keys.filter(key => before.found.get(key) !== after.found.get(key)).map(shownObject)
    const added = [...rowsAfter].filter(row => !rowsBefore.has(row)).map(objectOf)
    assert.deepEqual(added.sort(), changed.sort(), `${kind.name} in round ${round}`)
    if (changed.length > 0) changedBy.set(kind.name, (changedBy.get(kind.name) ?? 0) + 1)
  }
  assert.equal(lacks(), undefined, `it changed nothing: ${[...changedBy.keys()].join()}`)
})
