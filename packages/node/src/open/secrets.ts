/**
 * Secrets of a store: the location of the master key, the root key and the admin token, as the control record
 * stores them.
 *
 * The record contains the master key unless a file holds it, so that a lost disk cannot lock the store. With
 * the key in the record, sealing protects against secrets in a log, a dump or a row, but not against theft of
 * a disk; the docs state this.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseAccountId } from "@hayloft/base/ids.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import { equalBytes, hexOf } from "@hayloft/base/bytes.js"
import {
  randomAccessKeyId,
  randomSecret,
  MASTER_KEY_BYTES,
  openSecret,
  sealSecret,
  type RootKey,
} from "@hayloft/access/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { KeyringRecord } from "@hayloft/engine/format/device/keyring.js"
import { openBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import { decodeStoreSecrets, encodeStoreSecrets } from "@hayloft/engine/format/device/store-secrets.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

/** The master keys of the operator. */
export interface MasterKeyFiles {
  readonly current: Uint8Array | undefined
  /** The next rotation takes it; after the rotation it opens the store as well. */
  readonly next?: Uint8Array | undefined
}

/** The master keys of a process that runs. */
interface KnownMasterKeys extends MasterKeyFiles {
  /** A record from before the rotation may return with a database that was rolled back. */
  readonly former?: Uint8Array | undefined
}

export interface StoreSecrets {
  readonly masterKey: Uint8Array
  /** During a rotation: the key before, which still opens access keys and session tokens. */
  readonly formerKey?: Uint8Array | undefined
  /** The operator's next key; not in use yet. */
  readonly nextKey?: Uint8Array | undefined
  /** False: the operator's file holds it. */
  readonly keyInRecord: boolean
  readonly root: RootKey
  /** The operator has set another root key than the store had until this start. */
  readonly isRootKeyReplaced?: true
  readonly adminToken: string
}

const ROOT_PURPOSE = "root key"
const TOKEN_PURPOSE = "admin token"

export function randomSecrets(
  random: Random,
  nowMs: number,
  { current: fileKey, next: nextKey }: MasterKeyFiles,
  given: { readonly accessKeyId: AccessKeyId; readonly secret: string } | undefined,
): StoreSecrets {
  return {
    masterKey: fileKey ?? random.bytes(MASTER_KEY_BYTES),
    keyInRecord: fileKey === undefined,
    nextKey,
    root: {
      accountId: parseAccountId(hexOf(random.bytes(32))),
      accessKeyId: given?.accessKeyId ?? randomAccessKeyId(random),
      secret: given?.secret ?? randomSecret(random),
      createdMs: nowMs,
    },
    adminToken: randomSecret(random),
  }
}

export function sealSecrets({ masterKey, keyInRecord, root, adminToken }: StoreSecrets, random: Random): Uint8Array {
  const { accountId, accessKeyId, createdMs, secret } = root
  return encodeStoreSecrets({
    masterKey: keyInRecord ? masterKey : undefined,
    accountId,
    accessKeyId,
    createdMs,
    rootSecret: sealSecret(masterKey, ROOT_PURPOSE, secret, random),
    adminToken: sealSecret(masterKey, TOKEN_PURPOSE, adminToken, random),
  })
}

export const purposeOfMasterKey = (number: number): string => `master key ${number}`

/** Throws `wrongMasterKey` if the record needs the operator's file and it is missing or a different one. */
export function openSecrets(
  { secrets, keyring }: Pick<ControlRecord, "secrets" | "keyring">,
  { current: file, next, former }: KnownMasterKeys,
): StoreSecrets {
  const { masterKey: inRecord, rootSecret, adminToken, ...root } = decodeStoreSecrets(secrets)
  const candidates = (inRecord ? [inRecord] : [file, next, former]).filter(key => key !== undefined)
  if (candidates.length === 0)
    throw fail("wrongMasterKey", { message: "this store's master key is in a file: pass --master-key-file" })
  const masterKey = candidates.find(key => openBytes(key, ROOT_PURPOSE, rootSecret) !== undefined)
  if (masterKey === undefined) throw wrongKey(keyring)
  return {
    masterKey,
    formerKey: keyring && formerIn(keyring, masterKey),
    nextKey: next && !equalBytes(next, masterKey) ? next : undefined,
    keyInRecord: inRecord !== undefined,
    root: { ...root, secret: openSecret(masterKey, ROOT_PURPOSE, rootSecret) },
    adminToken: openSecret(masterKey, TOKEN_PURPOSE, adminToken),
  }
}

function wrongKey(keyring: KeyringRecord | undefined): Failure {
  const number = keyring?.masterKeyNumber ?? 1
  const restored = "folders or a database that were restored from before a rotation need the file from before it, too"
  if (number === 1) return fail("wrongMasterKey", { message: `the master key does not match this store; ${restored}` })
  return fail("wrongMasterKey", {
    message: `the store is sealed under master key ${number}, and the file holds another one, perhaps master key ${number - 1}: pass the file of the last rotation as --master-key-file; ${restored}`,
  })
}

function formerIn({ previous }: KeyringRecord, masterKey: Uint8Array): Uint8Array | undefined {
  if (previous === undefined) return undefined
  const former = openBytes(masterKey, purposeOfMasterKey(previous.number), previous.sealed)
  if (former === undefined) throw fail("corruptRecord", { what: "key ring", field: "previous" })
  return former
}
