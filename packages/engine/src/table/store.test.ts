/** Table stores: the suite of all stores, over both disks, with real processes and real disks. */
import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { test } from "node:test"
import { Worker } from "node:worker_threads"
import { DeviceCipher, deviceKeysOf } from "@hayloft/base/encryption/device-cipher.js"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, rowKeyOf } from "@hayloft/base/ids.js"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { RealDisk, ROT_KINDS, rotOnce, SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { Merging, StoreReader, Stores, StoreWrite, StoreWriter } from "@hayloft/base/seams/store/contract.js"
import { storeSuite } from "@hayloft/base/seams/store/suite.js"
import { TABLE_LIMITS, TableStores } from "./index.js"
import { Table, uncachedReads } from "./table.js"

const deviceId = parseDeviceId("00000000000000d1")
const real = { disk: new RealDisk(), deviceId }
const stores = new TableStores()
/** Limits at which a few hundred rows are several files of several partitions. */
const SMALL = { ...TABLE_LIMITS, blockBytes: 256, partitionBytes: 1_024, tableBytes: 4_096, stepBytesMax: 16_384 }
const ALL = { start: rowKeyOf("row"), end: rowKeyOf("rox") }
const rows = (count: number, value: Uint8Array): StoreWrite[] =>
  Array.from({ length: count }, (_, i) => ({ family: "current", key: rowKeyOf(`row ${i}`), value }))
const numberAt = (value: Uint8Array | undefined): number =>
  value === undefined ? 0 : Number(Buffer.from(value).toString())
const isCorrupt = (error: unknown): boolean => isFailure(error, "corruptRow")

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-store-"))
  try {
    await body(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const MERGING: Merging = { urgency: "full", spaceBytes: Infinity, dropped: () => undefined, marks: () => [] }

/** Stores whose writers merge everything after each commit. */
function merged(under: Stores): Stores {
  const openWriter: Stores["openWriter"] = async (path, host) => {
    const writer = await under.openWriter(path, host)
    const commit = writer.commit.bind(writer)
    return Object.assign(writer, {
      commit: async (writes: Iterable<StoreWrite>) => {
        await commit(writes)
        while ((await writer.merge(MERGING)) !== undefined) continue
      },
    })
  }
  return {
    openReader: (path, host) => under.openReader(path, host),
    openWriter,
    holdsPlain: (path, host) => under.holdsPlain(path, host),
    discard: (path, host) => under.discard(path, host),
  }
}

const onSimDisk = (under: Stores) => async () => ({
  stores: under,
  path: "/device/base",
  host: { disk: new SimDisk().boot(), deviceId },
  dispose: async () => undefined,
})

storeSuite("tables", onSimDisk(stores))
storeSuite("small tables, nothing kept in memory", onSimDisk(new TableStores({ limits: SMALL, cacheBytesMax: 0 })))
storeSuite("small tables, always merged", onSimDisk(merged(new TableStores({ limits: SMALL }))))

storeSuite("small encrypted tables, always merged", async () => {
  const under = await onSimDisk(merged(new TableStores({ limits: SMALL, cacheBytesMax: 0 })))()
  const keys = deviceKeysOf(new Uint8Array(32).fill(1), deviceId)
  return { ...under, host: { ...under.host, cipher: new DeviceCipher(keys, new SimRandom(1)) } }
})

test("a plain table is not opened in an encrypted store", async () => {
  const disk = new SimDisk().boot()
  const writer = await stores.openWriter("/device/base", { disk, deviceId })
  await writer.commit(rows(3, Buffer.from("1")))
  await writer.close()
  const open = (cipher: DeviceCipher | undefined) =>
    Table.open(disk, "/device/base", 1, deviceId, uncachedReads(cipher))
  await (await open(undefined)).close()
  const keys = deviceKeysOf(new Uint8Array(32).fill(1), deviceId)
  await assert.rejects(open(new DeviceCipher(keys, new SimRandom(1))), isCorrupt)
})

const onRealDisk = async () => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft.store-"))
  return {
    stores,
    path: join(folder, "base.1"),
    host: real,
    dispose: () => rm(folder, { recursive: true, force: true }),
  }
}

storeSuite("tables on a real disk", onRealDisk, { runs: 30 })

const numbersIn = (reader: StoreReader): number[] => Array.from(reader.range("current", ALL), ([, v]) => numberAt(v))

/** A thread or process that commits rows of one number after the other, and merges from time to time. */
const COMMITTING = `
  const { TableStores } = await import(${JSON.stringify(new URL("./index.js", import.meta.url).href)})
  const { RealDisk } = await import(${JSON.stringify(new URL("../../../base/src/seams/disk/index.js", import.meta.url).href)})
  const merging = { urgency: "full", spaceBytes: Infinity, dropped: () => undefined, marks: () => [] }
  async function open(path) {
    const limits = { ...${JSON.stringify(TABLE_LIMITS)}, partitionBytes: 4_096, tableBytes: 16_384 }
    return new TableStores({ limits }).openWriter(path, { disk: new RealDisk(), deviceId: "${deviceId}" })
  }
  async function write(writer, n, rows) {
    const value = Buffer.from(String(n))
    await writer.commit(Array.from({ length: rows }, (_, i) => ({ family: "current", key: "row " + i, value })))
    if (n % 3 === 0) while ((await writer.merge(merging)) !== undefined) continue
  }
`

const COMMITTING_WORKER = `
  ${COMMITTING}
  import { once } from "node:events"
  import { parentPort, workerData } from "node:worker_threads"
  const writer = await open(workerData.path)
  for (let n = 1; n <= workerData.commits; n += 1) {
    await write(writer, n, 500)
    parentPort.postMessage(n)
    await once(parentPort, "message")
    await writer.removeUnused()
  }
  await writer.close()
  parentPort.close()
`

const COMMITS = 6

test("tables: this thread reads whole commits while a worker thread writes and merges them", () =>
  inFolder(async path => {
    const reader = await stores.openReader(path, real)
    const source = new URL(`data:text/javascript,${encodeURIComponent(COMMITTING_WORKER)}`)
    const worker = new Worker(source, { workerData: { path, commits: COMMITS } })
    let checks = 0
    worker.on("message", (n: number) => {
      void (async () => {
        const before = numbersIn(reader)
        assert.deepEqual(before, n === 1 ? [] : Array.from({ length: 500 }, () => n - 1))
        await reader.prepare()
        assert.deepEqual(numbersIn(reader), before, "before it is adopted")
        reader.adopt()
        assert.deepEqual(
          numbersIn(reader),
          Array.from({ length: 500 }, () => n),
        )
        checks += 1
        worker.postMessage("adopted")
      })()
    })
    await once(worker, "exit")
    assert.equal(checks, COMMITS)
    assert.equal(numberAt(reader.get("current", rowKeyOf("row 7"))), COMMITS)
    await reader.close()
  }))

const COMMITTING_PROCESS = `
  ${COMMITTING}
  const writer = await open(process.argv[1])
  for (let n = Number(process.argv[2]); ; n += 1) {
    await write(writer, n, 800)
    process.stdout.write(n + "\\n")
    await writer.removeUnused()
  }
`

/** Runs a process that commits without end, kills it during a commit, and returns the last number it reported. */
async function killWhileCommitting(path: string, first: number, commits: number): Promise<number> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", COMMITTING_PROCESS, path, String(first)])
  let reported = 0
  for await (const line of createInterface({ input: child.stdout })) {
    reported = Number(line)
    if (reported >= first + commits) child.kill("SIGKILL")
  }
  return reported
}

test("tables: a committing and merging process killed at any moment leaves its last commit, whole", () =>
  inFolder(async path => {
    let next = 1
    for (let round = 0; round < runsOf(2); round += 1) {
      const reported = await killWhileCommitting(path, next, 2 + round)
      const reader = await stores.openReader(path, real)
      const seen = numbersIn(reader)
      await reader.verify(new AbortController().signal)
      await reader.close()
      assert.equal(seen.length, 800)
      assert.equal(new Set(seen).size, 1, "rows of two commits at once")
      const found = seen[0] ?? 0
      assert.ok(found >= reported, `commit ${reported} returned, but ${found} is what is left`)
      next = found + 1
    }
    const writer = await stores.openWriter(path, real)
    await writer.removeUnused()
    const left = await readdir(path)
    await writer.commit([])
    await writer.removeUnused()
    assert.deepEqual(left.length, (await readdir(path)).length, "what the kills left behind is gone")
    await writer.close()
  }))

const SECTOR_BYTES = 4096

async function filesOf(path: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(path)).sort()
  return new Map(await Promise.all(names.map(async name => [name, await readFile(join(path, name))] as const)))
}

