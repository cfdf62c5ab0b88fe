/**
 * Opened data keys of external services, kept for a while, so that a read does not need the service each time.
 *
 * Promises  A key is kept for `keepMs` from when it was opened or made, however often it is used: this is how long a key
 *           that was disabled in the service still opens. Then, and when it gives way to another, its bytes become
 *           zeros. Callers get copies. Equal requests that arrive while one waits share its call.
 * Limits    `KMS_LIMITS.cachedKeysMax` keys; the oldest gives way.
 */
import { createHash } from "node:crypto"
import type { Soon } from "@hayloft/base/soon.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { SharedWork } from "@hayloft/base/life/index.js"
import { bytesOfContext, type EncryptionContext } from "./encryption-context.js"
import type { KeyProvider, DataKey, ProviderKey } from "./provider.js"
import { KMS_LIMITS } from "./service-limits.js"

interface Kept {
  readonly bytes: Uint8Array
  readonly untilMs: number
}

export class OpenedKeys {
  /** In the order in which they end. */
  private readonly kept = new Map<string, Kept>()
  private readonly opening = new SharedWork<string, Uint8Array>()
  private cancelAlarm: (() => void) | undefined

  constructor(
    private readonly clock: Clock,
    /** 0: none is kept. */
    private readonly keepMs: number,
    private readonly keysMax: number = KMS_LIMITS.cachedKeysMax,
  ) {}

  /** A copy of the kept key, or what `open` returns. */
  open(id: string, open: () => Soon<Uint8Array>): Soon<Uint8Array> {
    this.dropEnded()
    const known = this.kept.get(id)
    if (known !== undefined) return copyOf(known.bytes)
    return this.opening.of(id, () => this.openNow(id, open)).then(copyOf)
  }

  /** The bytes are the memory's from now on. */
  keep(id: string, bytes: Uint8Array): void {
    if (this.keepMs === 0) return
    this.drop(id)
    const [oldest] = this.kept.keys()
    if (oldest !== undefined && this.kept.size >= this.keysMax) this.drop(oldest)
    this.kept.set(id, { bytes, untilMs: this.clock.monotonicMs() + this.keepMs })
    this.setAlarm()
  }

  get size(): number {
    return this.kept.size
  }

  /** Drops all keys. */
  close(): void {
    this.cancelAlarm?.()
    for (const id of this.kept.keys()) this.drop(id)
  }

  private async openNow(id: string, open: () => Soon<Uint8Array>): Promise<Uint8Array> {
    const bytes = await open()
    this.keep(id, copyOf(bytes))
    return bytes
  }

  private dropEnded(): void {
    const nowMs = this.clock.monotonicMs()
    for (const [id, { untilMs }] of this.kept) {
      if (untilMs > nowMs) return
      this.drop(id)
    }
  }

  private drop(id: string): void {
    this.kept.get(id)?.bytes.fill(0)
    this.kept.delete(id)
  }

  /** One for all: the first in the map ends first. */
  private setAlarm(): void {
    const [first] = this.kept.values()
    if (this.cancelAlarm !== undefined || first === undefined) return
    this.cancelAlarm = this.clock.alarm(first.untilMs - this.clock.monotonicMs(), () => {
      this.cancelAlarm = undefined
      this.dropEnded()
      this.setAlarm()
    })
  }
}

/** Not by `slice`, which shares the bytes of a `Buffer`. */
const copyOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes)

/** A provider whose opened keys are kept. */
export class KeepingProvider implements KeyProvider {
  constructor(
    /** The name of the service: two services may have keys of one name. */
    private readonly service: string,
    private readonly provider: KeyProvider,
    private readonly opened: OpenedKeys,
  ) {}

  async newDataKey(key: ProviderKey, context: EncryptionContext): Promise<DataKey> {
    const made = await this.provider.newDataKey(key, context)
    this.opened.keep(this.idOf(key, made.ciphertext, context), copyOf(made.plain))
    return made
  }

  open(key: ProviderKey, ciphertext: Uint8Array, context: EncryptionContext): Soon<Uint8Array> {
    const id = this.idOf(key, ciphertext, context)
    return this.opened.open(id, () => this.provider.open(key, ciphertext, context))
  }

  private idOf({ name }: ProviderKey, ciphertext: Uint8Array, context: EncryptionContext): string {
    const hash = createHash("sha256")
    for (const part of [Buffer.from(this.service), Buffer.from(name), ciphertext, bytesOfContext(context)]) {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(part.length)
      hash.update(length).update(part)
    }
    return hash.digest("base64")
  }
}
