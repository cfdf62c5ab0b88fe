/**
 * Sealed bodies of MinIO's admin API: what a client and the server keep from others on the way, by the secret of the key that
 * has signed the request.
 *
 *   salt (32) | id of the algorithms (1) | nonce (8) | fragments of 16 KiB and their tags, the last one shorter or empty
 *
 * A fragment's nonce is that of the body and the fragment's number, from 1, as 32 bits, little-endian. Authenticated with each
 * is a byte, 0 or for the last one 0x80, and the tag of an empty fragment of number 0: so none can be left out or moved.
 *
 * Refuses   whatever was not sealed with this secret, or was changed, as `invalidRequest`.
 */
import { createCipheriv, createDecipheriv, pbkdf2 } from "node:crypto"
import { promisify } from "node:util"
import { fail } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"

const SALT_BYTES = 32
const NONCE_BYTES = 8
const HEADER_BYTES = SALT_BYTES + 1 + NONCE_BYTES
const FRAGMENT_BYTES = 16 * KIB
const TAG_BYTES = 16
const KEY_BYTES = 32
const LAST = 0x80
const PBKDF2_ROUNDS = 8_192

type Cipher = "aes-256-gcm" | "chacha20-poly1305"

interface Algorithms {
  readonly cipher: Cipher
  readonly derivation: "argon2id" | "pbkdf2"
}

/** By their id. */
const ALGORITHMS: readonly Algorithms[] = [
  { cipher: "aes-256-gcm", derivation: "argon2id" },
  { cipher: "chacha20-poly1305", derivation: "argon2id" },
  { cipher: "aes-256-gcm", derivation: "pbkdf2" },
]
/** The algorithms that all clients know. */
const USUAL = 0

/** Derives 32 bytes by Argon2id, once over 64 MiB with four lanes. Throws `tooManyInFlight`. */
export type Argon2id = (secret: string, salt: Uint8Array) => Promise<Uint8Array>

const pbkdf2Of = promisify(pbkdf2)

const keyOf = ({ derivation }: Algorithms, secret: string, salt: Uint8Array, argon2id: Argon2id): Promise<Uint8Array> =>
  derivation === "argon2id" ? argon2id(secret, salt) : pbkdf2Of(secret, salt, PBKDF2_ROUNDS, KEY_BYTES, "sha256")

/** One body under its key. */
class Fragments {
  /** Bytes that are authenticated with each fragment. */
  private readonly associated = Buffer.alloc(1 + TAG_BYTES)

  constructor(
    private readonly cipher: Cipher,
    private readonly key: Uint8Array,
    private readonly nonce: Uint8Array,
  ) {
    const empty = this.sealing(0)
    empty.final()
    this.associated.set(empty.getAuthTag(), 1)
  }

  seal(plain: Uint8Array, number: number, isLast: boolean): readonly Uint8Array[] {
    const sealing = this.sealing(number).setAAD(this.with(isLast), { plaintextLength: plain.length })
    return [sealing.update(plain), sealing.final(), sealing.getAuthTag()]
  }

  /** Throws an error of the cipher. */
  open(sealed: Uint8Array, number: number, isLast: boolean): readonly Uint8Array[] {
    const end = sealed.length - TAG_BYTES
    const opening =
      this.cipher === "aes-256-gcm"
        ? createDecipheriv(this.cipher, this.key, this.nonceOf(number))
        : createDecipheriv(this.cipher, this.key, this.nonceOf(number), { authTagLength: TAG_BYTES })
    opening.setAAD(this.with(isLast), { plaintextLength: end })
    opening.setAuthTag(sealed.subarray(end))
    return [opening.update(sealed.subarray(0, end)), opening.final()]
  }

  private sealing(number: number) {
    return this.cipher === "aes-256-gcm"
      ? createCipheriv(this.cipher, this.key, this.nonceOf(number))
      : createCipheriv(this.cipher, this.key, this.nonceOf(number), { authTagLength: TAG_BYTES })
  }

  private with(isLast: boolean): Uint8Array {
    this.associated[0] = isLast ? LAST : 0
    return this.associated
  }

  private nonceOf(number: number): Uint8Array {
    const nonce = Buffer.alloc(NONCE_BYTES + 4)
    nonce.set(this.nonce)
    nonce.writeUInt32LE(number, NONCE_BYTES)
    return nonce
  }
}

const NOT_SEALED = "the body is not sealed with the secret of the key that has signed the request"

/** Opens a body. Throws `invalidRequest`, `tooManyInFlight`. */
export async function openSealed(sealed: Uint8Array, secret: string, argon2id: Argon2id): Promise<Uint8Array> {
  const algorithms = ALGORITHMS[sealed[SALT_BYTES] ?? ALGORITHMS.length]
  if (sealed.length < HEADER_BYTES + TAG_BYTES || algorithms === undefined)
    throw fail("invalidRequest", { message: NOT_SEALED })
  const key = await keyOf(algorithms, secret, sealed.subarray(0, SALT_BYTES), argon2id)
  const fragments = new Fragments(algorithms.cipher, key, sealed.subarray(SALT_BYTES + 1, HEADER_BYTES))
  const plain: Uint8Array[] = []
  try {
    for (let at = HEADER_BYTES, number = 1; at < sealed.length; number += 1) {
      const end = Math.min(at + FRAGMENT_BYTES + TAG_BYTES, sealed.length)
      for (const piece of fragments.open(sealed.subarray(at, end), number, end === sealed.length)) plain.push(piece)
      at = end
    }
  } catch {
    throw fail("invalidRequest", { message: NOT_SEALED })
  }
  return Buffer.concat(plain)
}

/** The random bytes of a body. */
interface SealedStart {
  readonly salt: Uint8Array
  readonly nonce: Uint8Array
}

export const SEALED_START = { saltBytes: SALT_BYTES, nonceBytes: NONCE_BYTES } as const

/** Seals a body. Throws `tooManyInFlight`. */
export async function sealed(
  plain: Uint8Array,
  secret: string,
  { salt, nonce }: SealedStart,
  argon2id: Argon2id,
  id: number = USUAL,
): Promise<Uint8Array> {
  const algorithms = ALGORITHMS[id]
  if (algorithms === undefined) throw fail("invalidArgument", { message: `no algorithms have the id ${id}` })
  const fragments = new Fragments(algorithms.cipher, await keyOf(algorithms, secret, salt, argon2id), nonce)
  const pieces: Uint8Array[] = [salt, Uint8Array.of(id), nonce]
  for (let at = 0, number = 1; ; number += 1) {
    const end = Math.min(at + FRAGMENT_BYTES, plain.length)
    const isLast = end === plain.length
    for (const piece of fragments.seal(plain.subarray(at, end), number, isLast)) pieces.push(piece)
    if (isLast) return Buffer.concat(pieces)
    at = end
  }
}
