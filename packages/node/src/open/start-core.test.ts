/** Every set of folders that are present, superseded, empty or absent, for two to five devices; and each refusal. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import {
  parseDeviceId,
  parseEpoch,
  parseIncarnation,
  parseStoreId,
  rowKeyOf,
  type DeviceId,
} from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { defaultMetaCopies, defaultPolicy, shardCount } from "@hayloft/base/policy.js"
import { markOffline } from "@hayloft/engine/cluster/index.js"
import { checkRecord } from "@hayloft/engine/cluster/testing-check-record.js"
import {
  encodeControlRecord,
  parseControlRecord,
  type ControlRecord,
} from "@hayloft/engine/format/device/control-record.js"
import { encodeLayout, planLayout } from "@hayloft/engine/placement/index.js"
import { FIRST_TABLET } from "../metadata/first-tablet.js"
import type { FolderInspection } from "./folder-inspection.js"
import { planStart, type KnownPlan } from "./start-core.js"
import { possibleFills, recordOfStart } from "./start-record-core.js"

const STORE = parseStoreId("0123456789abcdef0123456789abcdef")
const OTHER_STORE = parseStoreId("f".repeat(32))
const idOf = (n: number): DeviceId => parseDeviceId(n.toString(16).padStart(16, "0"))
const pathOf = (n: number): string => `/mnt/disk${n}`
const since = parseEpoch(1)

const records = new Map<string, ControlRecord>()

/** A store of devices 1 to `count` as its first start creates it. */
function storeOf(count: number, isMountPoint = true): ControlRecord {
  const key = `${count} ${isMountPoint}`
  const known = records.get(key)
  if (known !== undefined) return known
  const policy = defaultPolicy(count)
  const ids = Array.from({ length: count }, (_, i) => idOf(i + 1))
  const layout = planLayout(
    ids.map(id => ({ id, weight: 1 })),
    shardCount(policy),
  )
  const replicas = ids.slice(0, defaultMetaCopies(count, policy)).map(id => ({ id, since }))
  const devices = ids.map((id, i) => ({
    id,
    weight: 1,
    pathHint: pathOf(i + 1),
    isMountPoint,
    state: "active" as const,
    stateSinceMs: 0,
    capacityBytes: 0,
    more: [],
  }))
  const record: ControlRecord = {
    storeId: STORE,
    generation: 5,
    devices,
    policy,
    isPolicyAutomatic: true,
    policyVersion: 1,
    blockBytes: 4 * MIB,
    metaCopies: replicas.length,
    region: "",
    secrets: new Uint8Array(0),
    more: [],
    tablets: [
      { id: FIRST_TABLET, epoch: since, replicas, learners: [], start: rowKeyOf(""), end: undefined, more: [] },
    ],
    layout: { version: layout.version, table: encodeLayout(layout), devices: ids },
    previousLayout: undefined,
    pausedWork: [],
  }
  records.set(key, record)
  return record
}

/** The store continued without these devices, and others became metadata replicas in their place. */
function without(record: ControlRecord, gone: readonly DeviceId[]): ControlRecord {
  const staying = record.devices.filter(({ id }) => !gone.includes(id)).slice(0, record.metaCopies)
  const replicas = staying.map(({ id }) => ({ id, since }))
  const tablets = record.tablets.map(tablet => ({ ...tablet, replicas }))
  return { ...markOffline({ ...record, tablets }, gone, 0), generation: record.generation + 1 }
}

const device = (n: number, record: ControlRecord | undefined, storeId = STORE, isUnused = false): FolderInspection => ({
  path: pathOf(n),
  isMountPoint: true,
  content: {
    kind: "device",
    record,
    isUnused,
    superblock: { storeId, deviceId: idOf(n), incarnation: parseIncarnation(1), createdMs: 0, formatEpoch: 1 },
  },
})
const empty = (n: number, isMountPoint = true): FolderInspection => ({
  path: pathOf(n),
  isMountPoint,
  content: { kind: "empty" },
})
const remains = (n: number, record: ControlRecord, isEmptied: boolean): FolderInspection => ({
  path: pathOf(n),
  isMountPoint: true,
  content: { kind: "remains", record, isEmptied },
})
const absent = (n: number): FolderInspection => ({ path: pathOf(n), isMountPoint: false, content: { kind: "absent" } })

const KINDS = ["present", "stale", "empty", "absent"] as const
type Kind = (typeof KINDS)[number]

function* kindsOf(count: number): Generator<readonly Kind[]> {
  if (count === 0) yield []
  else for (const first of KINDS) for (const rest of kindsOf(count - 1)) yield [first, ...rest]
}

