/** Rot at rest in a table store: every read returns the written value, rebuilt if needed, or throws `corruptRow`. */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { withRows } from "@hayloft/base/rows/rows-needed.js"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { fileSeed } from "@hayloft/engine/format/tables/table-block.js"
import { dataBytesOf, decodeEnd, encodeEnd, type Footer } from "@hayloft/engine/format/tables/table-file.js"
import { parityBytesOf } from "@hayloft/engine/format/tables/table-parity.js"
import { ROT_KINDS, rotOnce, SimDisk, type Medium } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { TableReader } from "@hayloft/engine/table/store-reader.js"
import type { TableStoreWriter } from "@hayloft/engine/table/store-writer.js"
import { tablePath } from "@hayloft/engine/table/table.js"
import {
  bytesOf,
  cipherOf,
  DEVICE,
  expectedRange,
  FAMILIES_USED,
  foundRange,
  FOLDER,
  hostOf,
  mergeAll,
  mergingOf,
} from "./world.js"
import { Model, openReader, openWriter, rowsOf, scanned, textOf, URGENCIES, type Rows } from "./world.js"

const END = "\xff".repeat(40)

/** A closed store with several levels, its rows, and keys that it does not contain. */
export interface Closed {
  readonly medium: Medium
  readonly rows: Rows
  readonly names: readonly string[]
}

export async function closedStore(seed: number): Promise<Closed> {
  const sim = new SimDisk()
  const model = new Model(new SimRandom(seed), true)
  const host = hostOf(sim)
  const writer = await openWriter(host)
  for (let round = 0; round < 4; round += 1) {
    for (let i = 0; i < 3; i += 1) await writer.commit(model.batch(60))
    if (round < 3) await mergeAll(writer, "due")
  }
  await writer.merge(mergingOf("due"))
  await writer.removeUnused()
  await writer.close()
  return { medium: sim.medium, rows: model.rows, names: await host.disk.list(FOLDER) }
}

/** The result; undefined if it throws `corruptRow`. */
function orRefused<T>(read: () => T): { readonly value: T } | undefined {
  try {
    return { value: read() }
  } catch (error) {
    assert.ok(isFailure(error, "corruptRow"), String(error))
    return undefined
  }
}

/** Reads everything in every way. Returns the number of refused reads. */
async function checkReads(store: TableReader, rows: Rows, where: string): Promise<number> {
  let refused = 0
  const expect = <T>(read: () => T, expected: T): void => {
    const found = orRefused(read)
    if (found === undefined) refused += 1
    else assert.deepEqual(found.value, expected, where)
  }
  for (const family of FAMILIES_USED) {
    const all = expectedRange(rows, family, "", END)
    expect(() => foundRange(store, family, "", END, false), all)
    expect(() => foundRange(store, family, "", END, true), [...all].reverse())
    expect(() => scanned(store, family, "", END), all)
    for (let i = 0; i < 120; i += 1) {
      const key = `key ${i}`
      const value = rows.get(`${family} ${key}`)
      expect(() => textAt(store, family, key), value)
      if (i % 8 > 0) continue
      const waited = await Promise.resolve()
        .then(() => withRows(() => textAt(store, family, key)))
        .then(
          found => ({ found }),
          error => assert.ok(isFailure(error, "corruptRow"), String(error)),
        )
      if (waited) assert.equal(waited.found, value, where)
    }
  }
  return refused
}

function textAt(store: TableReader, family: (typeof FAMILIES_USED)[number], key: string): string | undefined {
  const value = store.get(family, rowKeyOf(key))
  return value && textOf(value)
}

/** Merges whatever can be merged; damage stops single merges. */
async function mergeAround(writer: TableStoreWriter): Promise<void> {
  for (const urgency of URGENCIES) {
    for (let steps = 0; ; steps += 1) {
      assert.ok(steps < 200, "merges do not end")
      const rows = await writer.merge(mergingOf(urgency)).catch((error: unknown) => {
        assert.ok(isFailure(error, "corruptRow"), String(error))
        return 0
      })
      if (rows === undefined) break
    }
  }
}

export interface RotOutcome {
  /** Counts of stores that could not be opened, refused reads, and damages that merges recorded. */
  readonly closed: number
  readonly refused: number
  readonly recorded: number
  /** Counts of stores that repaired the damage: by parity, or by the other copy of a manifest. */
  readonly rebuilt: number
  readonly healed: number
}

