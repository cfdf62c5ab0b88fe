/**
 * Key ring: the keys that protect objects, each sealed, as a member of the control record. See decision 57.
 *
 * Every key has 32 bytes and is sealed by AES-256-GCM: nonce (12), ciphertext (32), tag (16).
 *
 * Refuses   Anything malformed, and a key whose sealing key is not in the ring, with `corruptRecord`.
 */
import { must } from "../base/assert.js"
import { bytesOfHex, hexOf } from "../base/bytes.js"
import { fail, type Failure } from "../base/failures.js"
import { parseDeviceId, parseIncarnation, type DeviceId, type Incarnation } from "../base/ids.js"
import { DEVICES_MAX } from "../base/limits.js"
import { packRecord, RecordReader } from "./pack.js"

/** Random; made with the first sealed object; an erasure makes another. */
interface EpochKey {
  readonly number: number
  readonly createdMs: number
  /** Under the master key, for the purpose "epoch key N". */
  readonly sealed: Uint8Array
}

/** The bytes of a version of a named key. */
interface KeyMaterial {
  /** 16 bytes. */
  readonly keyId: Uint8Array
  readonly version: number
  readonly createdMs: number
  readonly epoch: number
  /** Under the epoch's key, for the purpose "kms KEYID VERSION". */
  readonly sealed: Uint8Array
}

/** A device that was part of the store before everything was encrypted: files on it may still be plain. */
interface ConvertingDevice {
  readonly id: DeviceId
  /**
   * No object of the store is plain any more; bytes of former ones may be in needle and payload volumes up to these. 0:
   * nothing on the device is plain. Undefined: objects are still being encrypted, or the device has been away since.
   */
  readonly emptyUpTo: { readonly needles: number; readonly payloads: number } | undefined
}

/** The key under which everything on the devices is encrypted. */
interface AtRest {
  /** Since then every new byte is encrypted. */
  readonly startedMs: number
  readonly epoch: number
  /** Under the epoch's key, for the purpose "at rest". */
  readonly sealed: Uint8Array
  /** Empty: nothing in the store is plain. */
  readonly converting: readonly ConvertingDevice[]
  /** While it is not empty: the process that began to encrypt. Its uploads, and those of later ones, have no plain bytes. */
  readonly firstIncarnation: Incarnation | undefined
}

export interface Keyring {
  /** Which master key seals this record: 1, 2, 3 … */
  readonly masterKeyNumber: number
  /** During a rotation: the former master key under the current one, for the purpose "master key N". */
  readonly previous: { readonly number: number; readonly sinceMs: number; readonly sealed: Uint8Array } | undefined
  /** Normally one: an erasure makes a second, and drops the first. */
  readonly epochs: readonly EpochKey[]
  /** Present if the store encrypts everything. */
  readonly atRest: AtRest | undefined
  readonly materials: readonly KeyMaterial[]
}

const SEALED_KEY_BYTES = 12 + 32 + 16
const KEY_ID_BYTES = 16
const DEVICE_ID_BYTES = 8
export const EPOCH_KEYS_MAX = 16
/** Bounds the record: they take 100 KiB. */
export const KEY_MATERIALS_MAX = 1024

export const encodeKeyring = ({ masterKeyNumber, previous, epochs, atRest, materials }: Keyring): Uint8Array =>
  packRecord(1, [
    masterKeyNumber,
    previous ? [previous.number, previous.sinceMs, previous.sealed] : null,
    epochs.map(({ number, createdMs, sealed }) => [number, createdMs, sealed]),
    atRest ? packAtRest(atRest) : null,
    materials.map(({ keyId, version, createdMs, epoch, sealed }) => [keyId, version, createdMs, epoch, sealed]),
  ])

/** The list is absent if it is empty, with the incarnation. */
const packAtRest = ({ startedMs, epoch, sealed, converting, firstIncarnation }: AtRest): readonly unknown[] => [
  ...[startedMs, epoch, sealed],
  ...(converting.length === 0 ? [] : [converting.map(packConverting), firstIncarnation ?? null]),
]

const packConverting = ({ id, emptyUpTo }: ConvertingDevice): readonly unknown[] => [
  must(bytesOfHex(id), "a device id is hex"),
  emptyUpTo ? [emptyUpTo.needles, emptyUpTo.payloads] : null,
]

export function decodeKeyring(bytes: Uint8Array): Keyring {
  const row = RecordReader.open("key ring", bytes, 1)
  return checkWhole({
    masterKeyNumber: whole(row, 1),
    previous: row.optional(() => {
      const members = row.row()
      return { number: whole(members, 1), sinceMs: whole(members), sealed: bytesOf(members, SEALED_KEY_BYTES) }
    }),
    epochs: row.rows(epoch => ({
      ...{ number: whole(epoch, 1), createdMs: whole(epoch), sealed: bytesOf(epoch, SEALED_KEY_BYTES) },
    })),
    atRest: row.optional(() => {
      const members = row.row()
      const key = { startedMs: whole(members), epoch: whole(members, 1), sealed: bytesOf(members, SEALED_KEY_BYTES) }
      return {
        ...{ ...key, converting: members.optional(() => members.rows(convertingIn)) ?? [] },
        firstIncarnation: members.optional(() => parseIncarnation(members.number())),
      }
    }),
    materials: row.rows(material => ({
      ...{ keyId: bytesOf(material, KEY_ID_BYTES), version: whole(material, 1), createdMs: whole(material) },
      ...{ epoch: whole(material, 1), sealed: bytesOf(material, SEALED_KEY_BYTES) },
    })),
  })
}

const convertingIn = (device: RecordReader): ConvertingDevice => ({
  id: parseDeviceId(hexOf(bytesOf(device, DEVICE_ID_BYTES))),
  emptyUpTo: device.optional(() => {
    const upTo = device.row()
    return { needles: whole(upTo), payloads: whole(upTo) }
  }),
})

/** Checks the invariants between members. */
function checkWhole(ring: Keyring): Keyring {
  const { masterKeyNumber, previous, epochs, atRest, materials } = ring
  const numbers = new Set(epochs.map(({ number }) => number))
  if (numbers.size !== epochs.length || epochs.length === 0 || epochs.length > EPOCH_KEYS_MAX) throw corrupt("epochs")
  if (previous !== undefined && previous.number !== masterKeyNumber - 1) throw corrupt("previous")
  if (atRest !== undefined && !numbers.has(atRest.epoch)) throw corrupt("atRest")
  const converting = atRest?.converting ?? []
  const devices = new Set(converting.map(({ id }) => id))
  if (devices.size !== converting.length || devices.size > DEVICES_MAX) throw corrupt("converting")
  const names = new Set(materials.map(({ keyId, version }) => `${hexOf(keyId)} ${version}`))
  const areWhole = names.size === materials.length && materials.length <= KEY_MATERIALS_MAX
  if (!areWhole || materials.some(({ epoch }) => !numbers.has(epoch))) throw corrupt("materials")
  return ring
}

function whole(row: RecordReader, min = 0): number {
  const value = row.number()
  if (!Number.isSafeInteger(value) || value < min) throw corrupt("number")
  return value
}

function bytesOf(row: RecordReader, length: number): Uint8Array {
  const bytes = row.bytes()
  if (bytes.length !== length) throw corrupt("bytes")
  // The ring outlives the file that it was read from.
  return Uint8Array.from(bytes)
}

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "key ring", field })
