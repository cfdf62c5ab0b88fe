/**
 * Row cipher: the keys under which a store with `--encrypt-at-rest` encrypts its rows in a database. See decision 56,
 * "At rest". The same for all nodes of a store.
 *
 * Promises  No nonce is used twice under one key. Nonces are random, and a key is that of the rows of 2^20 versions next
 *           to each other: fewer than 2^32 rows, the number up to which NIST SP 800-38D, section 8.3, allows random ones.
 * Limits    KEYS_MAX keys in memory; a further one takes the place of the one that was made first.
 */
import { createSecretKey, type KeyObject } from "node:crypto"
import { keepLatest } from "../keep-latest.js"
import { GCM_NONCE_BYTES } from "./aes-gcm.js"
import { derive } from "./derive-key.js"

/** A commit has one version, at most 128 commands, and few rows for each. */
const VERSION_BITS_OF_KEY = 20n
const KEYS_MAX = 1_024

interface RandomBytes {
  bytes(count: number): Uint8Array
}

export const rowsKeyOf = (atRestKey: Uint8Array): Uint8Array => derive(atRestKey, "rows")

export class RowCipher {
  private readonly rowsKey: KeyObject
  private readonly keys = new Map<bigint, KeyObject>()

  constructor(
    rowsKey: Uint8Array,
    private readonly random: RandomBytes,
  ) {
    this.rowsKey = createSecretKey(rowsKey)
  }

  nonce(): Uint8Array {
    return this.random.bytes(GCM_NONCE_BYTES)
  }

  /** Returns the key of the rows with this version, and its neighbours. */
  keyOf(version: bigint): KeyObject {
    const group = version >> VERSION_BITS_OF_KEY
    const known = this.keys.get(group)
    if (known !== undefined) return known
    const number = Buffer.alloc(8)
    number.writeBigInt64BE(group)
    const key = createSecretKey(derive(this.rowsKey, "versions", number))
    keepLatest(this.keys, group, key, KEYS_MAX)
    return key
  }
}
