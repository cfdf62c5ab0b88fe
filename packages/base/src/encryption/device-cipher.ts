/**
 * Device cipher: encrypts what a device of a store with `--encrypt-at-rest` holds besides bodies: its log, its tables,
 * and the names in its needles. See decision 56, "At rest". A store without that has none, and writes version 1 of each
 * format.
 *
 * Promises  No nonce is used twice under one key. Log batches, manifests and needle headers draw random ones, under keys
 *           of one segment, one device, and one needle. The blocks of a table use their offsets, under a key with
 *           a random salt: a file that gets the number of a lost one has another key.
 *           What is written is encrypted. What is read must be, too, unless `acceptsPlain`: another program that writes to
 *           the disk could put plain files in its place.
 */
import { createSecretKey, type KeyObject } from "node:crypto"
import { GCM_NONCE_BYTES } from "./aes-gcm.js"
import { derive } from "./derive-key.js"
import { fail, type Failure } from "../failures.js"
import type { DeviceId } from "../ids.js"

/** Plain values, which can be sent to a thread. */
export interface DeviceKeys {
  readonly device: Uint8Array
  /** The same on all devices: needles move between them. */
  readonly names: Uint8Array
  /** The device was there before everything was encrypted: files on it may still be plain. */
  readonly acceptsPlain: boolean
}

export const deviceKeysOf = (atRestKey: Uint8Array, deviceId: DeviceId, acceptsPlain = false): DeviceKeys => ({
  device: derive(atRestKey, "device", Buffer.from(deviceId, "hex")),
  names: derive(atRestKey, "names"),
  acceptsPlain,
})

const SALT_BYTES = 16

interface RandomBytes {
  bytes(count: number): Uint8Array
}

export class DeviceCipher {
  /** The key of manifests. */
  readonly manifestKey: KeyObject
  /** See `DeviceKeys`. */
  readonly acceptsPlain: boolean
  private readonly deviceKey: KeyObject
  private readonly namesKey: KeyObject
  private logged: { readonly segment: number; readonly key: KeyObject } | undefined

  constructor(
    { device, names, acceptsPlain }: DeviceKeys,
    private readonly random: RandomBytes,
  ) {
    this.acceptsPlain = acceptsPlain
    this.deviceKey = createSecretKey(device)
    this.namesKey = createSecretKey(names)
    this.manifestKey = createSecretKey(derive(this.deviceKey, "manifest"))
  }

  nonce(): Uint8Array {
    return this.random.bytes(GCM_NONCE_BYTES)
  }

  salt(): Uint8Array {
    return this.random.bytes(SALT_BYTES)
  }

  /** The batches of a segment are written and read one after another: its key is remembered. */
  logKey(segment: number): KeyObject {
    if (this.logged?.segment !== segment) {
      this.logged = { segment, key: createSecretKey(derive(this.deviceKey, "log", uint32(segment))) }
    }
    return this.logged.key
  }

  tableKey(fileNumber: number, salt: Uint8Array): KeyObject {
    return createSecretKey(derive(this.deviceKey, "table", uint64(fileNumber), salt))
  }

  /** The key of the chunks of metadata backups, which any device may hold. */
  get backupKey(): Uint8Array {
    return derive(this.namesKey, "backup")
  }

  /** Returns the key of one needle: `id` are the bytes that name it in its header. */
  headerKey(id: Uint8Array): Uint8Array {
    return derive(this.namesKey, "header", id)
  }
}

/** Returns true if plain bytes are damage. */
export const refusesPlain = (cipher: DeviceCipher | undefined): boolean => cipher?.acceptsPlain === false

/** Sealed bytes, met where no key is known: without the master key, or where the control record cannot be read. */
export const noCipher = (what: string): Failure =>
  fail("wrongMasterKey", {
    message: `${what} is encrypted, and no key for it is known: a readable control record and --master-key-file open it`,
  })

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