function looksOf(kinds: readonly Kind[]): {
  readonly inspections: readonly FolderInspection[]
  readonly newest: ControlRecord
} {
  const old = storeOf(kinds.length)
  const stale = kinds.flatMap((kind, i) => (kind === "stale" ? [idOf(i + 1)] : []))
  const newest = stale.length === 0 || !kinds.includes("present") ? old : without(old, stale)
  const inspections = kinds.map((kind, i) => {
    const n = i + 1
    if (kind === "present") return device(n, newest)
    if (kind === "stale") return device(n, old)
    return kind === "empty" ? empty(n) : absent(n)
  })
  return { inspections, newest }
}

const PAGE = new URL("../../../../../docs/design/failure-scenarios.md", import.meta.url)

/** The table of docs/design/failure-scenarios.md, by devices and superseded ones: a cell for each number of lost ones. */
function tableOfStarts(): ReadonlyMap<string, readonly string[]> {
  const [, table = ""] = readFileSync(PAGE, "utf8").split("<!-- starts -->\n\n")
  const [, , ...rows] = (table.split("\n\n")[0] ?? "").split("\n")
  return new Map(
    rows.map((row): [string, string[]] => {
      const [devices = "", stale = "", ...cells] = row
        .split("|")
        .slice(1, -1)
        .map(cell => cell.trim())
      return [`${devices} ${stale}`, cells]
    }),
  )
}

const table = tableOfStarts()

/** The expected outcome for these folders, from the page. */
function promised(kinds: readonly Kind[]): string {
  const count = (kind: Kind): number => kinds.filter(each => each === kind).length
  const [stale, lost] = [count("stale"), count("empty") + count("absent")]
  const cell = must(table.get(`${kinds.length} ${stale}`)?.[lost], "the table has the row")
  if (cell === "fills" && count("empty") > 0) return "fills"
  if (cell === "fills" || cell === "opens") return lost + stale > 0 ? "degraded" : "whole"
  return cell
}

/** The actual outcome. */
function outcome(inspections: readonly FolderInspection[]): string {
  let plan: ReturnType<typeof planStart>
  try {
    plan = planStart(inspections)
  } catch (error) {
    assert.ok(isFailure(error, "devicesMissing"), String(error))
    assert.match(
      error.message,
      /^devices of this store are missing: [^\n]+( hayloft device (forget|replace) [^\n]+| attach one)$/,
    )
    return "refused"
  }
  if (plan.kind === "new") return "new"
  const filled = checkedRecord(plan)
  if (filled > 0) return "fills"
  const { missing, returning, replacements } = plan
  return missing.length + returning.length + replacements.length > 0 ? "degraded" : "whole"
}

/** The number of rebuilding devices in the record of the start; the record must be valid. */
function checkedRecord({ record, missing, returning, replacements, present }: KnownPlan): number {
  const gone = missing.map(({ id }) => id)
  const wanted = replacements.map(({ old, path, isMountPoint }, i) => ({
    oldId: old.id,
    device: { id: idOf(100 + i), pathHint: path, isMountPoint, capacityBytes: 0 },
  }))
  const { fills } = possibleFills(record, gone, wanted, 1)
  const paths = new Map(present.map(({ path, superblock }) => [superblock.deviceId, path]))
  const back = returning.map(({ superblock }) => superblock.deviceId)
  const next = recordOfStart(record, { missing: gone, lagging: [], back, fills, paths, secrets: record.secrets }, 1)
  checkRecord(next)
  if (fills.length > 0) assert.deepEqual(parseControlRecord(encodeControlRecord(next)), next)
  for (const { id, state } of next.devices) {
    const isHere = present.some(({ superblock }) => superblock.deviceId === id)
    const isNew = fills.some(fill => fill.device.id === id)
    assert.equal(state, isHere ? "active" : back.includes(id) || isNew ? "rebuilding" : "offline")
  }
  return fills.length
}

for (const count of [2, 3, 4, 5]) {
  test(`${count} devices: each set of folders opens, opens without some, fills or refuses as docs/design/failure-scenarios.md states`, () => {
    const seen = new Set<string>()
    for (const kinds of kindsOf(count)) {
      const expected = promised(kinds)
      const { inspections } = looksOf(kinds)
      const found = outcome(inspections)
      // The plan cannot know of a newer record: steps-core.ts proves that no such set ever has one.
      if (expected === "image") assert.ok(["whole", "degraded", "fills", "refused"].includes(found))
      else assert.equal(found, expected, kinds.join(" "))
      seen.add(expected)
    }
    for (const each of ["whole", "degraded", "refused", "fills"]) {
      if (count > 2 || each !== "fills") assert.ok(seen.has(each), `${each} is among them`)
    }
  })
}

