/**
 * When the bytes of a new object will probably be removed: a hint, by which devices place them beside others that end
 * about then (`volume/expiring-core.ts`).
 *
 * The end is that of the object itself, or that of the first rule of lifecycle, as its bucket has them now. Where a removal
 * leaves the bytes there is none: in a bucket with versions they stay as a noncurrent version.
 *
 * Promises  A bucket without rules and an object without an expiry cost one look at the names of settings.
 * Limits    `bucketsKnown` buckets whose rules are remembered.
 */
import { keptForMs } from "./commands/bucket-commands-core.js"
import { isFailure } from "../base/failures.js"
import type { BucketId, ObjectKey } from "../base/ids.js"
import { after, recover, type Soon } from "../base/soon.js"
import type { SettingName, SettingRecord } from "../format/records.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Bucket, Tags } from "./contract.js"
import {
  compileRules,
  decodeLifecycleRules,
  expiryOf,
  type CompiledRules,
  type LifecycleDays,
} from "./lifecycle/index.js"

const BUCKETS_KNOWN = 1_000
const SECOND_MS = 1_000

/** The facts about a new object that say when it ends. */
export interface EndFacts {
  readonly tags: Tags
  /** As in `PutRequest`. */
  readonly expiresAtSeconds?: number | undefined
}

interface Rules {
  readonly settingsVersion: number
  readonly compiled: CompiledRules | undefined
}

export class BodyEnds {
  private readonly known = new Map<BucketId, Rules>()

  constructor(
    private readonly clock: Pick<Clock, "wallMs">,
    private readonly settings: { setting(bucket: Bucket, name: SettingName): Soon<SettingRecord | undefined> },
    private readonly days: LifecycleDays,
  ) {}

  /** `sizeBytes`: undefined if it is not known yet. Returns undefined if no end is known. */
  of(
    bucket: Bucket,
    key: ObjectKey,
    sizeBytes: number | undefined,
    { tags, expiresAtSeconds }: EndFacts,
  ): Soon<number | undefined> {
    if (bucket.versioning !== "never") return undefined
    const own = expiresAtSeconds === undefined ? Infinity : expiresAtSeconds * SECOND_MS
    const end = after(this.rulesOf(bucket), (rules): number => {
      const object = { key, sizeBytes: sizeBytes ?? Number.MAX_SAFE_INTEGER, modifiedMs: this.clock.wallMs(), tags }
      return Math.min(own, (rules && expiryOf(rules, object, this.days)?.dueMs) ?? Infinity)
    })
    // Objects that a feature keeps end that much later.
    const keptMs = keptForMs(bucket) ?? 0
    return after(end, endMs => (endMs === Infinity ? undefined : endMs + keptMs))
  }

  private rulesOf(bucket: Bucket): Soon<CompiledRules | undefined> {
    const { id, settings, settingsVersion } = bucket
    if (!settings.includes("lifecycle")) return undefined
    const known = this.known.get(id)
    if (known?.settingsVersion === settingsVersion) return known.compiled
    const read = () => after(this.settings.setting(bucket, "lifecycle"), record => record?.document)
    const remembered = () =>
      after(read(), document => {
        const compiled = compiledOf(document)
        if (this.known.size >= BUCKETS_KNOWN) this.known.clear()
        this.known.set(id, { settingsVersion, compiled })
        return compiled
      })
    // A hint that cannot be had fails no write; the next one asks again.
    return recover(remembered, unlessFailure)
  }
}

const compiledOf = (document: string | undefined): CompiledRules | undefined =>
  document === undefined ? undefined : compileRules(decodeLifecycleRules(document))

function unlessFailure(error: unknown): undefined {
  if (!isFailure(error)) throw error
}
