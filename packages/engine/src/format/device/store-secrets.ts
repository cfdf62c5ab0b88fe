/**
 * Secrets of a store, as its control record has them.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { BYTES, NUMBER, optional, record } from "../encoding/fields.js"
import { ACCESS_KEY_ID, ACCOUNT_ID } from "../encoding/id-fields.js"

const SECRETS = record("secrets", {
  /** It is undefined if the operator has it in a file. */
  masterKey: optional(BYTES),
  /** The root key: its account and id, when it was made, and its secret, sealed. */
  accountId: ACCOUNT_ID,
  accessKeyId: ACCESS_KEY_ID,
  createdMs: NUMBER,
  rootSecret: BYTES,
  /** The token of the admin API, sealed. */
  adminToken: BYTES,
})
export const { encode: encodeStoreSecrets, decode: decodeStoreSecrets } = SECRETS
