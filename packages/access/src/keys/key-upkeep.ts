/**
 * Upkeep of named keys: rotates those that are due, and deletes those whose time has come. A job.
 *
 * Promises  A key that versions or uploads still use, by any replica of the metadata, is not deleted: it stays pending
 *           until an operator has said how many become unreadable. A material without a key is shown, and never removed: the database may have lost the row, and a
 *           newer backup of it may have it. A rotation takes the material that an interrupted one has made.
 * Limits    KEY_UPKEEP_LIMITS.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { KmsKeyId } from "@hayloft/base/ids.js"
import type { KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { nextRotationMs } from "./change-key-core.js"
import type { KeyService } from "./key-service.js"

const KEY_UPKEEP_LIMITS = {
  passEveryMs: 60_000,
  /** Uses are counted by a walk over all rows, at most this often. */
  countEveryMs: 3_600_000,
  /** A material without a key may belong to one that is being made. */
  orphanAgeMs: 3_600_000,
} as const

/** Versions and uploads of each bucket, by the id of the key. */
type KeyUseCounts = ReadonlyMap<string, ReadonlyMap<string, number>>

export type CountUses = () => Promise<KeyUseCounts>

/** On every replica of the metadata; undefined while one is offline or not verified. */
type CountAllUses = () => Promise<KeyUseCounts | undefined>

/** A key that would be deleted if nothing used it. */
interface HeldKey {
  readonly id: KmsKeyId
  readonly uses: ReadonlyMap<string, number>
}

export class KeyUpkeep implements Job {
  readonly name = "keys"
  private nextPassMs = 0
  private nextCountMs = 0
  private held: readonly HeldKey[] = []
  /** Keys that are due wait for the replicas of the metadata. */
  private isUncounted = false
  private withoutKey: readonly KmsKeyId[] = []
  private rotated = 0
  /** Rotations of the last pass that were due and beyond the limits of keys. */
  private unrotated = 0
  private deleted = 0

  constructor(
    private readonly keys: KeyService,
    private readonly countUses: CountAllUses,
    private readonly clock: Pick<Clock, "wallMs" | "monotonicMs">,
    /** The time by which deletions and rotations are due; undefined: none is now. */
    private readonly dueTimeMs: () => number | undefined,
  ) {}

  async step(): Promise<StepOutcome> {
    if (this.clock.monotonicMs() < this.nextPassMs) return "idle"
    const dueMs = this.dueTimeMs() ?? -Infinity
    const due: KmsKeyRecord[] = []
    this.unrotated = 0
    for await (const key of this.keys.keys()) {
      if (key.deletionMs !== undefined && key.deletionMs <= dueMs) due.push(key)
      const rotationMs = nextRotationMs(key)
      if (key.state === "enabled" && rotationMs !== undefined && rotationMs <= dueMs) await this.rotate(key)
    }
    await this.keys.endDeletions()
    await this.deleteUnused(due)
    this.withoutKey = await this.orphans()
    this.nextPassMs = this.clock.monotonicMs() + KEY_UPKEEP_LIMITS.passEveryMs
    return "idle"
  }

  progress(): string {
    const held = this.held.map(({ id, uses }) => `; ${id} waits: ${usesText(uses)}`).join("")
    const waits = this.isUncounted ? "; deletions wait until every replica of the metadata is verified" : ""
    const shown = this.withoutKey.slice(0, ORPHANS_SHOWN).join(", ")
    const more = this.withoutKey.length > ORPHANS_SHOWN ? ", …" : ""
    const orphans = shown === "" ? "" : `; ${this.withoutKey.length} materials without a key: ${shown}${more}`
    const full = this.unrotated === 0 ? "" : `; ${this.unrotated} due rotations are beyond the limit of versions`
    return `${this.rotated} keys rotated, ${this.deleted} deleted${held}${waits}${orphans}${full}`
  }

  /** The keys of materials that have no row and are too old to be of a key that is being made. */
  orphans(): Promise<readonly KmsKeyId[]> {
    return this.keys.orphans(this.clock.wallMs() - KEY_UPKEEP_LIMITS.orphanAgeMs)
  }

  private async rotate(key: KmsKeyRecord): Promise<void> {
    try {
      await unlessFull(
        async () => {
          await this.keys.rotate(key, false)
          this.rotated += 1
        },
        () => undefined,
      )
    } catch (error) {
      if (isFailure(error, "limitExceeded")) this.unrotated += 1
      // Another node was faster, or the key has changed meanwhile.
      else if (!isFailure(error, "conflict", "kmsKeyState", "kmsKeyDisabled", "noSuchKmsKey")) throw error
    }
  }

  private async deleteUnused(due: readonly KmsKeyRecord[]): Promise<void> {
    const isNew = due.some(({ id }) => !this.held.some(held => held.id === id))
    if (due.length === 0) [this.held, this.isUncounted] = [[], false]
    if (due.length === 0 || (!isNew && this.clock.monotonicMs() < this.nextCountMs)) return
    const countedIn = this.keys.reconciliations
    const first = await this.countUses()
    // Versions move between rows during a walk: what one walk misses, two do not.
    const second = first && (await this.countUses())
    this.isUncounted = second === undefined
    if (first === undefined || second === undefined) return
    this.nextCountMs = this.clock.monotonicMs() + KEY_UPKEEP_LIMITS.countEveryMs
    const held: HeldKey[] = []
    for (const key of due) {
      const own = second.get(key.id) ?? first.get(key.id)
      if (own !== undefined) held.push({ id: key.id, uses: own })
      else if (await this.keys.delete(key, countedIn)) this.deleted += 1
    }
    this.held = held
  }
}

export const totalOf = (uses: ReadonlyMap<string, number>): number =>
  [...uses.values()].reduce((sum, count) => sum + count, 0)

const BUCKETS_SHOWN = 3
const ORPHANS_SHOWN = 3

function usesText(uses: ReadonlyMap<string, number>): string {
  const shown = [...uses].slice(0, BUCKETS_SHOWN).map(([bucket, count]) => `${count} in ${bucket}`)
  return `${totalOf(uses)} versions use it (${shown.join(", ")}${uses.size > BUCKETS_SHOWN ? ", …" : ""})`
}
