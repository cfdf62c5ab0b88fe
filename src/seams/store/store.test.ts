import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { test } from "node:test"
import { Worker } from "node:worker_threads"
import { open } from "lmdb"
import { fail, isFailure } from "../../base/failures.js"
import { rowKeyOf } from "../../base/ids.js"
import { MIB } from "../../base/limits.js"
import { SimRandom } from "../random/sim.js"
import type { StoreWrite } from "./contract.js"
import { MemoryStores } from "./memory.js"
import { RealStores } from "./real.js"
import { storeSuite } from "./suite.js"

const REAL = new URL("./real.js", import.meta.url).href
const stores = new RealStores()
const rows = (count: number, value: Uint8Array): StoreWrite[] =>
  Array.from({ length: count }, (_, i) => ({ family: "current", key: rowKeyOf(`row ${i}`), value }))
const numberAt = (value: Uint8Array | undefined): number =>
  value === undefined ? 0 : Number(Buffer.from(value).toString())

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-store-"))
  try {
    await body(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

storeSuite("memory", async () => ({ stores: new MemoryStores(), path: "/device/base", dispose: async () => undefined }))

storeSuite("lmdb", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft.store-"))
  return { stores, path: join(folder, "base.1"), dispose: () => rm(folder, { recursive: true, force: true }) }
})

const damages: readonly (readonly [string, StoreWrite])[] = [
  ["a row that is missing", { family: "current", key: rowKeyOf("row 7"), value: undefined }],
  ["a row that is extra", { family: "versions", key: rowKeyOf("row 7"), value: Buffer.from("1") }],
  ["a row with another value", { family: "current", key: rowKeyOf("row 7"), value: Buffer.from("2") }],
]
for (const [what, damage] of damages) {
  test(`memory: ${what} fails the verification, which names the family`, async () => {
    const memory = new MemoryStores()
    const writer = await memory.openWriter("base")
    await writer.commit(rows(20, Buffer.from("1")))
    memory.damage("base", [damage])
    const { signal } = new AbortController()
    const isNamed = (error: unknown) => isFailure(error, "corruptRow") && error.details["family"] === damage.family
    await assert.rejects(writer.verify(signal), isNamed)
    await writer.commit(rows(5, Buffer.from("3")))
    await assert.rejects(writer.verify(signal), isNamed, "a later commit heals nothing that it does not touch")
  })
}

test("memory: a commit that is made to fail changes nothing", async () => {
  let failing = false
  const faults = {
    beforeCommit: () => {
      if (failing) throw fail("deviceFull")
    },
  }
  const writer = await new MemoryStores(faults).openWriter("/base")
  await writer.commit(rows(3, Buffer.from("1")))
  failing = true
  await assert.rejects(writer.commit(rows(5, Buffer.from("2"))), error => isFailure(error, "deviceFull"))
  failing = false
  assert.equal(numberAt(writer.get("current", rowKeyOf("row 0"))), 1)
  assert.equal(writer.get("current", rowKeyOf("row 4")), undefined)
})

const COMMITTING_WORKER = `
  import { parentPort, workerData } from "node:worker_threads"
  const { RealStores } = await import(workerData.real)
  const { path, commits, rows, lengthBytes, mapBytesFirst } = workerData
  const writer = await new RealStores(mapBytesFirst).openWriter(path)
  for (let n = 1; n <= commits; n += 1) {
    const value = Buffer.from(String(n).padEnd(lengthBytes))
    await writer.commit(Array.from({ length: rows }, (_, i) => ({ family: "current", key: "row " + i, value })))
    parentPort.postMessage(n)
  }
  await writer.close()
`

test("lmdb: this thread reads whole commits while a worker thread writes them", () =>
  inFolder(async path => {
    const reader = await stores.openReader(path)
    const source = new URL(`data:text/javascript,${encodeURIComponent(COMMITTING_WORKER)}`)
    const worker = new Worker(source, { workerData: { real: REAL, path, commits: 20, rows: 500, lengthBytes: 4 } })
    let committed = 0
    let checks = 0
    worker.on("message", (n: number) => {
      committed = n
      reader.refresh()
      const seen = Array.from(reader.range("current", { start: rowKeyOf("row"), end: rowKeyOf("rox") }), ([, v]) =>
        numberAt(v),
      )
      assert.equal(seen.length, 500)
      assert.equal(new Set(seen).size, 1, "rows of two commits at once")
      assert.ok((seen[0] ?? 0) >= committed)
      checks += 1
    })
    await once(worker, "exit")
    assert.equal(committed, 20)
    assert.equal(checks, 20)
    reader.refresh()
    assert.equal(
      numberAt(reader.get("current", rowKeyOf("row 7"))),
      20,
      "the worker's closing closes nobody else's store",
    )
    await reader.close()
  }))

const COMMITTING_PROCESS = `
  const { RealStores } = await import(${JSON.stringify(REAL)})
  const writer = await new RealStores().openWriter(process.argv[1])
  const first = Number(process.argv[2])
  for (let n = first; ; n += 1) {
    const value = Buffer.from(String(n))
    await writer.commit(Array.from({ length: 800 }, (_, i) => ({ family: "current", key: "row " + i, value })))
    process.stdout.write(n + "\\n")
    await new Promise(resolve => setImmediate(resolve))
  }
`

/** Runs a process that commits without end, kills it in the midst, and returns the last number it reported. */
async function killWhileCommitting(path: string, first: number, commits: number): Promise<number> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", COMMITTING_PROCESS, path, String(first)])
  let reported = 0
  for await (const line of createInterface({ input: child.stdout })) {
    reported = Number(line)
    if (reported >= first + commits) child.kill("SIGKILL")
  }
  return reported
}