/** The file with all of its parity lost; a manifest as it is. */
function withoutParity(name: string, bytes: Buffer): Buffer {
  const content = Buffer.from(bytes)
  if (!name.endsWith(".table")) return content
  const [first, last] = [content.indexOf("HLTABLE1"), content.lastIndexOf("HLTABLE1")]
  const parityBytes = Math.floor((last - first) / SECTOR_BYTES) * SECTOR_BYTES
  return content.fill(0x77, first + 8, first + 8 + parityBytes)
}

test("tables: after any damage to a file each row is read as it was or not at all, and verification names it", () =>
  inFolder(async path => {
    const writer = await stores.openWriter(path, real)
    const value = (i: number): Uint8Array => Buffer.from(`value ${i} `.repeat(20))
    await writer.commit(rows(3_000, value(1)))
    const older = await filesOf(path)
    await writer.commit(rows(1_500, value(2)))
    await writer.commit([{ family: "current", key: rowKeyOf("row 2999"), value: undefined }])
    await writer.close()
    const whole = await filesOf(path)
    const expected = (i: number): Uint8Array | undefined => (i === 2_999 ? undefined : value(i < 1_500 ? 2 : 1))
    const random = new SimRandom(3)
    const rounds = runsOf(24)
    let [found, foundWithParity, rebuilt] = [0, 0, 0]
    const host = { ...real, rebuilt: () => void (rebuilt += 1) }
    for (let round = 0; round < rounds; round += 1) {
      const names = [...whole.keys()]
      const name = names[random.below(names.length)] ?? ""
      const hasParity = 2 * round >= rounds
      const damaged = hasParity ? Buffer.from(whole.get(name) ?? "") : withoutParity(name, must(whole.get(name), name))
      const kind = ROT_KINDS[round % ROT_KINDS.length] ?? "flip"
      const what = rotOnce(damaged, kind, random, older.get(name) ?? [...older.values()].at(-1))
      if (what === undefined) continue
      await writeFile(join(path, name), damaged)
      const context = `${name}: ${what}`
      const reader = await stores.openReader(path, host)
      const { errors } = readRows(reader, expected, context)
      if (errors > 0) found += 1
      if (errors > 0 && hasParity) foundWithParity += 1
      const isVerified = await reader.verify(new AbortController().signal).then(
        () => true,
        (error: unknown) => !isCorrupt(error),
      )
      assert.ok(!isVerified || errors === 0, `${context}: not found by the verification`)
      await reader.close()
      if (isVerified && name.endsWith(".table")) {
        assert.ok((await readFile(join(path, name))).equals(must(whole.get(name), name)), `${context}: not mended`)
      }
      await writeFile(join(path, name), whole.get(name) ?? "")
    }
    assert.ok(found >= rounds / 8 && rebuilt >= rounds / 5, `${found} were found in rows, ${rebuilt} were rebuilt`)
    // Two pages of one group that have changed places.
    assert.ok(foundWithParity <= rounds / 24, `${foundWithParity} were not rebuilt`)
  }))

