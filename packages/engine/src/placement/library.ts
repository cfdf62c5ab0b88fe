/**
 * The interface that the npm package offers to programs as `hayloft/placement`; declarations/placement.d.ts describes it
 * for their compilers, docs/guide/placement-library.md for people.
 *
 * Promises  The layouts that a store with these devices and weights has. The same calls give the same layout. A layout
 *           keeps copies of what it is given, and gives nothing away through which it could be changed.
 * Refuses   Throws a `LibraryError` for devices that cannot be placed on, for a saved layout that is damaged, and for
 *           keys and partitions that are none.
 * Limits    STORE_DEVICES_MAX devices, SHARDS_MAX shards of a key.
 */
import { must } from "@hayloft/base/assert.js"
import { unlessRefused } from "@hayloft/base/failures.js"
import { parseDeviceId, parsePartitionId, type DeviceId } from "@hayloft/base/ids.js"
import { LibraryError } from "@hayloft/base/library-error.js"
import { PARTITIONS, SHARDS_MAX, STORE_DEVICES_MAX } from "@hayloft/base/limits.js"
import { parsePolicy, shardCount } from "@hayloft/base/policy.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { usableBytes, weightsFor } from "./capacity.js"
import { decodeLayout, encodeLayout, slotsOf, slotsPerDevice, type Layout, type LayoutDevice } from "./layout.js"
import { movement as movementOf } from "./movement.js"
import { isSpreadEvenly, planLayout as plan, planNext } from "./next-layout.js"
import { mostTogether } from "./together.js"

export { compareDurability } from "../durability/index.js"

type ErrorCode =
  | "invalidDevice"
  | "duplicateDevice"
  | "tooManyDevices"
  | "tooFewDevices"
  | "invalidWidth"
  | "invalidPolicy"
  | "invalidLayout"
  | "invalidKey"
  | "invalidPartition"
type Domain = "zone" | "machine" | "disk"

interface Device {
  readonly id: string
  readonly capacityBytes: number
  readonly zone?: string | undefined
  readonly machine?: string | undefined
  readonly disk?: string | undefined
}

interface SavedLayout {
  readonly version: number
  readonly devices: readonly Device[]
  readonly table: Uint8Array
}

const refuse = (code: ErrorCode, message: string): LibraryError<ErrorCode> => new LibraryError(code, message)

function hashOf(key: string | Uint8Array): bigint {
  const bytes = typeof key === "string" ? Buffer.from(key, "utf8") : key
  if (!(bytes instanceof Uint8Array)) throw refuse("invalidKey", "a key is a text or a Uint8Array")
  return xxh64(bytes)
}

/** The id under which a layout knows a device of any name. */
const idOf = (name: string): DeviceId => parseDeviceId(hashOf(name).toString(16).padStart(16, "0"))

function checkWidth(width: number, devices: number): void {
  if (!Number.isInteger(width) || width < 1 || width > SHARDS_MAX)
    throw refuse("invalidWidth", `a key has 1 to ${SHARDS_MAX} shards, not ${width}`)
  if (devices > STORE_DEVICES_MAX)
    throw refuse("tooManyDevices", `devices are at most ${STORE_DEVICES_MAX}, not ${devices}`)
  if (devices < width)
    throw refuse("tooFewDevices", `${width} shards of a key need as many devices, and there are ${devices}`)
}

/** Copies of the devices, which neither those who gave them nor those who read the layout can change. */
function ownDevices(devices: readonly Device[]): readonly Device[] {
  const ids = new Set<DeviceId>()
  for (const { id, capacityBytes } of devices) {
    if (typeof id !== "string" || id === "") throw refuse("invalidDevice", "a device has no name")
    if (!Number.isFinite(capacityBytes) || capacityBytes <= 0)
      throw refuse("invalidDevice", `the device ${id} cannot have ${capacityBytes} bytes`)
    if (ids.has(idOf(id))) throw refuse("duplicateDevice", `there are two devices ${id}`)
    ids.add(idOf(id))
  }
  return Object.freeze(devices.map(device => Object.freeze({ ...device })))
}

/** The devices as layouts take them. */
function weighted(devices: readonly Device[]): readonly LayoutDevice[] {
  const weights = weightsFor(devices.map(({ capacityBytes }) => capacityBytes))
  return devices.map(({ id, zone, machine, disk }, i) => ({
    id: idOf(id),
    weight: must(weights[i], "each device has a weight"),
    domains: {
      ...(zone === undefined ? {} : { zone }),
      ...(machine === undefined ? {} : { machine }),
      ...(disk === undefined ? {} : { disk }),
    },
  }))
}

