/**
 * Key ring: the keys that protect objects, each sealed, as a member of the control record. See decision 57.
 *
 * Every key has 32 bytes and is sealed by AES-256-GCM: nonce (12), ciphertext (32), tag (16).
 *
 * Refuses   Anything malformed, and a key whose sealing key is not in the ring, with `corruptRecord`.
 */
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import { bytesOfLength, flat, group, mapped, optional, record, row, rowsOf, tail, whole } from "../encoding/fields.js"
import type { ValueOf } from "../encoding/fields.js"
import { INCARNATION } from "../encoding/id-fields.js"

export const EPOCH_KEYS_MAX = 16
/** Bounds the record: they take 100 KiB. */
export const KEY_MATERIALS_MAX = 1024

const [SEALED_KEY_BYTES, KEY_ID_BYTES, DEVICE_ID_BYTES] = [12 + 32 + 16, 16, 8]
const SEALED = bytesOfLength(SEALED_KEY_BYTES)
const DEVICE = mapped(
  bytesOfLength(DEVICE_ID_BYTES),
  bytes => parseDeviceId(hexOf(bytes)),
  (id): Uint8Array => must(bytesOfHex(id), "a device id is hex"),
)

/** Random; made with the first sealed object; an erasure makes another. */
const EPOCH_KEYS = rowsOf({
  number: whole(1),
  createdMs: whole(),
  /** Under the master key, for the purpose "epoch key N". */
  sealed: SEALED,
})

/** The bytes of a version of a named key. */
const MATERIALS = rowsOf({
  keyId: bytesOfLength(KEY_ID_BYTES),
  version: whole(1),
  createdMs: whole(),
  epoch: whole(1),
  /** Under the epoch's key, for the purpose "kms KEYID VERSION". */
  sealed: SEALED,
})

/** Devices that were part of the store before everything was encrypted: files on them may still be plain. */
const CONVERTING = rowsOf({
  id: DEVICE,
  /**
   * No object of the store is plain any more; bytes of former ones may be in needle and payload volumes up to these. 0:
   * nothing on the device is plain. Undefined: objects are still being encrypted, or the device has been away since.
   */
  emptyUpTo: optional(row({ needles: whole(), payloads: whole() })),
})

/** Devices that are converted; nothing is written if there are none. */
const CONVERSION = mapped(
  tail(
    group({
      /** Empty: nothing in the store is plain. */
      converting: CONVERTING,
      /** While it is not empty: the process that began to encrypt. Its uploads, and those of later ones, have no plain bytes. */
      firstIncarnation: optional(INCARNATION),
    }),
  ),
  conversion => conversion ?? { converting: [], firstIncarnation: undefined },
  conversion => (conversion.converting.length === 0 ? undefined : conversion),
)

/** The key under which everything on the devices is encrypted. */
const AT_REST = row({
  /** Since then every new byte is encrypted. */
  startedMs: whole(),
  epoch: whole(1),
  /** Under the epoch's key, for the purpose "at rest". */
  sealed: SEALED,
  conversion: flat(CONVERSION),
})

const KEYRING = record(
  "key ring",
  {
    /** Which master key seals this record: 1, 2, 3 … */
    masterKeyNumber: whole(1),
    /** During a rotation: the former master key under the current one, for the purpose "master key N". */
    previous: optional(row({ number: whole(1), sinceMs: whole(), sealed: SEALED })),
    /** Normally one: an erasure makes a second, and drops the first. */
    epochs: EPOCH_KEYS,
    /** Present if the store encrypts everything. */
    atRest: optional(AT_REST),
    materials: MATERIALS,
  },
  { check: ring => checkWhole(ring) },
)
export type KeyringRecord = ValueOf<typeof KEYRING>
export const { encode: encodeKeyring, decode: decodeKeyring } = KEYRING

/** Checks the invariants between members. */
function checkWhole(ring: KeyringRecord): void {
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
}

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "key ring", field })