const refusal = (inspections: readonly FolderInspection[]): string => {
  try {
    planStart(inspections)
  } catch (error) {
    if (isFailure(error)) return `${error.kind}: ${error.message}`
  }
  return assert.fail("it is refused")
}

const planOf = (inspections: readonly FolderInspection[]): KnownPlan => {
  const plan = planStart(inspections)
  return plan.kind === "known" ? plan : assert.fail("the store is known")
}

test("a refusal contains the missing devices, their last folders, and the command that resolves it", () => {
  const two = storeOf(2)
  assert.equal(
    refusal([device(1, two), absent(2)]),
    "devicesMissing: devices of this store are missing: 0000000000000002 (last at /mnt/disk2); attach them and give all data folders, or, if they are permanently lost, give them up: hayloft device forget 0000000000000002 --data /mnt/disk1",
  )
  assert.match(
    refusal([device(1, two), empty(2)]),
    /rebuild it in the empty folder: hayloft device replace 0000000000000002 \/mnt\/disk2 --data \/mnt\/disk1$/,
  )
  assert.match(refusal([device(1, two), empty(2, false)]), /give them up: hayloft device forget/, "it is not mounted")
  const four = storeOf(4)
  assert.match(
    refusal([device(1, four), device(2, four)]),
    /forget 0000000000000003 0000000000000004 --data \/mnt\/disk1 --data \/mnt\/disk2$/,
  )
})

test("more missing than the redundancy tolerates: refused, unless all of them are known to be offline", () => {
  const five = { ...storeOf(5), policy: defaultPolicy(3) }
  const here = [1, 2, 3]
  assert.match(refusal(here.map(n => device(n, five))), /forget 0000000000000004 0000000000000005/)
  const known = without(five, [idOf(4), idOf(5)])
  assert.deepEqual(planOf(here.map(n => device(n, known))).missing, [])
  const one = without(five, [idOf(4)])
  assert.match(refusal(here.map(n => device(n, one))), /missing: 0000000000000005 /, "what is known is not asked again")
})

test("without a metadata replica nothing opens, whatever else is present", () => {
  const five = storeOf(5)
  const [only] = five.tablets[0]?.replicas ?? []
  const tablets = five.tablets.map(tablet => ({ ...tablet, replicas: only === undefined ? [] : [only] }))
  const inspections = [2, 3, 4, 5].map(n => device(n, { ...five, tablets }))
  assert.match(refusal(inspections), /missing: 0000000000000001 .*every metadata replica.*attach one$/)
})

test("an unmounted mount point is left alone, with a line that says so", () => {
  const four = storeOf(4)
  const plan = planOf([1, 2, 3].map(n => device(n, four)).concat(empty(4, false)))
  assert.deepEqual(plan.replacements, [])
  assert.match(
    plan.notes.join(),
    /\/mnt\/disk4 is empty and not a mount point.*mount the disk, or .*hayloft device replace/,
  )
})

test("an empty folder elsewhere replaces a device automatically only among mount points, and only if the device is unambiguous", () => {
  const here = (record: ControlRecord, numbers: readonly number[]) => numbers.map(n => device(n, record))
  const five = storeOf(5)
  const replaced = planOf([...here(five, [1, 2, 3]), empty(8), empty(9)]).replacements
  assert.deepEqual(
    replaced.map(({ old, path }) => [old.id, path]),
    [
      [idOf(4), "/mnt/disk8"],
      [idOf(5), "/mnt/disk9"],
    ],
  )
  assert.match(refusal([...here(five, [1, 2, 3]), empty(8)]), /foreignFolder: .*one of 0+4, 0+5.*device replace 0+4/)
  assert.match(
    refusal([...here(five, [1, 2, 3, 4]), empty(8, false)]),
    /does not replace a missing device.*device replace 0+5/,
  )
  const plain = storeOf(5, false)
  assert.match(refusal([...here(plain, [1, 2, 3, 4]), empty(8, false)]), /does not replace a missing device/)
  assert.equal(planOf([...here(plain, [1, 2, 3, 4]), empty(5, false)]).replacements[0]?.path, pathOf(5))
  const own = planOf([...here(five, [1, 2, 3]), empty(5), empty(9)]).replacements
  assert.deepEqual(
    own.map(({ old, path }) => [old.id, path]),
    [
      [idOf(5), "/mnt/disk5"],
      [idOf(4), "/mnt/disk9"],
    ],
    "at its own path first",
  )
})