/** Reads each row by itself and all of them as a range. */
function readRows(reader: StoreReader, expected: (i: number) => Uint8Array | undefined, context: string) {
  let errors = 0
  for (let i = 0; i < 3_001; i += 1) {
    try {
      const value = reader.get("current", rowKeyOf(`row ${i}`))
      assert.deepEqual(value && Buffer.from(value), i === 3_000 ? undefined : expected(i), `${context}: row ${i}`)
    } catch (error) {
      if (!isCorrupt(error)) throw error
      errors += 1
    }
  }
  try {
    assert.equal([...reader.range("current", ALL)].length, 2_999, context)
    assert.equal(errors, 0, `${context}: a range misses what a row shows`)
  } catch (error) {
    if (!isCorrupt(error)) throw error
    errors += 1
  }
  return { errors }
}

test("tables: foreign, truncated and missing files are refused as damaged", () =>
  inFolder(async path => {
    const writer = await stores.openWriter(path, real)
    await writer.commit(rows(2_000, new Uint8Array(1_000)))
    await writer.close()
    const refused = (): Promise<void> => assert.rejects(stores.openReader(path, real), isCorrupt)
    const table = join(path, (await readdir(path)).find(name => name.endsWith(".table")) ?? "")
    const whole = await readFile(table)
    for (const bytes of [new Uint8Array(65_536).fill(0x5a), new Uint8Array(65_536), Buffer.from("hello"), ""]) {
      await writeFile(table, bytes)
      await refused()
    }
    await writeFile(table, whole)
    for (const lengthBytes of [whole.length >> 1, SECTOR_BYTES, 100]) {
      await truncate(table, lengthBytes)
      await refused()
    }
    await rm(table)
    await refused()
    // A file that is cut in its second end is whole again by the first.
    await writeFile(table, whole.subarray(0, -1))
    const cut = await stores.openReader(path, real)
    await cut.verify(new AbortController().signal)
    await cut.close()
    assert.ok((await readFile(table)).equals(whole))
    const manifests = (await readdir(path)).filter(name => name.includes("manifest"))
    assert.equal(manifests.length, 2)
    for (const [i, name] of manifests.entries()) {
      await writeFile(join(path, name), "hello")
      if (i === 1) await refused()
      else await (await stores.openReader(path, real)).close()
    }
    for (const name of manifests) await rm(join(path, name))
    await refused()
    assert.equal((await stat(table)).size, whole.length, "what is there is left alone")
  }))

