/**
 * Sealed texts: records that clients keep for the server, such as session tokens and cookies. They are sealed under a key
 * of their kind, so that clients can neither read, make nor change one, no kind passes for another, and the server stores
 * nothing.
 *
 * The calling code checks that what is behind a record still holds.
 */
import { bytesOfBase64Url } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { openBytes, sealBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { MasterKeys } from "./master-keys.js"

export interface SealedKind<Item> {
  /** The key is derived for it, and it is bound to the sealed bytes. */
  readonly purpose: string
  /** Every text begins with it: it names the kind and its version. */
  readonly beginning: string
  readonly charactersMax: number
  readonly encode: (item: Item) => Uint8Array
  /** Throws a failure for anything malformed. */
  readonly decode: (bytes: Uint8Array) => Item
}

export class SealedTexts<Item> {
  private readonly random: Random

  constructor(
    private readonly kind: SealedKind<Item>,
    private readonly masterKeys: MasterKeys,
    random: Random,
  ) {
    this.random = random.fork(`${kind.purpose}s`)
  }

  seal(item: Item): string {
    const { purpose, beginning, encode } = this.kind
    const [key] = this.masterKeys.derived(purpose)
    return beginning + Buffer.from(sealBytes(key, purpose, encode(item), this.random)).toString("base64url")
  }

  /** Returns undefined if this store did not issue the text. */
  open(text: string): Item | undefined {
    const { beginning, charactersMax, decode } = this.kind
    if (text.length > charactersMax || !text.startsWith(beginning)) return undefined
    const letters = text.slice(beginning.length)
    const sealed = bytesOfBase64Url(letters)
    const plain = sealed && this.plainOf(sealed)
    if (plain === undefined) return undefined
    try {
      return decode(plain)
    } catch (error) {
      if (isFailure(error)) return undefined
      throw error
    }
  }

  /** During a rotation of the master key, texts of the former one hold. */
  private plainOf(sealed: Uint8Array): Uint8Array | undefined {
    const { purpose } = this.kind
    for (const key of this.masterKeys.derived(purpose)) {
      const plain = openBytes(key, purpose, sealed)
      if (plain !== undefined) return plain
    }
    return undefined
  }
}
