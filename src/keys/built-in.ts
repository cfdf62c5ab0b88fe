/**
 * Built-in provider: named keys whose materials are in the control record. See decision 57, "Ciphertext".
 *
 * Version (1, always 1), key id (16), version of the material (4, big-endian), salt (16), ciphertext, tag (16). The key
 * of a message is `H(material, "message", salt)`, so the nonce is zero and the number of messages has no limit. The
 * additional data is the encryption context.
 *
 * Promises  Each message has a key of its own. Ciphertexts of earlier materials open until the key is deleted.
 */
import { createCipheriv, createDecipheriv } from "node:crypto"
import { must } from "../base/assert.js"
import { bytesOfHex, equalBytes, hexOf } from "../base/bytes.js"
import { fail, type Failure } from "../base/failures.js"
import { parseKmsKeyId, type KmsKeyId } from "../base/ids.js"
import type { Random } from "../seams/random/contract.js"
import { derive } from "./derive.js"
import { bytesOfContext, type EncryptionContext } from "./encryption-context.js"
import type { DataKey, KeyProvider, ProviderKey } from "./provider.js"

/** The bytes of named keys, in the control record. */
export interface KeyMaterials {
  /** 32 bytes. Throws `keysUnavailable` if this process does not know the material. */
  get(keyId: KmsKeyId, version: number): Uint8Array
  /** Makes the material, unless it is there already. Half of the devices have it when this resolves. */
  add(keyId: KmsKeyId, version: number): Promise<void>
  /** Removes all materials of a key from every device. */
  remove(keyId: KmsKeyId): Promise<void>
  /** The keys that have materials, and when the first one was made. */
  all(): readonly { readonly keyId: KmsKeyId; readonly createdMs: number }[]
}

const FORMAT = 1
const [KEY_ID_BYTES, VERSION_BYTES, SALT_BYTES, TAG_BYTES] = [16, 4, 16, 16]
const HEADER_BYTES = 1 + KEY_ID_BYTES + VERSION_BYTES + SALT_BYTES
const DATA_KEY_BYTES = 32
const NONCE = new Uint8Array(12)

const bytesOfKeyId = (id: KmsKeyId): Uint8Array => must(bytesOfHex(id.replaceAll("-", "")), "key ids are hex")

function keyIdOfBytes(bytes: Uint8Array): KmsKeyId {
  const hex = hexOf(bytes)
  const at = [0, 8, 12, 16, 20, 32]
  return parseKmsKeyId(
    at
      .slice(1)
      .map((end, i) => hex.slice(at[i], end))
      .join("-"),
  )
}

/** The key that a ciphertext of the built-in provider names. Throws `invalidCiphertext`. */
export function keyIdOfCiphertext(ciphertext: Uint8Array): KmsKeyId {
  if (ciphertext.length < HEADER_BYTES + TAG_BYTES || ciphertext[0] !== FORMAT) throw invalid()
  return keyIdOfBytes(ciphertext.subarray(1, 1 + KEY_ID_BYTES))
}

export class BuiltInProvider implements KeyProvider {
  constructor(
    private readonly materials: Pick<KeyMaterials, "get">,
    private readonly random: Pick<Random, "bytes">,
  ) {}

  newDataKey(key: ProviderKey, context: EncryptionContext): DataKey {
    const plain = this.random.bytes(DATA_KEY_BYTES)
    return { plain, ciphertext: this.seal(key, plain, context) }
  }

  /** A message under the present material. */
  seal({ id, version }: ProviderKey, plain: Uint8Array, context: EncryptionContext): Uint8Array {
    const salt = this.random.bytes(SALT_BYTES)
    const header = Buffer.alloc(HEADER_BYTES)
    header[0] = FORMAT
    header.set(bytesOfKeyId(id), 1)
    header.writeUInt32BE(version, 1 + KEY_ID_BYTES)
    header.set(salt, HEADER_BYTES - SALT_BYTES)
    const cipher = createCipheriv("aes-256-gcm", this.keyOf(id, version, salt), NONCE)
    cipher.setAAD(bytesOfContext(context))
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()])
    return Buffer.concat([header, sealed, cipher.getAuthTag()])
  }

  open({ id, version }: ProviderKey, ciphertext: Uint8Array, context: EncryptionContext): Uint8Array {
    const bytes = Buffer.from(ciphertext.buffer, ciphertext.byteOffset, ciphertext.byteLength)
    const isOfKey = bytes.length >= HEADER_BYTES + TAG_BYTES && bytes[0] === FORMAT
    if (!isOfKey || !equalBytes(bytes.subarray(1, 1 + KEY_ID_BYTES), bytesOfKeyId(id))) throw invalid()
    const sealedBy = bytes.readUInt32BE(1 + KEY_ID_BYTES)
    if (sealedBy < 1 || sealedBy > version) throw invalid()
    const salt = bytes.subarray(HEADER_BYTES - SALT_BYTES, HEADER_BYTES)
    const decipher = createDecipheriv("aes-256-gcm", this.keyOf(id, sealedBy, salt), NONCE)
    decipher.setAAD(bytesOfContext(context)).setAuthTag(bytes.subarray(bytes.length - TAG_BYTES))
    const plain = decipher.update(bytes.subarray(HEADER_BYTES, bytes.length - TAG_BYTES))
    try {
      return Buffer.concat([plain, decipher.final()])
    } catch {
      throw invalid()
    }
  }

  rewrap(key: ProviderKey, ciphertext: Uint8Array, context: EncryptionContext): Uint8Array {
    return this.seal(key, this.open(key, ciphertext, context), context)
  }

  private keyOf(id: KmsKeyId, version: number, salt: Uint8Array): Uint8Array {
    return derive(this.materials.get(id, version), "message", salt)
  }
}

const invalid = (): Failure => fail("invalidCiphertext")