/** A table of devices: where the shards of each key are. It never changes; `next` makes another. */
class PlacementLayout {
  private readonly byId: ReadonlyMap<DeviceId, Device>

  constructor(
    private readonly inner: Layout,
    readonly devices: readonly Device[],
  ) {
    this.byId = new Map(devices.map(device => [idOf(device.id), device]))
  }

  get version(): number {
    return this.inner.version
  }

  get width(): number {
    return this.inner.width
  }

  partitionOf(key: string | Uint8Array): number {
    return Number(hashOf(key) >> 48n)
  }

  devicesOf(key: string | Uint8Array): string[] {
    return this.devicesOfPartition(this.partitionOf(key))
  }

  devicesOfPartition(partition: number): string[] {
    const parsed = unlessRefused(() => parsePartitionId(partition))
    if (parsed === undefined)
      throw refuse("invalidPartition", `a partition is a whole number from 0 to ${PARTITIONS - 1}, not ${partition}`)
    return slotsOf(this.inner, parsed).map(id => this.known(id).id)
  }

  /** Slots of all partitions by device. */
  slots(): Map<string, number> {
    const counts = slotsPerDevice(this.inner)
    return new Map(this.inner.devices.map((id, i) => [this.known(id).id, counts[i] ?? 0]))
  }

  next(devices: readonly Device[], { width = this.width } = {}): PlacementLayout {
    checkWidth(width, devices.length)
    const own = ownDevices(devices)
    return new PlacementLayout(planNext(this.inner, weighted(own), width, this.version + 1), own)
  }

  movementTo(next: PlacementLayout) {
    const { devices, ...counts } = movementOf(this.inner, next.inner)
    const nameOf = (id: DeviceId): string => (this.byId.get(id) ?? next.known(id)).id
    const named = new Map<string, { readonly gained: number; readonly lost: number }>()
    for (const [id, { slotsIn, offlineSlots }] of devices)
      named.set(nameOf(id), { gained: slotsIn, lost: offlineSlots })
    return { ...counts, devices: named }
  }

  isSpreadEvenly(): boolean {
    return isSpreadEvenly(this.inner, weighted(this.devices))
  }

  /** The most shards of any key that are in one zone, in one machine or on one disk. */
  mostTogether(domain: Domain): number {
    const nameOf = ({ id, zone = "", machine = "", disk }: Device): string =>
      JSON.stringify([zone, ...(domain === "zone" ? [] : [machine]), ...(domain === "disk" ? [disk ?? [id]] : [])])
    return mostTogether(this.inner, id => nameOf(this.known(id))).reduce((most, count) => Math.max(most, count), 0)
  }

  usableBytes(policy: string): number {
    const parsed = unlessRefused(() => parsePolicy(policy))
    if (parsed === undefined || shardCount(parsed) > this.width)
      throw refuse("invalidPolicy", `not a policy of up to ${this.width} shards: ${policy} (try replica:2 or ec:4+2)`)
    return usableBytes(this.inner, new Map(Array.from(this.byId, ([id, device]) => [id, device.capacityBytes])), parsed)
  }

  /** All that `openLayout` needs. */
  save(): SavedLayout {
    const devices = this.inner.devices.map(id => this.known(id))
    return { version: this.version, devices, table: encodeLayout(this.inner) }
  }

  private known(id: DeviceId): Device {
    return must(this.byId.get(id), "a layout has its devices")
  }
}

/** A first layout, in which each key has `width` shards. */
export function planLayout(devices: readonly Device[], { width }: { readonly width: number }): PlacementLayout {
  checkWidth(width, devices.length)
  const own = ownDevices(devices)
  return new PlacementLayout(plan(weighted(own), width), own)
}

/** The layout that `save` has described. */
export function openLayout({ version, devices, table }: SavedLayout): PlacementLayout {
  if (!Number.isSafeInteger(version) || version < 1)
    throw refuse("invalidLayout", `the version of a layout is a whole number from 1, not ${version}`)
  if (!(table instanceof Uint8Array))
    throw refuse("invalidLayout", "the table of a layout is a Uint8Array: JSON keeps it only as a text, as base64")
  const own = ownDevices(devices)
  const ids = own.map(({ id }) => idOf(id))
  // A copy by `slice` of a Buffer would be a view of the same bytes.
  const inner = unlessRefused(() => decodeLayout(Uint8Array.from(table), version, ids))
  if (inner === undefined) throw refuse("invalidLayout", `not a table of ${PARTITIONS} partitions on these devices`)
  checkWidth(inner.width, own.length)
  return new PlacementLayout(inner, own)
}
