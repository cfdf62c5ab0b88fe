/**
 * Layout file, version 1: the layout of a store as JSON, for programs that compute where blocks are without the store
 * (`docs/design/placement.py`).
 *
 * The members are those of `LayoutFile`. A table has `bytesPerSlot` little-endian bytes for each slot, partition by
 * partition, in base64: indexes into `devices` beside it. Weights are decimal text, so that JSON in any language writes
 * them the same. `checksum` is "sha256:" and the hash of the canonical JSON (RFC 8785) of the other members: formatting
 * and the order of members do not matter.
 *
 * Refuses   With `corruptRecord` anything malformed, and a wrong checksum; with `invalidConfig` a later version. Whether
 *           the facts fit together is decided by `problemsOfLayoutFile` (`packages/engine/src/cluster/`).
 */
import { createHash } from "node:crypto"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseDomainName, parseNodeName, parseStoreId } from "@hayloft/base/ids.js"
import type { DeviceId, NodeName, StoreId } from "@hayloft/base/ids.js"
import { STORE_DEVICES_MAX } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { ControlDeviceState } from "./control-record.js"

const FORMAT = "hayloft-layout"
const VERSION = 1
const STATES = ["active", "rebuilding", "offline", "draining", "decommissioning"] as const
/** The devices of two layouts. */
const DEVICES_MAX = 2 * STORE_DEVICES_MAX
const CHECKSUM = "sha256:"

interface LayoutFileDevice {
  readonly id: DeviceId
  readonly weight: number
  readonly state: ControlDeviceState
  readonly node?: NodeName
  readonly zone?: string
  readonly machine?: string
  readonly disk?: string
}

export interface LayoutFileTable {
  readonly version: number
  /** Slots of each partition. */
  readonly width: number
  readonly bytesPerSlot: 1 | 2
  /** The devices that the indexes of the table refer to. */
  readonly devices: readonly DeviceId[]
  readonly table: Uint8Array
}

export interface LayoutFile {
  readonly storeId: StoreId
  readonly policy: Policy
  readonly partitions: number
  readonly devices: readonly LayoutFileDevice[]
  readonly layout: LayoutFileTable
  /** While shards move to `layout`. */
  readonly previous: LayoutFileTable | undefined
}

const tableJson = ({ table, ...facts }: LayoutFileTable) => ({
  ...facts,
  table: Buffer.from(table).toString("base64"),
})

/** Returns the file as a value for `JSON.stringify`. */
export function layoutFileJson({ storeId, policy, partitions, devices, layout, previous }: LayoutFile) {
  const facts = {
    format: FORMAT,
    formatVersion: VERSION,
    storeId,
    policy: textOfPolicy(policy),
    partitions,
    devices: devices.map(({ weight, ...device }) => ({ ...device, weight: String(weight) })),
    layout: tableJson(layout),
    ...(previous && { previous: tableJson(previous) }),
  }
  return { ...facts, checksum: checksumOf(facts) }
}

const checksumOf = (facts: object): string => CHECKSUM + createHash("sha256").update(canonical(facts)).digest("hex")

/** RFC 8785, of values without fractions. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(",")}}`
}

export function parseLayoutFile(value: unknown): LayoutFile {
  const { checksum, ...facts } = recordOf(value, "file")
  if (facts["format"] !== FORMAT) throw corrupt("format")
  const version = wholeOf(facts["formatVersion"], "formatVersion", Number.MAX_SAFE_INTEGER)
  if (version !== VERSION) {
    throw fail("invalidConfig", { message: "the layout file was written by a later release of Hayloft", version })
  }
  if (checksum !== checksumOf(facts)) throw corrupt("checksum")
  const { devices, previous } = facts
  return {
    storeId: parseAs("storeId", () => parseStoreId(facts["storeId"])),
    policy: parseAs("policy", () => parsePolicy(textOf(facts["policy"], "policy"))),
    partitions: wholeOf(facts["partitions"], "partitions", 0x1_0000),
    devices: parseDevices(devices).map(parseDevice),
    layout: parseTable(facts["layout"], "layout"),
    previous: previous === undefined ? undefined : parseTable(previous, "previous"),
  }
}

function parseDevice(value: unknown): LayoutFileDevice {
  const { id, weight, state, node, zone, machine, disk } = recordOf(value, "device")
  const known = STATES.find(one => one === state)
  const number = Number(textOf(weight, "weight"))
  if (known === undefined) throw corrupt("state")
  if (!(number > 0 && number < Infinity)) throw corrupt("weight")
  const name = (field: string, text: unknown) => parseAs(field, () => parseDomainName(text))
  return {
    id: parseAs("id", () => parseDeviceId(id)),
    weight: number,
    state: known,
    ...(node !== undefined && { node: parseAs("node", () => parseNodeName(node)) }),
    ...(zone !== undefined && { zone: name("zone", zone) }),
    ...(machine !== undefined && { machine: name("machine", machine) }),
    ...(disk !== undefined && { disk: name("disk", disk) }),
  }
}

function parseTable(value: unknown, field: string): LayoutFileTable {
  const { version, width, bytesPerSlot, devices, table } = recordOf(value, field)
  if (bytesPerSlot !== 1 && bytesPerSlot !== 2) throw corrupt("bytesPerSlot")
  const text = textOf(table, "table")
  const bytes = Buffer.from(text, "base64")
  if (bytes.toString("base64") !== text) throw corrupt("table")
  return {
    version: wholeOf(version, "version", Number.MAX_SAFE_INTEGER),
    width: wholeOf(width, "width", 0x7f),
    bytesPerSlot,
    devices: parseDevices(devices).map(id => parseAs("devices", () => parseDeviceId(id))),
    table: Uint8Array.from(bytes),
  }
}

function recordOf(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw corrupt(field)
  return Object.fromEntries(Object.entries(value))
}

function parseDevices(value: unknown): readonly unknown[] {
  if (!Array.isArray(value) || value.length > DEVICES_MAX) throw corrupt("devices")
  return value as readonly unknown[]
}

function textOf(value: unknown, field: string): string {
  if (typeof value !== "string") throw corrupt(field)
  return value
}

function wholeOf(value: unknown, field: string, max: number): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || value > max) throw corrupt(field)
  return value
}

/** A malformed id in a file is damage, not a bad request. */
function parseAs<T>(field: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw fail("corruptRecord", { what: "layout file", field }, error)
  }
}

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "layout file", field })
