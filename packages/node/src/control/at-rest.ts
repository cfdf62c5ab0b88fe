/**
 * At rest: the key under which a store encrypts everything on its devices, in the key ring of the control record. See
 * decision 56, "At rest".
 */
import { DeviceCipher, deviceKeysOf, type DeviceKeys } from "@hayloft/base/encryption/device-cipher.js"
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId, Incarnation, UploadId } from "@hayloft/base/ids.js"
import { RowCipher, rowsKeyOf } from "@hayloft/base/encryption/row-cipher.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { KeyringRecord } from "@hayloft/engine/format/device/keyring.js"
import { openBytes, sealBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import { incarnationOf } from "@hayloft/engine/format/needles/upload-id.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { newKeyring, openEpochKey, withNewEpoch } from "./epoch-keys.js"

const KEY_BYTES = 32
export const PURPOSE_AT_REST = "at rest"

export const isEncryptedAtRest = ({ keyring }: Pick<ControlRecord, "keyring">): boolean => keyring?.atRest !== undefined

/** From the moment at which a store begins to encrypt, also while a job converts what was there before. */
export const mustSealNewBytes = isEncryptedAtRest

type ConvertingDevice = NonNullable<KeyringRecord["atRest"]>["converting"][number]
export type EmptyUpTo = NonNullable<ConvertingDevice["emptyUpTo"]>
/** Nothing on the device is plain; it stays in the list until this is true of all of them. */
const CONVERTED: EmptyUpTo = { needles: 0, payloads: 0 }
const isConverted = ({ emptyUpTo }: ConvertingDevice): boolean => emptyUpTo?.needles === 0

/** Devices of the store that may still have plain files. */
export const convertingIn = ({
  keyring,
  devices,
}: Pick<ControlRecord, "keyring" | "devices">): readonly ConvertingDevice[] =>
  keyring?.atRest?.converting.filter(each => !isConverted(each) && devices.some(({ id }) => id === each.id)) ?? []

/** Returns true if objects may still be plain. */
export const hasPlainObjects = (record: Pick<ControlRecord, "keyring" | "devices">): boolean =>
  convertingIn(record).some(({ emptyUpTo }) => emptyUpTo === undefined)

/**
 * An existing store begins to encrypt everything, under an epoch key of its own: older records on the disks have the
 * former ones, under a master key that may lie beside them. `firstIncarnation`: the lowest of this start, that of a front
 * thread if it has any. Undefined: it has begun before. Throws `limitExceeded`.
 */
export function withAtRest(
  record: ControlRecord,
  masterKey: Uint8Array,
  random: Random,
  nowMs: number,
  firstIncarnation: Incarnation,
): ControlRecord | undefined {
  if (isEncryptedAtRest(record)) return undefined
  const { keyring } = record
  const ring = keyring ? withNewEpoch(keyring, masterKey, random, nowMs) : newKeyring(masterKey, random, nowMs)
  const epoch = ring.epochs.reduce((newest, each) => (each.number > newest.number ? each : newest))
  const converting = record.devices.map(({ id }) => ({ id, emptyUpTo: undefined }))
  const atRest = { ...newAtRest(masterKey, epoch, random, nowMs), converting, firstIncarnation }
  return { ...record, keyring: { ...ring, atRest } }
}

/** Returns true if an upload has no plain bytes because its process encrypted everything. */
export const isSealedByOrigin = ({ keyring }: Pick<ControlRecord, "keyring">, uploadId: UploadId): boolean =>
  incarnationOf(uploadId) >= (keyring?.atRest?.firstIncarnation ?? Infinity)

/** Devices that have joined since may have received copies of plain blocks. Undefined: there are none. */
export function withNewDevices(record: ControlRecord): ControlRecord | undefined {
  const known = record.keyring?.atRest?.converting ?? []
  const joined = record.devices.filter(({ id }) => !known.some(each => each.id === id))
  if (known.length === 0 || joined.length === 0) return undefined
  return withList(record, [...known, ...joined.map(({ id }) => ({ id, emptyUpTo: undefined }))])
}

/** No object is plain any more; of these devices the volumes up to the named ones may contain former ones. */
export const withEmptyUpTo = (record: ControlRecord, upTo: ReadonlyMap<DeviceId, EmptyUpTo>): ControlRecord =>
  withList(
    record,
    (record.keyring?.atRest?.converting ?? []).map(each => ({
      ...each,
      emptyUpTo: each.emptyUpTo ?? upTo.get(each.id),
    })),
  )

/** Nothing on these devices is plain. The list ends with the last one. */
export function withConverted(record: ControlRecord, ids: readonly DeviceId[]): ControlRecord {
  const before = withNewDevices(record) ?? record
  const list = (before.keyring?.atRest?.converting ?? []).map(each =>
    ids.includes(each.id) ? { ...each, emptyUpTo: CONVERTED } : each,
  )
  const after = withList(before, list)
  return convertingIn(after).length === 0 ? withList(after, []) : after
}

function withList(record: ControlRecord, converting: readonly ConvertingDevice[]): ControlRecord {
  const { keyring } = record
  if (keyring?.atRest === undefined) return record
  const firstIncarnation = converting.length === 0 ? undefined : keyring.atRest.firstIncarnation
  return { ...record, keyring: { ...keyring, atRest: { ...keyring.atRest, converting, firstIncarnation } } }
}

/** The ring of a new store that encrypts everything. */
export function ringAtRest(masterKey: Uint8Array, random: Random, nowMs: number): KeyringRecord {
  const ring = newKeyring(masterKey, random, nowMs)
  const [epoch] = ring.epochs
  return {
    ...ring,
    atRest: { ...newAtRest(masterKey, epoch, random, nowMs), converting: [], firstIncarnation: undefined },
  }
}

function newAtRest(masterKey: Uint8Array, epoch: KeyringRecord["epochs"][number], random: Random, nowMs: number) {
  const sealed = sealBytes(openEpochKey(masterKey, epoch), PURPOSE_AT_REST, random.bytes(KEY_BYTES), random)
  return { startedMs: nowMs, epoch: epoch.number, sealed }
}

/**
 * The keys of a device; undefined if the store does not encrypt what its devices hold. Throws `keysUnavailable` if the
 * master key does not open the ring.
 */
export function deviceKeysIn(
  record: Pick<ControlRecord, "keyring">,
  masterKey: Uint8Array,
  deviceId: DeviceId,
): DeviceKeys | undefined {
  const key = openAtRestKey(record, masterKey)
  const acceptsPlain = record.keyring?.atRest?.converting.some(each => each.id === deviceId && !isConverted(each))
  return key && deviceKeysOf(key, deviceId, acceptsPlain)
}

/** For rows in a database. Throws as above. */
export function rowCipherIn(
  record: Pick<ControlRecord, "keyring">,
  masterKey: Uint8Array,
  random: Random,
): RowCipher | undefined {
  const key = openAtRestKey(record, masterKey)
  return key && new RowCipher(rowsKeyOf(key), random.fork("row cipher"))
}

function openAtRestKey({ keyring }: Pick<ControlRecord, "keyring">, masterKey: Uint8Array): Uint8Array | undefined {
  const atRest = keyring?.atRest
  if (keyring === undefined || atRest === undefined) return undefined
  const epoch = keyring.epochs.find(({ number }) => number === atRest.epoch)
  const key = epoch && openBytes(openEpochKey(masterKey, epoch), PURPOSE_AT_REST, atRest.sealed)
  if (key === undefined) throw fail("keysUnavailable", { message: "the key of the encrypted devices does not open" })
  return key
}

/** A device that stands for all, for what they hold alike; one that may have plain files, if there is any. */
export const deviceForAll = ({ devices, keyring }: Pick<ControlRecord, "devices" | "keyring">): DeviceId | undefined =>
  (keyring?.atRest?.converting.find(each => !isConverted(each)) ?? devices[0])?.id

/** For what all devices hold alike, such as backups of the metadata. Throws as above. */
export function storeCipherIn(record: ControlRecord, masterKey: Uint8Array, random: Random): DeviceCipher | undefined {
  const deviceId = deviceForAll(record)
  const keys = deviceId && deviceKeysIn(record, masterKey, deviceId)
  return keys && new DeviceCipher(keys, random.fork("store cipher"))
}
