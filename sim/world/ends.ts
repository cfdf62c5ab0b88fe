/** Rules of lifecycle that give the objects of simulated clients an end, longer than a simulation: none expires in it. */
import { encodeLifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { Bucket } from "@hayloft/objects/index.js"

/** By the beginnings of keys; the others stay. */
const ENDS = [
  ["free", 2],
  ["race", 9],
  ["parts", 60],
] as const

export function setEnds(engine: Engine, bucket: Bucket): Promise<void> {
  const rules = ENDS.map(([prefix, days]) => ({
    id: prefix,
    isEnabled: true,
    filter: { form: "filter" as const, prefix },
    expiration: { days },
  }))
  const document = encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules })
  return engine.services.buckets.setSetting(bucket, "lifecycle", document)
}