/** Damages each file of the store in each way; reads, merges and commits, and reads again. */
export async function checkRot(seed: number, timesEach = 1): Promise<RotOutcome> {
  const { medium, rows, names } = await closedStore(seed)
  const random = new SimRandom(seed)
  const outcome = { closed: 0, refused: 0, recorded: 0, rebuilt: 0, healed: 0 }
  const tables = names.filter(name => name.endsWith(".table"))
  const older = medium.fileAt(`${FOLDER}/${tables[0]}`)?.current.slice() ?? new Uint8Array(0)
  for (const name of names) {
    for (const kind of ROT_KINDS) {
      for (let i = 0; i < 3 * timesEach; i += 1) {
        const hurt = medium.copy()
        // Damages rows and their parity, only rows, or the whole file.
        const where = ["rows, no parity", "rows", "file"][i % 3] ?? ""
        if (where === "rows, no parity" && name.endsWith(".table")) loseParity(hurt, name)
        const hurtBytes = where === "file" ? undefined : rowsBytesIn(medium, name)
        let what: string | undefined
        const place = random.below(2 ** 32)
        hurt.alter(`${FOLDER}/${name}`, content => {
          // The cached bytes and those on the platter rot alike.
          what = rotOnce(content.subarray(0, hurtBytes), kind, new SimRandom(place), older)
        })
        if (what === undefined) continue
        await checkHurt(new SimDisk(hurt), rows, name, `seed ${seed}, ${name}, ${what}, ${where}`, outcome)
      }
    }
  }
  return outcome
}

type Counts = { -readonly [Name in keyof RotOutcome]: number }

async function checkHurt(sim: SimDisk, rows: Rows, name: string, where: string, outcome: Counts): Promise<void> {
  let rebuilt = 0
  const host = { ...hostOf(sim), rebuilt: () => void (rebuilt += 1) }
  const reader = await openReader(host, { syncBytesMax: 0 }).catch((error: unknown) => {
    assert.ok(isFailure(error, "corruptRow"), `${where}: ${String(error)}`)
    return undefined
  })
  if (reader === undefined) {
    outcome.closed += 1
    assert.ok(name.endsWith(".table"), `${where}: one copy of a manifest is enough`)
    return
  }
  const refused = await checkReads(reader, rows, where)
  const verified = await reader.verify(new AbortController().signal).then(
    () => true,
    (error: unknown) => !isFailure(error, "corruptRow"),
  )
  if (name.endsWith(".table")) {
    assert.ok(!verified || rebuilt > 0, `${where}: the damage was not detected`)
    if (verified) await checkMended(reader, sim, rows, where)
    outcome.rebuilt += verified ? 1 : 0
  } else assert.ok(verified && refused === 0, `${where}: one copy of a manifest is enough`)
  const writer = await openWriter(hostOf(sim))
  await writer.commit([{ family: "current", key: rowKeyOf("key 55"), value: bytesOf("new") }])
  const after = new Map(rows).set("current key 55", "new")
  assert.equal(textAt(writer, "current", "key 55"), "new", where)
  await mergeAround(writer)
  outcome.refused += refused
  outcome.recorded += writer.manifest.damaged.length
  await checkReads(writer, after, `${where}, merged`)
  if (name.endsWith(".table")) return
  // The writer wrote two good copies: either may rot now.
  outcome.healed += 1
  await writer.close()
  for (const copy of (await hostOf(sim).disk.list(FOLDER)).filter(each => !each.endsWith(".table"))) {
    const again = new SimDisk(sim.medium.copy())
    again.flipBit(`${FOLDER}/${copy}`, 200)
    assert.equal(await checkReads(await openReader(hostOf(again)), after, where), 0)
  }
}

/** Rebuilt blocks have been written back: none remains to be rebuilt. */
async function checkMended(reader: TableReader, sim: SimDisk, rows: Rows, where: string): Promise<void> {
  await reader.close()
  const rebuilt = (): void => assert.fail(`${where}: a rebuilt block was not written back`)
  const again = await openReader({ ...hostOf(sim), rebuilt }, { syncBytesMax: 0 })
  await again.verify(new AbortController().signal)
  assert.equal(await checkReads(again, rows, where), 0)
  await again.close()
}

export const contentOf = (medium: Medium, name: string): Uint8Array =>
  must(medium.fileAt(`${FOLDER}/${name}`), name).current.slice()

