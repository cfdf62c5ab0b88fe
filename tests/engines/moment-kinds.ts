/** Queries of buckets at moments: mostly of buckets that have a history, at moments that their versions are of. */
import type { Bucket } from "@hayloft/objects/contract.js"
import { decodeHistory } from "@hayloft/engine/format/objects/history.js"
import { checkMoment, differencesOfMoments, pageOfMoment, versionOfMoment } from "@hayloft/features/history/moments.js"
import { queryKind, type PlayKind, type Scene } from "./scene.js"

/** Usually a bucket with a history; undefined if there is no bucket. */
function bucketOf(scene: Scene): Bucket | undefined {
  const kept = scene.buckets().filter(({ settings }) => settings.includes("history"))
  return kept.length === 0 || scene.oneIn(8) ? scene.bucket() : scene.pick(kept)
}

/** A moment at which something began, or the present one. */
function momentOf(scene: Scene): number {
  const orders = scene.versions().map(({ record }) => record.head.order)
  const since = scene.rows("history").map(([, { value }]) => decodeHistory(value))
  return scene.pickOr([...orders, ...since], () => scene.nowMs * 1000) + scene.random.below(3) - 1
}

const scopeOf = (scene: Scene) => ({
  prefix: scene.pick(["", "", "a", "a/", "zz"]),
  after: scene.oneIn(2) ? "" : scene.key(),
})

export const MOMENT_QUERIES: readonly PlayKind[] = [
  queryKind("CheckMoment", scene => {
    const bucket = bucketOf(scene)
    return bucket && checkMoment(bucket.id, momentOf(scene))
  }),
  queryKind("VersionOfMoment", scene => {
    const bucket = bucketOf(scene)
    return bucket && versionOfMoment(bucket.id, scene.key(), momentOf(scene))
  }),
  queryKind("PageOfMoment", scene => {
    const bucket = bucketOf(scene)
    const shown = { delimiter: scene.pick(["", "/"]), max: scene.pick([0, 1, 2, 1000]), withOwners: scene.oneIn(2) }
    const extras = { withRestores: scene.oneIn(2), withOrders: scene.oneIn(2) }
    const limits = { rowsPerQuery: scene.pick([1, 20, 4_000]), seekRows: 4, steps: scene.pick([0, 1, 16]) }
    const request = bucket && { bucket, ...scopeOf(scene), ...shown, ...extras, afterExactly: scene.oneIn(2) }
    return request && pageOfMoment(request, momentOf(scene), limits)
  }),
  queryKind("DifferencesOfMoments", scene => {
    const bucket = bucketOf(scene)
    const [fromUs = 0, toUs = 0] = [momentOf(scene), momentOf(scene)].sort((a, b) => a - b)
    const until = scene.oneIn(2) ? undefined : scene.key()
    const page = { ...scopeOf(scene), until, isOneKey: scene.oneIn(4), max: scene.pick([1, 100]) }
    return bucket && differencesOfMoments({ bucket, ...page, fromUs, toUs })
  }),
]
