/**
 * Filling of a target: the keys that are in a bucket, page by page, while changes go on.
 *
 * A target that is filled again may have copies of objects that this store does not have. They may have been removed, or this store may have
 * lost them, so that the target has the only copy: they stay, unless the operator asked for their removal. Only objects with the mark
 * of a copy for this target are removed.
 */
import type { ObjectKey } from "@hayloft/base/ids.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Bucket, Objects } from "@hayloft/objects/index.js"
import { COPIES_LIMITS } from "./limits.js"
import { currentInfoOf, isCopyFor, thereOf, type SendingParts } from "./sending.js"
import type { CopiesSetting } from "./setting.js"
import { originPages } from "../remote-buckets/index.js"

interface FillingParts extends SendingParts {
  readonly objects: Pick<Objects, "get" | "parts" | "list">
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

  constructor(private readonly parts: FillingParts) {}

  /** From behind this key on. */
  begin(after: string): void {
    this.after = after
    this.isListed = false
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
      await mapBounded(others, keysConcurrent, async key => {
        const there = await thereOf(origin, key, signal)
        if (there === undefined || !isCopyFor(there, setting)) return
        // It may have been made since.
        if ((await currentInfoOf(this.parts, { bucket, key }, undefined)) === undefined)
          await origin.remove(key, {}, signal)
      })
      const last = found.at(-1)
      if (upTo !== undefined && last !== undefined && last > upTo) return
    }
  }
}
