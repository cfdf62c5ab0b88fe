/**
 * Secrets of a store: the location of the master key, the root key and the admin token, as the control record
 * stores them.
 *
 * The record contains the master key unless a file holds it, so that a lost disk cannot lock the store. With
 * the key in the record, sealing protects against secrets in a log, a dump or a row, but not against theft of
 * a disk; the docs state this.
 */
import { fail } from "../../base/failures.js"
import { parseAccessKeyId, parseAccountId } from "../../base/ids.js"
import type { AccessKeyId } from "../../base/ids.js"
import { hexOf } from "../../base/bytes.js"
import {
  randomAccessKeyId,
  randomSecret,
  MASTER_KEY_BYTES,
  openSecret,
  sealSecret,
  type RootKey,
} from "../../access/index.js"
import { packRecord, RecordReader } from "../../format/pack.js"
import type { Random } from "../../seams/random/contract.js"

export interface StoreSecrets {
  readonly masterKey: Uint8Array
  /** False: the operator's file holds it. */
  readonly keyInRecord: boolean
  readonly root: RootKey
  readonly adminToken: string
}

const ROOT_PURPOSE = "root key"
const TOKEN_PURPOSE = "admin token"

export function randomSecrets(
  random: Random,
  nowMs: number,
  fileKey: Uint8Array | undefined,
  given: { readonly accessKeyId: AccessKeyId; readonly secret: string } | undefined,
): StoreSecrets {
  return {
    masterKey: fileKey ?? random.bytes(MASTER_KEY_BYTES),
    keyInRecord: fileKey === undefined,
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
  return packRecord(1, [
    keyInRecord ? masterKey : null,
    root.accountId,
    root.accessKeyId,
    root.createdMs,
    sealSecret(masterKey, ROOT_PURPOSE, root.secret, random),
    sealSecret(masterKey, TOKEN_PURPOSE, adminToken, random),
  ])
}

/** Throws `wrongMasterKey` if the record needs the operator's file and it is missing or a different one. */
export function openSecrets(bytes: Uint8Array, fileKey: Uint8Array | undefined): StoreSecrets {
  const row = RecordReader.open("secrets", bytes, 1)
  const inRecord = row.optional(() => row.bytes())
  const masterKey = inRecord ?? fileKey
  if (!masterKey)
    throw fail("wrongMasterKey", { message: "this store's master key is in a file: pass --master-key-file" })
  const [accountId, accessKeyId, createdMs] = [parseAccountId(row.text()), parseAccessKeyId(row.text()), row.number()]
  const secret = openSecret(masterKey, ROOT_PURPOSE, row.bytes())
  const adminToken = openSecret(masterKey, TOKEN_PURPOSE, row.bytes())
  return {
    masterKey,
    keyInRecord: inRecord !== undefined,
    root: { accountId, accessKeyId, secret, createdMs },
    adminToken,
  }
}
