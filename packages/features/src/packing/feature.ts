/** Packing: cold small objects of a bucket with the setting `packing` lie together in blocks. See decision 91. */
import { firstOf } from "@hayloft/base/first-of.js"
import { type BucketId, rowKeyAfter } from "@hayloft/base/ids.js"
import { packingRowKey } from "@hayloft/engine/format/objects/packing-rows.js"
import type { ProductFeature } from "../operator/index.js"
import { PACKING_OPERATOR } from "./operations.js"
import { packableBytesMax } from "./packer.js"
import { Packing } from "./packing.js"
import { PackingJob } from "./packing-job.js"
import { PackingMetrics } from "./packing-metrics.js"
import { PACKING_SERVICE } from "./services.js"

export const PACKING = {
  name: "packing" as const,
  operator: PACKING_OPERATOR,
  bucket: {
    setting: {
      name: "packing",
      excludes: [["remote", "the bytes of a remote bucket are at the remote: they cannot be packed"]],
    },
    notedRow: id => ["packing", packingRowKey(id)],
    hidesNewer: (view, { id, settings }) =>
      settings.includes("packing") || firstOf(view.range("packing", packingRows(id))) !== undefined
        ? "objects of its bucket are packed: a newer object may be in a pack"
        : undefined,
  },
  start(core) {
    const seams = { ...core, clock: core.jobClock }
    PACKING_SERVICE.set(core, new Packing(seams, () => packableBytesMax(core.ingest.blockBytes), core.prepare))
    const ofJob = { ...seams, random: core.random.fork("packing"), metrics: new PackingMetrics(core.metrics) }
    return { jobs: [new PackingJob(ofJob, core.bound)] }
  },
} satisfies ProductFeature

function packingRows(bucketId: BucketId) {
  const start = packingRowKey(bucketId)
  return { start, end: rowKeyAfter(start), expectedRows: 1 }
}
