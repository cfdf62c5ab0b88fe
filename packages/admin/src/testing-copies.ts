/** Copies in memory, for tests of the admin API: nothing is sent anywhere. */
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import type { CopiesAdmin, CopiesStatus, CopiesValue } from "@hayloft/features/copies/index.js"
import type { Bucket } from "@hayloft/objects/contract.js"

export class FakeCopies implements CopiesAdmin {
  /** By the names of their buckets. */
  readonly values = new Map<string, CopiesValue>()
  readonly calls: string[] = []
  isPaused = false

  async settingOf({ name }: Bucket): ReturnType<CopiesAdmin["settingOf"]> {
    const value = this.values.get(name)
    return value && { ...value, id: "0123456789abcdef" }
  }

  async set({ name }: Bucket, value: CopiesValue): Promise<void> {
    if (value.store !== "aws")
      throw fail("invalidRequest", { message: `The file of --remotes names no store ${value.store}.` })
    this.values.set(name, value)
  }

  async status(bucket: Bucket): Promise<CopiesStatus | undefined> {
    const setting = await this.settingOf(bucket)
    if (setting === undefined) return undefined
    return {
      setting,
      phase: "following",
      sinceMs: 5,
      place: undefined,
      fills: 1,
      isPaused: this.isPaused,
      lag: { objects: 2, bytes: 30, seconds: 1.5, isCut: false },
      copiedToUs: 1_800_000_000_000_000,
      error: "away",
      errorMs: 9,
      hasMoreParked: false,
      parked: [
        { key: objectKeyOfText("día"), reason: "refused", attempts: 2, sinceMs: 3, nextMs: 4 },
        { key: objectKeyOfText("secret"), reason: "SSE-C", attempts: 1, sinceMs: 3, nextMs: undefined },
      ],
    }
  }

  async pause({ name }: Bucket, isPaused: boolean): Promise<void> {
    this.isPaused = isPaused
    this.calls.push(`${isPaused ? "pause" : "resume"} ${name}`)
  }

  async fillAgain({ name }: Bucket, removesOthers: boolean): Promise<void> {
    this.calls.push(`${removesOthers ? "fill and remove" : "fill"} ${name}`)
  }
}
