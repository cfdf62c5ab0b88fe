/** `hayloft hot`, as an operator types it, against the admin API over a store in memory; and the API's answer. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { HOT_COPIES } from "@hayloft/admin/index.js"
import { world } from "@hayloft/admin/testing-api.js"
import { FakeStore } from "@hayloft/admin/testing-store.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import { MIB, PACKED_PART } from "@hayloft/base/limits.js"
import { HOT_COPIES_SERVICE, type HotCopiesReport } from "@hayloft/features/hot-copies/index.js"
import { adminOver, operatorOf } from "../testing-admin.js"

const UPLOAD = "0000000700000001aabbccddeeff0011"
const FIGURES = { copies: 5, bytes: 4 * MIB, hits: 470, readsPerMinute: 180.7 }

const REPORT: HotCopiesReport = {
  budgetBytes: 64 * MIB,
  readsPerMinute: 30,
  usedBytes: 5 * MIB,
  copies: 6,
  hits: 530,
  hitBytes: 1e9,
  misses: 470,
  made: 9,
  failed: 0,
  evicted: 1,
  cooled: 2,
  hottest: [
    { uploadId: UPLOAD, part: 0, bucket: parseBucketName("models"), key: "a\x1b[2J", ...FIGURES },
    { uploadId: UPLOAD, part: 3, bucket: undefined, key: undefined, ...FIGURES, readsPerMinute: 31 },
    { uploadId: UPLOAD, part: PACKED_PART, bucket: undefined, key: undefined, ...FIGURES, readsPerMinute: 30 },
  ],
}

let store = new FakeStore()
const asked: number[] = []

const hayloft = operatorOf(() => adminOver(store.parts))

const report = async (max: number): Promise<HotCopiesReport> => {
  asked.push(max)
  return { ...REPORT, hottest: REPORT.hottest.slice(0, max) }
}

test("a node without copies says how to switch them on", async () => {
  const { code, out } = await hayloft(["hot"])
  assert.deepEqual([code, out], [0, "hot copies are switched off: start the node with --hot-copies SIZE\n"])
})

test("the hottest objects are listed with their copies, and those whose names are unknown by their upload", async () => {
  store = new FakeStore()
  HOT_COPIES_SERVICE.set(store.core, { report })
  const { code, out } = await hayloft(["hot"])
  assert.equal(code, 0)
  assert.match(out, /^copies: 6, 5\.0 MiB of 64\.0 MiB; 53 % of reads came from copies\n/)
  assert.match(out, /hot: from 30 reads a minute; dropped: 2 cold, 1 for hotter ones\n/)
  assert.match(out, /\n181 +470 +5 +4\.0 MiB +models\/a/)
  assert.ok(!out.includes("\x1b"), "keys do not reach the terminal as they are")
  assert.ok(out.includes(`upload ${UPLOAD} (part 3)\n`))
  assert.ok(out.endsWith(`upload ${UPLOAD} (a pack of small objects)\n`))
  const json = await hayloft(["hot", "--json", "--max", "1"])
  assert.equal(HOT_COPIES.parse(JSON.parse(json.out)).hottest.length, 1)
  assert.deepEqual(asked, [20, 1])
  assert.equal((await hayloft(["hot", "--max", "0"])).code, 2)
})

test("the API names objects where it can, and refuses a maximum that is none", async () => {
  const it = world()
  HOT_COPIES_SERVICE.set(it.store.core, { report })
  const { status, value } = await it.json("GET", "/v1/hot-copies")
  assert.equal(status, 200)
  const { isOn, hottest } = HOT_COPIES.parse(value)
  assert.deepEqual([isOn, hottest.map(({ bucket }) => bucket)], [true, ["models", undefined, undefined]])
  assert.equal((await it.json("GET", "/v1/hot-copies?max=x")).status, 400)
  assert.equal((await it.json("GET", "/v1/hot-copies", { token: "wrong" })).status, 401)
})
