/**
 * Filling of a target: the keys that are in a bucket, page by page, while changes go on.
 *
 * A target that is filled again may have copies of objects that this store does not have. They may have been removed, or this store may have
 * lost them, so that the target has the only copy: they stay, unless the operator asked for their removal. Only objects with the mark
 * of a copy for this target are removed: an object that the target refuses, or fails again and again, to describe stays. A removal that
 * the target refuses, or fails again and again, is parked. Neither holds up anything.
 */
import { AssertionError } from "@hayloft/base/assert.js"
import { asFailure, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Bucket, Objects } from "@hayloft/objects/index.js"
import { COPIES_LIMITS } from "./limits.js"
import { currentInfoOf, isCopyFor, thereOf, type SendingParts } from "./sending.js"
import type { CopiesSetting } from "./setting.js"
import { originPages, type Origin, type OriginObject } from "../remote-buckets/index.js"

interface FillingParts extends SendingParts {
  readonly objects: Pick<Objects, "get" | "parts" | "list">
}

/** Sets aside the keys that the target fails to remove, as those that it fails to take. */
interface Parking {
  /** The key waits for another attempt already. */
  isWaiting(key: ObjectKey): boolean
  succeed(key: ObjectKey): void
  /** Returns true if the key is parked: nothing else waits for it then. */
  fail(key: ObjectKey, failure: Failure, signal: AbortSignal): Promise<boolean>
}

interface Page {
  readonly bucket: Bucket
  readonly setting: CopiesSetting
  /** Copies of objects that the bucket does not have are removed. */
  readonly removesOthers: boolean
  readonly max: number
}

export class Filling {
  private after = ""
  /** All keys were returned. */
  isListed = false
  /** Objects that the target did not describe, since the last fill that ended. */
  unchecked = 0
  /** Behind the last page: objects that the target did not describe, and how often it was asked. A look at a page adds few. */
  private readonly undescribed = new Map<ObjectKey, number>()

  constructor(
    private readonly parts: FillingParts,
    private readonly parking: Parking,
  ) {}

  /** From behind this key on. */
  begin(after: string): void {
    this.after = after
    this.isListed = false
    this.undescribed.clear()
  }

  /** The next keys. Throws as the target if it is asked. */
  async next({ bucket, setting, removesOthers, max }: Page, signal: AbortSignal): Promise<readonly ObjectKey[]> {
    if (this.isListed) return []
    const bounds = { prefix: "", delimiter: "", after: this.after, max: Math.min(max, COPIES_LIMITS.filledPerPage) }
    const page = await this.parts.objects.list({ bucket, ...bounds })
    const keys = page.entries.flatMap(entry => (entry.kind === "object" ? [entry.object.key] : []))
    const last = keys.at(-1)
    const isLast = page.next === undefined || last === undefined
    if (removesOthers && setting.deletes)
      await this.removeOthers(bucket, setting, isLast ? undefined : last, new Set(keys), signal)
    if (last !== undefined) this.after = last
    this.isListed = isLast
    this.undescribed.clear()
    return keys
  }

  /** Removes copies of objects that are gone, behind the last page and up to this key. */
  private async removeOthers(
    bucket: Bucket,
    setting: CopiesSetting,
    upTo: ObjectKey | undefined,
    keys: ReadonlySet<ObjectKey>,
    signal: AbortSignal,
  ): Promise<void> {
    const origin = this.parts.originOf(setting)
    const { filledPerPage: max, keysConcurrent } = COPIES_LIMITS
    const request = { prefix: "", delimiter: "", after: this.after, max }
    for await (const { entries } of originPages(origin, request, signal)) {
      const found = entries.flatMap(entry => (entry.kind === "object" ? [entry.key] : []))
      const others = found.filter(key => !keys.has(key) && (upTo === undefined || key <= upTo))
      await mapBounded(others, keysConcurrent, key => this.removeOther(origin, { bucket, setting, key }, signal))
      const last = found.at(-1)
      if (upTo !== undefined && last !== undefined && last > upTo) return
    }
  }

  private async removeOther(
    origin: Origin,
    { bucket, setting, key }: Pick<Page, "bucket" | "setting"> & { readonly key: ObjectKey },
    signal: AbortSignal,
  ): Promise<void> {
    if (this.parking.isWaiting(key)) return
    const there = await this.checked(origin, key, signal)
    if (there === undefined || !isCopyFor(there, setting)) return
    // It may have been made since.
    if ((await currentInfoOf(this.parts, { bucket, key }, undefined)) !== undefined) return
    try {
      await origin.remove(key, {}, signal)
      this.parking.succeed(key)
    } catch (error) {
      if (signal.aborted || error instanceof AssertionError) throw error
      if (!(await this.parking.fail(key, asFailure(error), signal))) throw error
    }
  }

  /** Returns undefined also for an object that the target does not describe: nothing says that it is a copy. */
  private async checked(origin: Origin, key: ObjectKey, signal: AbortSignal): Promise<OriginObject | undefined> {
    const attempts = this.undescribed.get(key) ?? 0
    if (attempts >= COPIES_LIMITS.attemptsMax) return undefined
    try {
      return await thereOf(origin, key, signal)
    } catch (error) {
      if (signal.aborted || error instanceof AssertionError) throw error
      const isRefused = isFailure(error, "remoteRefused")
      const tried = isRefused ? COPIES_LIMITS.attemptsMax : attempts + 1
      this.undescribed.set(key, tried)
      // The target has just listed the object: a failure that stays is one of this object.
      if (tried < COPIES_LIMITS.attemptsMax) throw error
      this.unchecked += 1
      return undefined
    }
  }
}