/** Replaces the bytes of a file, whatever their length. */
export function replace(medium: Medium, name: string, bytes: Uint8Array): void {
  const file = must(medium.fileAt(`${FOLDER}/${name}`), name)
  for (const content of [file.current, file.synced]) {
    content.truncate(0)
    content.write(bytes, 0)
  }
}

export async function assertRefused(medium: Medium, where: string): Promise<void> {
  const isRefusal = (error: unknown): boolean => isFailure(error, "corruptRow")
  await assert.rejects(openReader(hostOf(new SimDisk(medium.copy()))), isRefusal, where)
  await assert.rejects(openWriter(hostOf(new SimDisk(medium.copy()))), isRefusal, where)
}

/** An older manifest that replaces a newer one, or exists beside it. */
export async function checkOlderManifest(seed: number): Promise<void> {
  const { medium, names } = await closedStore(seed)
  const manifests = names.filter(name => !name.endsWith(".table"))
  const sim = new SimDisk(medium.copy())
  const writer = await openWriter(hostOf(sim))
  await writer.commit([{ family: "current", key: rowKeyOf("newer"), value: bytesOf("1") }])
  await writer.close()
  const { disk } = hostOf(sim)
  const newer = (await disk.list(FOLDER)).filter(name => !name.endsWith(".table"))
  const renamed = sim.medium.copy()
  for (const [i, name] of newer.entries()) replace(renamed, name, contentOf(medium, must(manifests[i], "a copy")))
  await assertRefused(renamed, "the older one under the name of the newer one")
  // The state after a power cut before the removal of the older manifest, followed by rot.
  for (const name of manifests) {
    const file = await disk.open(`${FOLDER}/${name}`, "create")
    await file.write([contentOf(medium, name)], 0)
    await file.sync()
  }
  await disk.syncFolder(FOLDER)
  const both = sim.medium.copy()
  for (const name of newer) both.flipBit(`${FOLDER}/${name}`, 200)
  await assertRefused(both, "the older one beside the newer one")
  const reader = await openReader(hostOf(sim))
  assert.equal(rowsOf(reader).get("current newer"), "1")
}

/** Swaps blocks of equal length, as misdirected writes do. */
export async function checkExchangedBlocks(): Promise<void> {
  const sim = new SimDisk()
  const writer = await openWriter(hostOf(sim))
  const keys = Array.from({ length: 100 }, (_, i) => rowKeyOf(`key ${1000 + i}`))
  await writer.commit(keys.map(key => ({ family: "current", key, value: bytesOf(key.padEnd(50)) }) as const))
  const [{ number } = { number: 0 }] = writer.manifest.tables
  await writer.close()
  const path = tablePath(FOLDER, number)
  const text = Buffer.from(must(sim.medium.fileAt(path), path).current.slice()).toString("latin1")
  // The first row of each block directly follows its row header.
  const lengthBytes = text.indexOf("key 1003") - text.indexOf("key 1000")
  assert.equal(text.indexOf("key 1006") - text.indexOf("key 1003"), lengthBytes, "the blocks have different lengths")
  sim.medium.alter(path, content => {
    const first = content.slice(0, lengthBytes)
    content.copyWithin(0, lengthBytes, 2 * lengthBytes)
    content.set(first, lengthBytes)
  })
  let rebuilt = 0
  const reader = await openReader({ ...hostOf(sim), rebuilt: () => void (rebuilt += 1) })
  for (const key of keys) assert.equal(textAt(reader, "current", key), key.padEnd(50))
  assert.ok(rebuilt > 0)
}

/** The offset of a table's parity; undefined for a manifest. */
function rowsBytesIn(medium: Medium, name: string): number | undefined {
  if (!name.endsWith(".table")) return undefined
  const footer = footerOf(medium, name)
  return dataBytesOf(footer) + encodeEnd(footer, 0n).bytes.length
}

function footerOf(medium: Medium, name: string): Footer {
  const number = Number.parseInt(name, 10)
  const sealOf = (salt: Uint8Array) => ({ salt, key: cipherOf().tableKey(number, salt) })
  return decodeEnd(Buffer.from(contentOf(medium, name)), fileSeed(DEVICE, number), name, sealOf)
}

/** Damages all parity of a table, which must then work without it. */
export function loseParity(medium: Medium, name: string): void {
  const content = contentOf(medium, name)
  const from = must(rowsBytesIn(medium, name), "the file is a table")
  content.fill(0x77, from, from + parityBytesOf(dataBytesOf(footerOf(medium, name))))
  replace(medium, name, content)
}
