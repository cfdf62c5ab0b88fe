/** Encrypted table stores: what holds for plain ones, no plaintext on the disk, and forged bytes with good checksums. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { deviceKeysOf } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { holdsPlain } from "@hayloft/engine/table/manifest-files.js"
import { fileSeed } from "@hayloft/engine/format/tables/table-block.js"
import { SimDisk, type Medium } from "@hayloft/base/seams/disk/index.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { checkCrashes, checkSalvageCrashes } from "./crash.js"
import { checkModel } from "./model.js"
import { checkOlderManifest, checkRot, closedStore, contentOf, loseParity, replace } from "./rot.js"
import {
  bytesOf,
  cipherOf,
  DEVICE,
  encrypted,
  FOLDER,
  hostOf,
  mergeAll,
  openReader,
  openWriter,
  rowsOf,
} from "./world.js"

test("an encrypted store returns the written rows", async () => {
  assert.ok((await encrypted(() => checkModel(1, 25))).merges > 10)
})

test("rot in an encrypted store never makes a key look absent, and parity rebuilds it without a key", async () => {
  const { refused, recorded, rebuilt, healed } = await encrypted(() => checkRot(1))
  assert.ok(refused > 25 && recorded > 2 && rebuilt > 20 && healed > 2, `${refused} ${recorded} ${rebuilt} ${healed}`)
})

test("an encrypted store survives a power cut at any moment", () =>
  encrypted(async () => {
    // Plain stores have more subsets, torn writes, and a second cut.
    assert.ok((await checkCrashes(1, { subsetsMax: 1, tearsMax: 0, deepEvery: Infinity })) > 0)
    assert.ok((await checkSalvageCrashes(1)) > 0)
    await checkOlderManifest(3)
  }))

const MARKER = "nobody-may-read-this"

/** A store whose keys, values and marks contain the marker. */
async function marked(): Promise<SimDisk> {
  const sim = new SimDisk()
  const writer = await openWriter(hostOf(sim))
  const value = bytesOf(MARKER)
  const rows = Array.from({ length: 200 }, (_, i) => ({ family: "current" as const, key: rowKeyOf(`${MARKER} ${i}`) }))
  await writer.commit([
    ...rows.map(row => ({ ...row, value })),
    { family: "marks", key: rowKeyOf(MARKER), value: bytesOf(MARKER) },
  ])
  await writer.close()
  return sim
}

async function isReadable(sim: SimDisk): Promise<boolean> {
  const names = await sim.boot().list(FOLDER)
  assert.ok(names.length >= 3)
  return names.some(name => Buffer.from(contentOf(sim.medium, name)).includes(MARKER))
}

test("no key, value or mark of an encrypted store is in its files", async () => {
  assert.ok(await isReadable(await marked()))
  assert.ok(!(await isReadable(await encrypted(marked))))
})

test("a plain store that is being converted is read, and merges rewrite it until no file is plain", async () => {
  const sim = await marked()
  const deeper = await openWriter(hostOf(sim))
  await mergeAll(deeper, "full")
  await deeper.commit([{ family: "current", key: rowKeyOf(`${MARKER} 7`), value: bytesOf(`${MARKER} again`) }])
  const expected = rowsOf(deeper)
  await deeper.close()
  const keys = deviceKeysOf(new Uint8Array(32).fill(9), DEVICE, true)
  const host = { ...hostOf(sim), cipher: cipherOf(keys) }
  assert.ok(await holdsPlain(host, FOLDER))
  const writer = await openWriter(host)
  assert.deepEqual(rowsOf(writer), expected)
  assert.ok(await isReadable(sim))
  assert.ok((await mergeAll(writer, "due")) >= 2, "files of both levels are rewritten")
  await writer.removeUnused()
  assert.deepEqual(rowsOf(writer), expected)
  await writer.verify(new AbortController().signal)
  await writer.close()
  assert.ok(!(await isReadable(sim)))
  assert.ok(!(await holdsPlain(host, FOLDER)))
  const strict = await encrypted(() => openReader(hostOf(sim)))
  assert.deepEqual(rowsOf(strict), expected)
  await strict.close()
})

test("an encrypted store is not opened without its key, nor a plain one with a key", async () => {
  const sim = await encrypted(marked)
  await assert.rejects(openReader(hostOf(sim)), error => isFailure(error, "wrongMasterKey"))
  const other = cipherOf(deviceKeysOf(new Uint8Array(32).fill(8), DEVICE))
  await assert.rejects(openReader({ ...hostOf(sim), cipher: other }), error => isFailure(error, "wrongMasterKey"))
  const plain = await marked()
  // Another program that writes to the disk could put plain files in the place of encrypted ones.
  await encrypted(() => assert.rejects(openWriter(hostOf(plain)), error => isFailure(error, "corruptRow")))
})

/** Changes a byte of the first block, with a checksum that fits: found by trying where the block ends. */
function forgeFirstBlock(medium: Medium, name: string): void {
  const content = Buffer.from(contentOf(medium, name))
  const seed = fileSeed(DEVICE, Number.parseInt(name, 10))
  let end = 24
  while (xxh64(content.subarray(0, end), seed) !== content.readBigUInt64LE(end)) end += 1
  content[5] = (content[5] ?? 0) ^ 1
  content.writeBigUInt64LE(xxh64(content.subarray(0, end), seed), end)
  replace(medium, name, content)
}

test("a forged block with a good checksum is rebuilt, and without parity refused", () =>
  encrypted(async () => {
    const { medium, names, rows } = await closedStore(5)
    const name = must(
      names.find(each => each.endsWith(".table")),
      "a table",
    )
    const forged = medium.copy()
    forgeFirstBlock(forged, name)
    let rebuilt = 0
    const host = { ...hostOf(new SimDisk(forged.copy())), rebuilt: () => void (rebuilt += 1) }
    const reader = await openReader(host)
    assert.deepEqual(rowsOf(reader), rows)
    assert.ok(rebuilt > 0)
    loseParity(forged, name)
    const lost = await openReader(hostOf(new SimDisk(forged)))
    assert.throws(
      () => rowsOf(lost),
      error => isFailure(error, "corruptRow"),
    )
  }))
