/**
 * The last use of each key: known immediately, written later.
 *
 * Limits  A key is written once in `WRITE_EVERY_MS`, with at most one write in flight for all keys; `KEYS_MAX` keys
 *         are cached. A use that cannot be written is lost: no decision depends on it.
 */
import type { AccessKeyId } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import type { KeyUseRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import { noteKeyUses, type KeyUse } from "../accounts/account-commands-core.js"
import { readKeyUse, readKeyUses } from "../accounts/account-queries-core.js"
import type { Directory } from "../accounts/directory.js"

const KEYS_MAX = 10_000
const WRITE_EVERY_MS = 15 * 60_000
const KEYS_PER_WRITE = 200

interface CachedUse {
  usedMs: number
  service: string
  region: string
  writtenMs: number
}

export class AccessKeyUses {
  private readonly cached = new Map<AccessKeyId, CachedUse>()
  private readonly due = new Set<AccessKeyId>()
  private isWriting = false

  constructor(
    private readonly directory: Directory,
    private readonly rootKey: () => AccessKeyId,
  ) {}

  note(id: AccessKeyId, usedMs: number, service: string, region: string): void {
    const known = this.cached.get(id)
    // A use that is much earlier than the written one follows a clock that was ahead: it is written instead.
    if (known !== undefined && Math.abs(usedMs - known.writtenMs) < WRITE_EVERY_MS) {
      known.usedMs = usedMs
      known.service = service
      known.region = region
      return
    }
    if (this.cached.size >= KEYS_MAX) this.forgetAll()
    this.cached.set(id, { usedMs, service, region, writtenMs: usedMs })
    this.due.add(id)
    if (!this.isWriting) void this.write()
  }

  lastUse(id: AccessKeyId): Soon<KeyUseRecord | undefined> {
    const known = this.cached.get(id)
    return known === undefined ? this.directory.ask(readKeyUse(id)) : useOf(known)
  }

  /** Returns the uses of all keys, also of those that others than this process have noted. */
  async all(): Promise<ReadonlyMap<string, KeyUseRecord>> {
    const uses = new Map<string, KeyUseRecord>()
    for await (const page of this.directory.pages(ALL_ROWS.start, readKeyUses)) {
      for (const { id, use } of page) uses.set(id, use)
    }
    for (const [id, known] of this.cached) {
      const written = uses.get(id)
      if (written === undefined || written.usedMs <= known.usedMs) uses.set(id, useOf(known))
    }
    return uses
  }

  forget(id: AccessKeyId): void {
    this.cached.delete(id)
    this.due.delete(id)
  }

  private forgetAll(): void {
    this.cached.clear()
    this.due.clear()
  }

  private async write(): Promise<void> {
    this.isWriting = true
    try {
      while (this.due.size > 0) await this.directory.note(noteKeyUses(this.take(), this.rootKey()))
    } catch {
      // The store is overloaded, full or stopping: a later use writes the key again.
    } finally {
      this.isWriting = false
    }
  }

  private take(): readonly KeyUse[] {
    const uses: KeyUse[] = []
    for (const id of this.due) {
      if (uses.length >= KEYS_PER_WRITE) break
      const known = this.cached.get(id)
      if (known !== undefined) uses.push({ id, ...useOf(known) })
      this.due.delete(id)
    }
    return uses
  }
}

const useOf = ({ usedMs, service, region }: CachedUse): KeyUseRecord => ({ usedMs, service, region })
