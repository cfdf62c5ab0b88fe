/**
 * Master keys of a running store: the current one, under which secrets are sealed, and during a rotation the former one,
 * which still opens what was sealed under it. See decision 57.
 */
import { fail } from "../base/failures.js"
import { openBytes } from "../format/sealed-bytes.js"
import type { Random } from "../seams/random/contract.js"
import { deriveKey, sealSecret } from "./seal.js"

type SomeKeys = readonly [Uint8Array, ...Uint8Array[]]

export class MasterKeys {
  /** The current one first. */
  private all: SomeKeys
  /** By purpose. */
  private readonly derivations = new Map<string, SomeKeys>()

  constructor(current: Uint8Array, former?: Uint8Array) {
    this.all = former === undefined ? [current] : [current, former]
  }

  get current(): Uint8Array {
    return this.all[0]
  }

  /** Secrets are sealed under `next` from now on; the key before it still opens them. */
  replace(next: Uint8Array): void {
    this.set([next, this.current])
  }

  /** Only the current one opens secrets from now on. */
  forgetFormer(): void {
    this.set([this.current])
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
    const [current, ...former] = this.all
    const derived: SomeKeys = [deriveKey(current, purpose), ...former.map(key => deriveKey(key, purpose))]
    this.derivations.set(purpose, derived)
    return derived
  }

  private set(all: SomeKeys): void {
    this.all = all
    this.derivations.clear()
  }
}
