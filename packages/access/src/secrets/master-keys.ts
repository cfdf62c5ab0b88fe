/**
 * Master keys of a running store: the current one, under which secrets are sealed; during a rotation the former one, which
 * still opens what was sealed under it; and the next one, if the operator has given it. That opens secrets as well: another
 * node may have begun the rotation a moment ago. See decision 57.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { openBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { deriveKey, sealSecret } from "./seal.js"

type SomeKeys = readonly [Uint8Array, ...Uint8Array[]]

export class MasterKeys {
  /** The current one first. */
  private all: SomeKeys
  /** By purpose. */
  private readonly derivations = new Map<string, SomeKeys>()
  private lost: Failure | undefined

  /** `next`: of the operator. */
  constructor(
    current: Uint8Array,
    private formerKey?: Uint8Array,
    readonly next?: Uint8Array,
  ) {
    this.all = [current, ...this.further(current)]
  }

  /** Throws the reason once the store is sealed under a key that this process does not have. */
  get current(): Uint8Array {
    if (this.lost !== undefined) throw this.lost
    return this.all[0]
  }

  get former(): Uint8Array | undefined {
    return this.formerKey
  }

  /** Every key that opens secrets. */
  get openers(): SomeKeys {
    return this.all
  }

  /** Secrets are sealed under `current` from now on; `former` and the operator's next key still open them. */
  use(current: Uint8Array, former: Uint8Array | undefined): void {
    this.formerKey = former
    this.all = [current, ...this.further(current)]
    this.derivations.clear()
  }

  /** The store is sealed under another key: nothing is sealed by this process any more. */
  lose(reason: Failure): void {
    this.lost = reason
  }

  seal(purpose: string, secret: string, random: Random): Uint8Array {
    return sealSecret(this.current, purpose, secret, random)
  }

  /** Throws `wrongMasterKey` if no key opens it. */
  open(purpose: string, sealed: Uint8Array): string {
    for (const key of this.all) {
      const secret = openBytes(key, purpose, sealed)
      if (secret !== undefined) return Buffer.from(secret).toString("utf8")
    }
    throw fail("wrongMasterKey")
  }

  isSealedUnderCurrent(purpose: string, sealed: Uint8Array): boolean {
    return openBytes(this.current, purpose, sealed) !== undefined
  }

  /** Keys for one purpose: that of the current key first. */
  derived(purpose: string): SomeKeys {
    const known = this.derivations.get(purpose)
    if (known !== undefined) return known
    const [current, ...others] = this.all
    const derived: SomeKeys = [deriveKey(current, purpose), ...others.map(key => deriveKey(key, purpose))]
    this.derivations.set(purpose, derived)
    return derived
  }

  private further(current: Uint8Array): readonly Uint8Array[] {
    const { formerKey, next } = this
    const isNew = next !== undefined && !equalBytes(next, current)
    return [...(formerKey === undefined ? [] : [formerKey]), ...(isNew ? [next] : [])]
  }
}
