/**
 * A lost or damaged needle index: fsck reports it, and the index is rebuilt from the volumes; nothing else changes.
 */
import assert from "node:assert/strict"
import { mkdtemp, open, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { TableStores } from "@hayloft/engine/table/index.js"
import { readSuperblock } from "@hayloft/engine/device/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { S3Client } from "@hayloft/client/index.js"
import { StoreProcess } from "@hayloft/client/testing-store-process.js"
import { runHere } from "../testing-here.js"
import { withClient } from "../testing-process.js"

const clock = new RealClock()
const drawn = new SimRandom(TEST_SEED)
const BODIES = new Map([70_000, 300_000, 100].map((size, i) => [`key ${i}`, Buffer.from(drawn.bytes(size))]))

async function readable(client: S3Client): Promise<number> {
  let found = 0
  for (const [key, body] of BODIES) {
    const chunks: Uint8Array[] = []
    try {
      for await (const chunk of (await client.get("bucket", key)).body) chunks.push(chunk)
    } catch {
      continue
    }
    assert.ok(Buffer.concat(chunks).equals(body), key)
    found += 1
  }
  return found
}

test("lost and damaged rows of the index are rebuilt from the volumes", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-index-"))
  try {
    const data = join(folder, "data")
    await withClient([data], async client => {
      await client.createBucket("bucket")
      for (const [key, body] of BODIES) await client.put({ bucket: "bucket", key, body })
      const { code, error } = await runHere(["volume", "rebuild-index", data])
      assert.deepEqual([code, /in use/.test(error)], [6, true], "not while the store runs")
    })
    const whole = await runHere(["volume", "fsck", data])
    assert.deepEqual([whole.code, whole.error], [0, ""])
    assert.match(whole.out.toString("utf8"), /^\d+ volumes?, \d+ needles, 361\.\d KiB verified\n$/)
    const disk = new RealDisk()
    const { deviceId } = (await readSuperblock(disk, data)) ?? assert.fail()
    const store = await new TableStores().openWriter(join(data, "base"), { disk, deviceId })
    const [lost, damaged] = [...store.range("needles", { start: rowKeyOf("\0"), end: rowKeyOf("\xff\xff\xff") })]
    assert.ok(lost && damaged)
    await store.commit([
      { family: "needles", key: lost[0], value: undefined },
      { family: "needles", key: damaged[0], value: damaged[1].map(byte => byte ^ 1) },
    ])
    await store.close()
    const broken = await runHere(["volume", "fsck", data])
    assert.equal(broken.code, 1)
    assert.match(
      broken.out.toString("utf8"),
      /^DAMAGED index why="?entry with a wrong location.*\nDAMAGED index why="?entry missing/,
    )
    assert.match(broken.error, /2 findings of damage; hayloft volume rebuild-index/)
    assert.equal(await withClient([data], readable), 1, "only the small one, which lies beside its name")

    const { code, out, error } = await runHere(["volume", "rebuild-index", data])
    assert.equal(code, 0, error)
    assert.match(out.toString("utf8"), /^removed 1 row of the index; the next start rebuilds it from the volumes/)
    assert.equal(await withClient([data], readable), BODIES.size)
    assert.equal(await withClient([data], readable), BODIES.size, "and the start after it")
    assert.equal((await runHere(["volume", "fsck", data])).code, 0)
    for (const word of ["fsck", "rebuild-index"]) assert.equal((await runHere(["volume", word, folder])).code, 2)

    const name = (await readdir(join(data, "base"))).find(each => each.endsWith(".table")) ?? assert.fail()
    const table = await open(join(data, "base", name), "r+")
    await table.write("not what was written", 100)
    await table.close()
    for (const where of ["a first look", "a second one: it changes nothing"]) {
      const rotten = await runHere(["volume", "fsck", data])
      assert.equal(rotten.code, 1, where)
      assert.match(rotten.out.toString("utf8"), /^DAMAGED metadata path=\S+\.table offsetBytes=\d+ repair="?by parity/)
    }
    assert.equal(await withClient([data], readable), BODIES.size, "the store rebuilds it")
  } finally {
    await rm(folder, { recursive: true })
  }
})

test("fsck names the object whose bytes are damaged, and does not report leftovers of a kill as damage", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-fsck-"))
  try {
    const data = join(folder, "data")
    const store = await StoreProcess.start({ dataFolders: [data] }, clock)
    const client = new S3Client(await store.access(), clock, new AbortController().signal)
    await client.createBucket("bucket")
    for (const [key, body] of BODIES) await client.put({ bucket: "bucket", key, body })
    await client.remove("bucket", "key 0")
    client.close()
    store.kill("SIGKILL")
    await store.exited
    const killed = await runHere(["volume", "fsck", data])
    assert.deepEqual([killed.code, killed.error], [0, ""])
    // The last writes before a kill may look torn; after a start they are known to be intact.
    assert.equal(await withClient([data], readable), 2)

    const marker = BODIES.get("key 1")?.subarray(100_000, 100_100) ?? assert.fail()
    for (const name of await readdir(join(data, "volumes"))) {
      const file = await open(join(data, "volumes", name), "r+")
      const bytes = await file.readFile()
      const at = bytes.indexOf(marker)
      if (at >= 0) await file.write(Buffer.of((bytes[at] ?? 0) ^ 1), 0, 1, at)
      await file.close()
    }
    const { code, out, error } = await runHere(["volume", "fsck", data, "--json"])
    assert.equal(code, 1)
    const lines = out.toString("utf8").trimEnd().split("\n")
    const damaged = lines.filter(line => line.includes('"damaged":true'))
    assert.equal(damaged.length, 1)
    assert.match(
      damaged[0] ?? "",
      /^\{"what":"needle","damaged":true,"file":"[^"]+\.volume","atBytes":\d+,.*"key":"key 1"/,
    )
    assert.match(lines.at(-1) ?? "", /^\{"what":"totals",.*"damages":1\}/)
    assert.match(error, /1 finding of damage/)
  } finally {
    await rm(folder, { recursive: true })
  }
})
