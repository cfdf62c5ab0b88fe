/** docs/design/placement.py, which computes placement from an exported layout, agrees with the program. */
import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { parseUploadId } from "@hayloft/base/ids.js"
import { layoutFileOf } from "@hayloft/engine/cluster/index.js"
import { controlLayoutOf } from "@hayloft/engine/cluster/record-layout-core.js"
import { clusterOf, storeOf } from "@hayloft/engine/cluster/testing-records.js"
import { layoutFileJson } from "@hayloft/engine/format/device/layout-file.js"
import { partitionOf } from "@hayloft/engine/format/needles/partition.js"
import { planLayout, planNext, slotsOf, type Layout } from "@hayloft/engine/placement/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { findProgram } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { ROOT } from "../harness/server.js"

const python = findProgram("python3")
const skip = python === undefined ? "python3 is not installed" : false
const PROGRAM = join(ROOT, "docs/design/placement.py")
const BLOCKS = 100_000

function randomIds(count: number) {
  const random = new SimRandom(7)
  return Array.from({ length: count }, () => ({
    upload: parseUploadId(hexOf(random.bytes(16))),
    part: random.below(10_001),
    block: random.below(2 ** 32),
  }))
}

const textOf = (layouts: readonly Layout[], { upload, part, block }: ReturnType<typeof randomIds>[number]): string => {
  const partition = partitionOf(upload, part, block)
  return `${partition} ${layouts.map(layout => slotsOf(layout, partition).join(" ")).join(" < ")}`
}

/** Returns what the program prints for the blocks. */
function answersOf(file: string, ids: ReturnType<typeof randomIds>): readonly string[] {
  const input = ids.map(({ upload, part, block }) => `${upload} ${part} ${block}\n`).join("")
  const output = execFileSync(must(python, "it is installed"), [PROGRAM, file], { input, maxBuffer: 2 ** 28 })
  return output.toString("utf8").trimEnd().split("\n")
}

test("100,000 blocks of a store in three zones are on the same devices", { skip }, () =>
  withFolder(async folder => {
    const file = join(folder, "layout.json")
    const record = clusterOf(["n1@a:3", "n2@b:2", "n3@ü:4"], "ec:4+2")
    writeFileSync(file, JSON.stringify(layoutFileJson(layoutFileOf(record)), undefined, 2))
    const { width } = planLayout(record.devices, 6)
    const layout = { version: 1, width, devices: record.layout.devices, table: record.layout.table.subarray(1) }
    const ids = randomIds(BLOCKS)
    assert.deepEqual(
      answersOf(file, ids),
      ids.map(id => textOf([layout], id)),
    )
  }),
)

test("so are those of 300 devices while shards move", { skip }, () =>
  withFolder(async folder => {
    const file = join(folder, "layout.json")
    const store = storeOf(300, "ec:8+3")
    const before = planLayout(store.devices, 11)
    const devices = store.devices.slice(1)
    const now = planNext(before, devices, 11, 2)
    const record = { ...store, layout: controlLayoutOf(now), previousLayout: controlLayoutOf(before) }
    writeFileSync(file, JSON.stringify(layoutFileJson(layoutFileOf(record))))
    const ids = randomIds(2_000)
    assert.deepEqual(
      answersOf(file, ids),
      ids.map(id => textOf([now, before], id)),
    )
  }),
)

test("a changed file is refused", { skip }, () =>
  withFolder(async folder => {
    const file = join(folder, "layout.json")
    const text = JSON.stringify(layoutFileJson(layoutFileOf(storeOf(3))))
    writeFileSync(file, text.replace("active", "offline"))
    const { status, stderr } = spawnSync(must(python, "it is installed"), [PROGRAM, file, "0".repeat(32), "0", "0"])
    assert.equal(status, 1)
    assert.match(stderr.toString(), /the checksum does not match/)
  }),
)