test("lmdb: a committing process killed at any moment leaves its last commit, whole", () =>
  inFolder(async path => {
    let next = 1
    for (let round = 0; round < 4; round += 1) {
      const reported = await killWhileCommitting(path, next, 3 + round)
      const reader = await stores.openReader(path)
      const seen = Array.from(reader.range("current", { start: rowKeyOf("row"), end: rowKeyOf("rox") }), ([, v]) =>
        numberAt(v),
      )
      await reader.close()
      assert.equal(seen.length, 800)
      assert.equal(new Set(seen).size, 1, "rows of two commits at once")
      const found = seen[0] ?? 0
      assert.ok(found >= reported, `commit ${reported} returned, but ${found} is what is left`)
      next = found + 1
    }
  }))

test("lmdb: a base outgrows its first map while others read it", () =>
  inFolder(async path => {
    const small = new RealStores(MIB)
    const reader = await small.openReader(path)
    const source = new URL(`data:text/javascript,${encodeURIComponent(COMMITTING_WORKER)}`)
    const workerData = { real: REAL, path, commits: 6, rows: 3000, lengthBytes: 4000, mapBytesFirst: MIB }
    const worker = new Worker(source, { workerData })
    worker.on("message", (n: number) => {
      reader.refresh()
      for (const i of [0, 1500, 2999]) assert.ok(numberAt(reader.get("current", rowKeyOf(`row ${i}`))) >= n)
    })
    await once(worker, "exit")
    reader.refresh()
    const found = Array.from(reader.range("current", { start: rowKeyOf("row"), end: rowKeyOf("rox") }), ([, v]) => v)
    assert.deepEqual([found.length, new Set(found.map(numberAt)).size, found[0]?.length], [3000, 1, 4000])
    await reader.close()
  }))

test("lmdb: two pages exchanged, as a misdirected write leaves them, fail the verification", () =>
  inFolder(async path => {
    const writer = await stores.openWriter(path)
    await writer.commit(rows(3000, new Uint8Array(300)))
    const all = { start: rowKeyOf("row"), end: rowKeyOf("rox") }
    const whole = Array.from(writer.range("current", all), ([key]) => key).join()
    await writer.close()
    const file = join(path, "data.mdb")
    const bytes = await readFile(file)
    const pageAt = (page: number): Buffer => bytes.subarray(page * 8192, (page + 1) * 8192)
    // LMDB follows pages of inner nodes to wherever they point, and may die of a signal.
    const isLeaf = (page: number): boolean => pageAt(page).readUInt16LE(18) === 2 && pageAt(page).includes("row ")
    const leaves = Array.from({ length: bytes.length / 8192 }, (_, page) => page).filter(isLeaf)
    const random = new SimRandom(3)
    let found = 0
    for (let round = 0; round < 12; round += 1) {
      const [a = 0, b = 0] = [leaves[random.below(leaves.length)], leaves[random.below(leaves.length)]]
      const damaged = Buffer.from(bytes)
      damaged.set(pageAt(b), a * 8192)
      damaged.set(pageAt(a), b * 8192)
      await writeFile(file, damaged)
      const reader = await stores.openReader(path)
      if (Array.from(reader.range("current", all), ([key]) => key).join() !== whole) {
        found += 1
        const isNamed = (error: unknown) => isFailure(error, "corruptRow")
        await assert.rejects(reader.verify(new AbortController().signal), isNamed)
      }
      await reader.close()
    }
    assert.ok(found >= 6, `${found} of 12 exchanges changed what is read`)
  }))

