/** `hayloft ring` as an operator types it, against the admin API over a store in memory. */
import assert from "node:assert/strict"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { LAYOUT_FILE_OF_ONE } from "@hayloft/admin/testing-placement.js"
import { FakeStore, ROOT } from "@hayloft/admin/testing-store.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import { layoutFileJson } from "@hayloft/engine/format/device/layout-file.js"
import { adminOver, operatorOf } from "../testing-admin.js"

const store = new FakeStore()
let folder = ""

const operator = operatorOf(() => adminOver(store.parts))

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-ring-"))
  await store.buckets.create({ name: parseBucketName("photos"), owner: ROOT, location: "" })
})
after(async () => {
  await rm(folder, { recursive: true, force: true })
})

const hayloft = (...args: readonly string[]) => operator(["ring", ...args], { workingFolder: folder })

test("show compares slots with the fair share, and names what moves", async () => {
  const { out } = await hayloft("show")
  assert.match(out, /^layout +version 2: 65,536 partitions of 1 slot$/m)
  assert.match(out, /^moves +from layout 1: /m)
  assert.match(out, /^0123456789abcdef +active +1 +65,536 +100\.0 % +60,000 +\+9\.2 % +\/data$/m)
})

test("locate names each shard's device, where it is, and why", async () => {
  const { out } = await hayloft("locate", "photos/a b/ü.jpg", "--blocks", "1", "--offset", "4096")
  assert.match(out, /^object +photos\/a b\/ü\.jpg: 4\.8 MiB$/m)
  assert.match(out, /^more +further blocks: --offset 4198400$/m)
  assert.match(out, /^block +bytes 4096 to 4198399 \(4\.0 MiB\), ec:2\+1$/m)
  assert.match(out, /2 of 3 shards found, 2 are needed/)
  assert.match(out, /^why +shard 0, 1: a device of weight 1$/m)
  assert.match(out, /^0 +0123456789abcdef \(\/data\) +in its place$/m)
  assert.match(out, /^1 .* moves from the device of the previous layout; former copy on 0123456700000000$/m)
  assert.match(out, /^2 +- +missing; repair rebuilds it$/m)
  assert.match((await hayloft("locate", "s3://photos/inline")).out, /^bytes +stored with its row/m)
})

test("mistakes are named: no key, no such bucket, numbers out of range", async () => {
  assert.equal((await hayloft("locate", "photos")).code, 2)
  assert.equal((await hayloft("locate", "nothing/key")).code, 3)
  const blocks = await hayloft("locate", "photos/key", "--blocks", "101")
  assert.deepEqual([blocks.code, /max is a whole number from 1 to 100/.test(blocks.error)], [2, true])
  const samples = await hayloft("dispersion", "--samples", "0")
  assert.deepEqual([samples.code, /samples is a whole number from 1 to 1024/.test(samples.error)], [2, true])
})

test("dispersion says how much it read, and what is missing", async () => {
  const { out } = await hayloft("dispersion")
  assert.match(out, /^blocks +4, a sample: 25\.000 % of all partitions; layout version 2$/m)
  assert.match(out, /^shards +91\.666 % of 12 found; 1 missing$/m)
  assert.match(out, /^ +83\.333 % in their places; 1 move, 0 elsewhere$/m)
  assert.match(out, /^left out +1 blocks/m)
  assert.match(out, /^MISSING SHARDS +BLOCKS +SHARE\n0 +3 +75\.000 %\n1 +1 +25\.000 %$/m)
  assert.match((await hayloft("dispersion", "--samples", "200")).out, /^blocks +4, all of them/m)
  assert.match((await hayloft("dispersion", "--json")).out, /"complete":false/)
})

test("an exported file is valid, and the layout of the store; a changed one is neither", async () => {
  assert.equal((await hayloft("export", "layout.json")).code, 0)
  const { code, out } = await hayloft("validate", "layout.json", "--compare")
  assert.equal(code, 0, out)
  assert.match(
    out,
    /^valid: layout version 2 of store 0123456789abcdef0123456789abcdef, 1 device, replica:1, 65,536 slots$/m,
  )
  const text = await readFile(join(folder, "layout.json"), "utf8")
  assert.equal((await hayloft("export")).out, text)
  await writeFile(join(folder, "changed.json"), text.replace('"1.5"', '"9.5"'))
  const changed = await hayloft("validate", "changed.json")
  assert.deepEqual([changed.code, changed.out], [1, ""])
  assert.match(changed.error, /changed\.json is no exported layout: its checksum does not match/)
  await writeFile(join(folder, "text.json"), "{")
  assert.match((await hayloft("validate", "text.json")).error, /text\.json is no exported layout/)
  assert.equal((await hayloft("validate", "absent.json")).code, 3)
})

test("a file of another version or store is told apart from the present layout", async () => {
  const write = (name: string, change: object) =>
    writeFile(join(folder, name), JSON.stringify(layoutFileJson({ ...LAYOUT_FILE_OF_ONE, ...change })))
  await write("older.json", { layout: { ...LAYOUT_FILE_OF_ONE.layout, version: 1 } })
  assert.equal((await hayloft("validate", "older.json")).code, 0)
  const older = await hayloft("validate", "older.json", "--compare")
  assert.deepEqual([older.code, older.out], [1, "it is layout version 1; the store has version 2\n"])
  await write("other.json", { storeId: "f".repeat(32) })
  assert.match(
    (await hayloft("validate", "other.json", "--compare")).out,
    /^it is the layout of another store, f{32}$/m,
  )
  await write("unsound.json", { devices: [] })
  const unsound = await hayloft("validate", "unsound.json", "--json")
  assert.equal(unsound.code, 1)
  assert.deepEqual(JSON.parse(unsound.out), {
    valid: false,
    problems: ["the layout names device 0123456789abcdef, which is not listed"],
  })
})