test("more empty folders than missing devices: the refusal contains the command to add one", () => {
  const two = storeOf(2)
  const inspections = [device(1, two), device(2, two), empty(3)]
  assert.match(
    refusal(inspections),
    /foreignFolder: \/mnt\/disk3 is empty, and no device.*hayloft device add \/mnt\/disk3$/,
  )
  assert.match(refusal([device(1, two), device(2, two), absent(3)]), /device add/)
})

test("a folder that is no longer part of the store is left alone; one that was begun and never became part counts as empty", () => {
  const record = storeOf(3)
  const here = [1, 2, 3].map(n => device(n, record))
  const plan = planOf([...here, device(9, record)])
  assert.deepEqual([plan.present.length, plan.returning.length, plan.replacements.length], [3, 0, 0])
  assert.match(plan.notes.join(), /\/mnt\/disk9 is no longer part of this store and is left alone/)
  const begun = planOf([...here.slice(0, 2), { ...device(9, undefined, STORE, true), path: pathOf(3) }])
  assert.equal(begun.replacements[0]?.begun?.deviceId, idOf(9))
})

test("folders swapped between their paths are the same devices; copies and other stores are refused", () => {
  const record = storeOf(3)
  const swapped = [1, 2, 3].map(n => ({ ...device(n, record), path: pathOf(4 - n) }))
  assert.equal(planOf(swapped).present.length, 3)
  assert.match(refusal([device(1, record), { ...device(1, record), path: "/copy" }]), /\/copy is a copy of another/)
  const mixed = refusal([device(1, record), device(2, record, OTHER_STORE), device(3, record)])
  const named = `different stores: ${pathOf(1)}, ${pathOf(3)} of store ${STORE}; ${pathOf(2)} of store ${OTHER_STORE}`
  assert.ok(mixed.includes(named), mixed)
})

test("a device without the incarnation of the record is an old image, unless it has the only metadata replica", () => {
  const record = { ...storeOf(3), generation: 1 + 7 * 2 ** 20 }
  const at = (n: number, incarnation: number): FolderInspection => {
    const { content, ...inspection } = device(n, record)
    if (content.kind !== "device") return assert.fail("a device")
    const superblock = { ...content.superblock, incarnation: parseIncarnation(incarnation) }
    return { ...inspection, content: { ...content, superblock } }
  }
  assert.deepEqual(planOf([at(1, 7), at(2, 6), at(3, 8)]).lagging, [idOf(2)])
  assert.deepEqual(planOf([at(1, 6), at(2, 6), at(3, 6)]).lagging, [])
})

test("a broken folder counts as missing, and is reported; alone it is the error", () => {
  const record = storeOf(3)
  const broken: FolderInspection = {
    path: pathOf(3),
    isMountPoint: false,
    content: { kind: "broken", failure: fail("deviceFailed", { path: pathOf(3), code: "EIO" }) },
  }
  const plan = planOf([device(1, record), device(2, record), broken])
  assert.deepEqual(
    plan.missing.map(({ id }) => id),
    [idOf(3)],
  )
  assert.match(plan.notes.join(), /\/mnt\/disk3 cannot be used and is left alone: .*EIO/)
  assert.match(refusal([broken]), /^deviceFailed/)
})

test("the remains of a device whose superblock is gone count as that device, damaged: the store starts without it", () => {
  const record = storeOf(3)
  const known = planned([device(1, record), device(2, record), remains(3, record, true)])
  assert.deepEqual([known.missing.map(({ id }) => id), known.replacements], [[idOf(3)], []])
  assert.match(
    known.notes.join(),
    /disk3 holds the remains of device 0+3, .* rebuild the device in it with: hayloft device replace 0+3 \/mnt\/disk3$/,
  )
  const full = planned([device(1, record), device(2, record), remains(3, record, false)])
  assert.match(full.notes.join(), /is left alone; empty it, then rebuild the device in it with: hayloft device replace/)
  assert.throws(
    () => planStart([device(1, record), device(2, record), remains(3, { ...record, storeId: OTHER_STORE }, true)]),
    error => isFailure(error, "foreignFolder") && /another store/.test(error.message),
  )
  assert.throws(
    () => planStart([remains(1, record, true)]),
    /disk1 contains a device whose superblock is gone\. .* hayloft rescue --from \/mnt\/disk1 --to NEW/,
  )
})

function planned(inspections: readonly FolderInspection[]): KnownPlan {
  const plan = planStart(inspections)
  return plan.kind === "known" ? plan : assert.fail("the store is known")
}