test("lmdb: a file that is no base, or was cut short, is refused as damaged instead of ending the process", () =>
  inFolder(async path => {
    const file = join(path, "data.mdb")
    const refused = (): Promise<void> =>
      assert.rejects(stores.openReader(path), error => isFailure(error, "corruptRow"))
    for (const bytes of [new Uint8Array(65_536).fill(0x5a), new Uint8Array(65_536), Buffer.from("hello")]) {
      await writeFile(file, bytes)
      await refused()
    }
    await writeFile(file, "")
    const writer = await stores.openWriter(path)
    await writer.commit(rows(2000, new Uint8Array(1000)))
    await writer.close()
    const { size } = await stat(file)
    for (const lengthBytes of [size - 1, size / 2, 8192, 100]) {
      await truncate(file, lengthBytes)
      await refused()
    }
  }))

test("lmdb: pages that a commit took at the end and gave back are no damage, and are there after the next", () =>
  inFolder(async path => {
    const file = join(path, "data.mdb")
    const random = new SimRandom(2)
    const root = open({ path, noSubdir: false, pageSize: 8192, maxDbs: 64, encoding: "binary" })
    const tree = root.openDB<Buffer, string>("current", { encoding: "binary", keyEncoding: "binary" })
    const key = (): string => String(random.below(1_000_000)).padStart(7, "0")
    // LMDB itself leaves them out of its file.
    const lackingBytes = async (): Promise<number> => {
      const bytes = (await readFile(file)).subarray(0, 2 * 8192)
      const lastPage = Math.max(...[0, 8192].map(at => Number(bytes.readBigUInt64LE(at + 144))))
      return (lastPage + 1) * 8192 - (await stat(file)).size
    }
    for (let round = 0; round < 3000 && (await lackingBytes()) <= 0; round += 1) {
      root.transactionSync(() => {
        if (round % 7 < 4) for (let i = 0; i < 900; i += 1) tree.putSync(key(), Buffer.alloc(random.below(400)))
        for (const found of [...tree.getKeys({ start: key(), limit: random.below(3000) })]) tree.removeSync(found)
      })
    }
    await root.close()
    const lacking = await lackingBytes()
    assert.ok(lacking > 0, "no commit gave pages back")
    const { size } = await stat(file)
    await (await stores.openReader(path)).close()
    const writer = await stores.openWriter(path)
    await writer.commit(rows(1, new Uint8Array(1)))
    assert.ok((await lackingBytes()) <= 0 && (await stat(file)).size >= size)
    await writer.close()
  }))

test("lmdb: a full disk is told from a failing one, and the base stays as it was", async t => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-full-"))
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]).status !== 0) {
    await rm(folder, { recursive: true, force: true })
    t.skip("THIS TEST NEEDS THE RIGHT TO mount A SMALL tmpfs")
    return
  }
  try {
    const writer = await stores.openWriter(join(folder, "base"))
    await writer.commit(rows(50, Buffer.from("1")))
    await assert.rejects(writer.commit(rows(400, new Uint8Array(60_000))), error => isFailure(error, "deviceFull"))
    assert.equal(numberAt(writer.get("current", rowKeyOf("row 3"))), 1)
    await writer.commit(rows(50, Buffer.from("2")))
    assert.equal(numberAt(writer.get("current", rowKeyOf("row 3"))), 2, "smaller commits go on")
    await writer.close()
  } finally {
    spawnSync("umount", [folder])
    await rm(folder, { recursive: true, force: true })
  }
})

const OPEN_WITHOUT_HANDLES = `
  import { closeSync, openSync } from "node:fs"
  const { RealStores } = await import(${JSON.stringify(REAL)})
  const stores = new RealStores()
  const kinds = new Set()
  const taken = []
  try {
    for (;;) taken.push(openSync("/dev/null"))
  } catch {}
  for (let left = 0; left < 12; left += 1) {
    const store = await stores.openWriter(process.argv[1] + "/" + left).catch(error => void kinds.add(error.kind))
    await store?.close()
    closeSync(taken.pop())
  }
  const store = await stores.openWriter(process.argv[1] + "/last")
  await store.commit([{ family: "current", key: "a", value: Buffer.from("b") }])
  process.stdout.write([...kinds].join())
  await store.close()
`

test("lmdb: a process without file handles to spare is told so, and opens its base once it has some", () =>
  inFolder(async folder => {
    const script = `ulimit -n 80; exec "$0" --input-type=module -e "$1" "$2"`
    const child = spawnSync("bash", ["-c", script, process.execPath, OPEN_WITHOUT_HANDLES, folder], {
      encoding: "utf8",
    })
    assert.equal(child.stdout, "tooManyInFlight", child.stderr)
  }))
