/**
 * Built-in provider: named keys whose materials are in the control record. See decision 57, "Ciphertext".
 *
 * Version (1, always 1), key id (16), version of the material (4, big-endian), salt (16), ciphertext, tag (16). The key
 * of a message is `H(material, "message", salt)`, so the nonce is zero and the number of messages has no limit. The
 * additional data is the encryption context.
 *
 * Promises  Each message has a key of its own. Ciphertexts of earlier materials open until the key is deleted, and those
 *           of later ones even if the database has lost the rotation.
 */
import { GCM_NONCE_BYTES, GCM_TAG_BYTES, openGcm, sealGcm } from "@hayloft/base/encryption/aes-gcm.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { derive } from "@hayloft/base/encryption/derive-key.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { KmsKeyId } from "@hayloft/base/ids.js"
import { after, recover, type Soon } from "@hayloft/base/soon.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { BUILT_IN_FORMAT, bytesOfKeyId, KEY_ID_BYTES } from "./ciphertext.js"
import { bytesOfContext, type EncryptionContext } from "./encryption-context.js"
import type { DataKey, KeyProvider, ProviderKey } from "./provider.js"

/** The bytes of named keys, in the control record. */
export interface KeyMaterials {
  /** 32 bytes. Throws `keysUnavailable` if the control record does not have the material. */
  get(keyId: KmsKeyId, version: number): Soon<Uint8Array>
  /**
   * Makes the material, or takes that of another store, unless it is there already. Half of the devices have it when this
   * resolves.
   */
  add(keyId: KmsKeyId, version: number, material?: Uint8Array): Promise<void>
  /** Removes all materials of a key from every device. */
  remove(keyId: KmsKeyId): Promise<void>
  /** The keys that have materials. */
  all(): readonly KeyWithMaterials[]
}

export interface KeyWithMaterials {
  readonly keyId: KmsKeyId
  /** In their order. */
  readonly versions: readonly { readonly version: number; readonly createdMs: number }[]
}

const [VERSION_BYTES, SALT_BYTES] = [4, 16]
const HEADER_BYTES = 1 + KEY_ID_BYTES + VERSION_BYTES + SALT_BYTES
const DATA_KEY_BYTES = 32
const NONCE = new Uint8Array(GCM_NONCE_BYTES)

export class BuiltInProvider implements KeyProvider {
  constructor(
    private readonly materials: Pick<KeyMaterials, "get">,
    private readonly random: Pick<Random, "bytes">,
  ) {}

  newDataKey(key: ProviderKey, context: EncryptionContext): Soon<DataKey> {
    const plain = this.random.bytes(DATA_KEY_BYTES)
    return after(this.seal(key, plain, context), ciphertext => ({ plain, ciphertext }))
  }

  /** A message under the present material. */
  seal({ id, version }: ProviderKey, plain: Uint8Array, context: EncryptionContext): Soon<Uint8Array> {
    const salt = this.random.bytes(SALT_BYTES)
    const header = Buffer.alloc(HEADER_BYTES)
    header[0] = BUILT_IN_FORMAT
    header.set(bytesOfKeyId(id), 1)
    header.writeUInt32BE(version, 1 + KEY_ID_BYTES)
    header.set(salt, HEADER_BYTES - SALT_BYTES)
    return after(this.keyOf(id, version, salt), key => {
      const { sealed, tag } = sealGcm(plain, { key, nonce: NONCE, aad: bytesOfContext(context) })
      return Buffer.concat([header, sealed, tag])
    })
  }

  open({ id, version }: ProviderKey, ciphertext: Uint8Array, context: EncryptionContext): Soon<Uint8Array> {
    const bytes = Buffer.from(ciphertext.buffer, ciphertext.byteOffset, ciphertext.byteLength)
    const isOfKey = bytes.length >= HEADER_BYTES + GCM_TAG_BYTES && bytes[0] === BUILT_IN_FORMAT
    if (!isOfKey || !equalBytes(bytes.subarray(1, 1 + KEY_ID_BYTES), bytesOfKeyId(id))) throw invalid()
    const sealedBy = bytes.readUInt32BE(1 + KEY_ID_BYTES)
    if (sealedBy < 1) throw invalid()
    const salt = bytes.subarray(HEADER_BYTES - SALT_BYTES, HEADER_BYTES)
    const found = recover(
      () => this.keyOf(id, sealedBy, salt),
      error => {
        // The row may have lost a rotation, so the materials decide. A version that neither of them knows was never made.
        throw sealedBy > version && isFailure(error, "keysUnavailable") ? invalid() : error
      },
    )
    return after(found, key => openMessage(key, bytes.subarray(HEADER_BYTES), context))
  }

  private keyOf(id: KmsKeyId, version: number, salt: Uint8Array): Soon<Uint8Array> {
    return after(this.materials.get(id, version), material => derive(material, "message", salt))
  }
}

function openMessage(key: Uint8Array, bytes: Uint8Array, context: EncryptionContext): Uint8Array {
  const tagAt = bytes.length - GCM_TAG_BYTES
  const gcm = { key, nonce: NONCE, aad: bytesOfContext(context) }
  const plain = openGcm(bytes.subarray(0, tagAt), bytes.subarray(tagAt), gcm)
  if (plain === undefined) throw invalid()
  return plain
}

const invalid = (): Failure => fail("invalidCiphertext")
