/**
 * The end of a new object by the rules of its bucket, as they are now: a hint.
 *
 * Limits  `BUCKETS_KNOWN` buckets whose rules are remembered.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { BucketId } from "@hayloft/base/ids.js"
import { after, recover, type Soon } from "@hayloft/base/soon.js"
import { decodeLifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import type { BodyEnd, Bucket, Core, Days, NewObject } from "@hayloft/objects/door/index.js"
import { compileRules, expiryOf, type CompiledRules } from "./due-core.js"

const BUCKETS_KNOWN = 1_000

interface Rules {
  readonly settingsVersion: number
  readonly compiled: CompiledRules | undefined
}

export class EndsByRule implements BodyEnd {
  private readonly known = new Map<BucketId, Rules>()

  constructor(
    private readonly clock: Pick<Core["clock"], "wallMs">,
    private readonly settings: Core["settings"],
    private readonly days: Days,
  ) {}

  has({ settings }: Bucket): boolean {
    return settings.includes("lifecycle")
  }

  of(bucket: Bucket, { key, sizeBytes, tags }: NewObject): Soon<number> {
    return after(this.rulesOf(bucket), rules => {
      const object = { key, sizeBytes: sizeBytes ?? Number.MAX_SAFE_INTEGER, modifiedMs: this.clock.wallMs(), tags }
      return (rules && expiryOf(rules, object, this.days)?.dueMs) ?? Infinity
    })
  }

  private rulesOf(bucket: Bucket): Soon<CompiledRules | undefined> {
    const { id, settingsVersion } = bucket
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