test("tables: a folder of a release before tables is refused by name", () =>
  inFolder(async path => {
    await writeFile(join(path, "data.mdb"), new Uint8Array(65_536))
    const isNamed = (error: unknown): boolean =>
      isFailure(error, "invalidConfig") && /earlier development version/.test(error.message)
    await assert.rejects(stores.openReader(path, real), isNamed)
    await assert.rejects(stores.openWriter(path, real), isNamed)
    assert.deepEqual(await readdir(path), ["data.mdb"])
  }))

async function mergeAll(writer: StoreWriter): Promise<void> {
  while ((await writer.merge(MERGING)) !== undefined) continue
  await writer.removeUnused()
}

test("tables: a full disk is distinguished from a failing one, and the store stays as it was", async t => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-full-"))
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]).status !== 0) {
    await rm(folder, { recursive: true, force: true })
    t.skip("THIS TEST NEEDS THE RIGHT TO mount A SMALL tmpfs")
    return
  }
  try {
    const writer = await stores.openWriter(join(folder, "base"), real)
    await writer.commit(rows(50, Buffer.from("1")))
    await assert.rejects(writer.commit(rows(400, new Uint8Array(60_000))), error => isFailure(error, "deviceFull"))
    assert.equal(writer.isCertain, true)
    assert.equal(numberAt(writer.get("current", rowKeyOf("row 3"))), 1)
    await writer.commit(rows(50, Buffer.from("2")))
    assert.equal(numberAt(writer.get("current", rowKeyOf("row 3"))), 2, "smaller commits go on")
    await mergeAll(writer)
    assert.deepEqual([...new Set(numbersIn(writer))], [2])
    await writer.close()
  } finally {
    spawnSync("umount", [folder])
    await rm(folder, { recursive: true, force: true })
  }
})

const OPEN_WITHOUT_HANDLES = `
  ${COMMITTING}
  import { closeSync, openSync } from "node:fs"
  const kinds = new Set()
  const taken = []
  try {
    for (;;) taken.push(openSync("/dev/null"))
  } catch {}
  for (let left = 0; left < 12; left += 1) {
    const store = await open(process.argv[1] + "/" + left).catch(error => void kinds.add(error.kind))
    await store?.close()
    closeSync(taken.pop())
  }
  const store = await open(process.argv[1] + "/last")
  await store.commit([{ family: "current", key: "a", value: Buffer.from("b") }])
  process.stdout.write([...kinds].join())
  await store.close()
`

test("tables: a process without free file handles gets an error, and opens its store once it has some", () =>
  inFolder(async folder => {
    const script = `ulimit -n 80; exec "$0" --input-type=module -e "$1" "$2"`
    const child = spawnSync("bash", ["-c", script, process.execPath, OPEN_WITHOUT_HANDLES, folder], {
      encoding: "utf8",
    })
    assert.equal(child.stdout, "tooManyInFlight", child.stderr)
  }))
