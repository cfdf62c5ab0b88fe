/**
 * At rest: the key under which a store encrypts everything on its devices, in the key ring of the control record. See
 * decision 56, "At rest".
 */
import { DeviceCipher, deviceKeysOf, type DeviceKeys } from "../../base/device-cipher.js"
import { fail } from "../../base/failures.js"
import type { DeviceId } from "../../base/ids.js"
import { RowCipher, rowsKeyOf } from "../../base/row-cipher.js"
import type { ControlRecord } from "../../format/control-record.js"
import type { Keyring } from "../../format/keyring.js"
import { openBytes, sealBytes } from "../../format/sealed-bytes.js"
import type { Random } from "../../seams/random/contract.js"
import { newKeyring, openEpochKey } from "./epoch-keys.js"

const KEY_BYTES = 32
export const PURPOSE_AT_REST = "at rest"

export const isEncryptedAtRest = ({ keyring }: Pick<ControlRecord, "keyring">): boolean => keyring?.atRest !== undefined

/** From the moment at which a store begins to encrypt, also while a job converts what was there before. */
export const mustSealNewBytes = isEncryptedAtRest

/** The ring of a new store that encrypts everything. */
export function ringAtRest(masterKey: Uint8Array, random: Random, nowMs: number): Keyring {
  const ring = newKeyring(masterKey, random, nowMs)
  const [epoch] = ring.epochs
  const sealed = sealBytes(openEpochKey(masterKey, epoch), PURPOSE_AT_REST, random.bytes(KEY_BYTES), random)
  return { ...ring, atRest: { startedMs: nowMs, epoch: epoch.number, sealed, converting: [] } }
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
  const acceptsPlain = record.keyring?.atRest?.converting.some(({ id }) => id === deviceId)
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
  (keyring?.atRest?.converting[0] ?? devices[0])?.id

/** For what all devices hold alike, such as backups of the metadata. Throws as above. */
export function storeCipherIn(record: ControlRecord, masterKey: Uint8Array, random: Random): DeviceCipher | undefined {
  const deviceId = deviceForAll(record)
  const keys = deviceId && deviceKeysIn(record, masterKey, deviceId)
  return keys && new DeviceCipher(keys, random.fork("store cipher"))
}
