/** New store: its devices and its first control record. */
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { parseDeviceId, parseEpoch, parseStoreId, rowKeyOf, type DeviceId, type StoreId } from "@hayloft/base/ids.js"
import { BLOCK_BYTES_DEFAULT, DEVICES_MAX } from "@hayloft/base/limits.js"
import { defaultMetaCopies, shardCount, type Policy } from "@hayloft/base/policy.js"
import { createSuperblock, isMountPoint, removeRemains } from "@hayloft/engine/device/index.js"
import type { ControlDevice, ControlRecord, ControlTablet } from "@hayloft/engine/format/device/control-record.js"
import type { KeyringRecord } from "@hayloft/engine/format/device/keyring.js"
import { FORMAT_EPOCH_FIRST } from "@hayloft/engine/format/device/superblock.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { encodeLayout, planLayout } from "@hayloft/engine/placement/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk, Space } from "@hayloft/base/seams/disk/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { BOUNDS_OF, type ServeConfig } from "../config/index.js"
import { FIRST_TABLET } from "../metadata/first-tablet.js"
import type { FolderInspection } from "./folder-inspection.js"
import type { DeviceFolder } from "./start-core.js"

/** Writes every superblock before any control record, so that an interrupted start begins again. */
export async function makeDevices(
  clock: Clock,
  random: Random,
  diskOf: (path: string) => Disk,
  inspections: readonly FolderInspection[],
  {
    storeId = begunStoreId(inspections) ?? parseStoreId(hexOf(random.bytes(16))),
    formatEpoch = FORMAT_EPOCH_FIRST,
  }: { readonly storeId?: StoreId; readonly formatEpoch?: number } = {},
): Promise<DeviceFolder[]> {
  const known = inspections.map(({ content }) => (content.kind === "device" ? content.superblock : undefined))
  return mapBounded(inspections, DEVICES_MAX, async ({ path, content }, i) => {
    const superblock = known[i]
    if (superblock) return { path, superblock }
    if (content.kind === "empty") await removeRemains(diskOf(path), path)
    const deviceId = parseDeviceId(hexOf(random.bytes(8)))
    const device = { storeId, deviceId, createdMs: clock.wallMs(), formatEpoch }
    return { path, superblock: await createSuperblock(diskOf(path), path, device) }
  })
}

/** Returns the store id of a start that was interrupted. */
export const begunStoreId = (inspections: readonly FolderInspection[]): StoreId | undefined =>
  inspections
    .map(({ content }) => (content.kind === "device" ? content.superblock.storeId : undefined))
    .find(storeId => storeId !== undefined)

interface FirstFacts {
  readonly config: ServeConfig
  /** The policy of the store. The layout is narrower if there are too few devices yet. */
  readonly policy: Policy
  readonly secrets: Uint8Array
  readonly generation: number
  /** The metadata is in a database: no device has a replica of it. */
  readonly isInDatabase: boolean
  /** The keyring of a store that encrypts everything from its start. */
  readonly keyring?: KeyringRecord | undefined
}

export async function firstRecord(
  diskOf: (path: string) => Disk,
  devices: readonly DeviceFolder[],
  { config, policy, secrets, generation, isInDatabase, keyring }: FirstFacts,
): Promise<ControlRecord> {
  const metaCopies = config.metaCopies ?? defaultMetaCopies(devices.length, policy)
  const ids = devices.map(({ superblock }) => superblock.deviceId)
  const spaces = await mapBounded(devices, DEVICES_MAX, ({ path }) => diskOf(path).space(path))
  const mountPoints = await mapBounded(devices, DEVICES_MAX, ({ path }) => isMountPoint(diskOf(path), path))
  const weights = weightsOf(spaces)
  const entries = devices.map(({ path, superblock }, i): ControlDevice => ({
    id: superblock.deviceId,
    weight: weights[i] ?? 1,
    pathHint: path,
    isMountPoint: mountPoints[i] ?? false,
    state: "active",
    stateSinceMs: superblock.createdMs,
    capacityBytes: spaces[i]?.totalBytes ?? 0,
    more: [],
  }))
  const layout = planLayout(entries, Math.min(shardCount(policy), entries.length))
  return {
    storeId: must(devices[0], "a store has devices").superblock.storeId,
    generation,
    devices: entries,
    policy,
    isPolicyAutomatic: config.policy === undefined,
    policyVersion: 1,
    blockBytes: config.blockBytes ?? BOUNDS_OF[config.profile].blockBytes ?? BLOCK_BYTES_DEFAULT,
    metaCopies,
    tablets: isInDatabase ? [] : [firstTablet(ids.slice(0, metaCopies))],
    layout: { version: layout.version, table: encodeLayout(layout), devices: ids },
    previousLayout: undefined,
    pausedWork: [],
    secrets,
    region: config.region ?? "",
    ...(keyring && { keyring }),
    more: [],
  }
}

const firstTablet = (ids: readonly DeviceId[]): ControlTablet => ({
  id: FIRST_TABLET,
  epoch: parseEpoch(1),
  replicas: ids.map(id => ({ id, since: parseEpoch(1) })),
  learners: [],
  start: rowKeyOf(""),
  end: undefined,
  more: [],
})

/** Weights by capacity; folders on one file system share its capacity. The smallest weight is 1. */
function weightsOf(spaces: readonly Space[]): readonly number[] {
  const shares = spaces.map(({ totalBytes, fileSystemId }) => {
    const sharing = spaces.filter(other => other.fileSystemId === fileSystemId).length
    return Math.max(1, totalBytes / sharing)
  })
  const least = Math.min(...shares)
  return shares.map(share => Math.round((100 * share) / least) / 100)
}
