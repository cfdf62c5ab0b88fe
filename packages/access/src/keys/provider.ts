/**
 * Providers of named keys: they make data keys and open their ciphertexts. The built-in one has its materials in the
 * control record; Vault and AWS KMS keep theirs.
 *
 * Promises  A ciphertext opens only with the key and the context that it was made with.
 *           Every method throws `keyServiceUnavailable` if the provider does not respond in time or refuses the
 *           credentials of this store, `noSuchKmsKey`, `kmsKeyDisabled` and `kmsKeyState` as the provider says, and
 *           `invalidCiphertext` for anything that it did not make with this key and context.
 */
import type { KmsKeyId } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { EncryptionContext } from "./encryption-context.js"

/** A key as its provider knows it. */
export interface ProviderKey {
  readonly id: KmsKeyId
  /** Its name in Vault, its ARN in AWS; the id of a built-in key. */
  readonly name: string
  /** The material by which a built-in key seals; other providers know their own versions, and this is 1. */
  readonly version: number
}

export interface DataKey {
  /** 32 bytes. */
  readonly plain: Uint8Array
  readonly ciphertext: Uint8Array
}

export interface KeyProvider {
  newDataKey(key: ProviderKey, context: EncryptionContext): Soon<DataKey>
  /** Returns the content of a ciphertext: 32 bytes if `newDataKey` made it. */
  open(key: ProviderKey, ciphertext: Uint8Array, context: EncryptionContext): Soon<Uint8Array>
}
