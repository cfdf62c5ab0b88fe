/** Packing: cold small objects of a bucket with the setting `packing` lie together in blocks. See decision 91. */
import { firstOf } from "../../base/first-of.js"
import { rowKeyOf, type BucketId } from "../../base/ids.js"
import { packingRowKey } from "../../format/packing-rows.js"
import { ServiceOf, type Core, type Feature } from "../../object/door/index.js"
import { packableBytesMax } from "./packer.js"
import { Packing } from "./packing.js"
import { PackingJob } from "./packing-job.js"
import { PackingMetrics } from "./packing-metrics.js"

const services = new ServiceOf<Packing>()

export const packingOf = (core: Core): Packing => services.of(core)

export const PACKING = {
  name: "packing" as const,
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
    services.set(core, new Packing(seams, () => packableBytesMax(core.ingest.blockBytes), core.prepare))
    const ofJob = { ...seams, random: core.random.fork("packing"), metrics: new PackingMetrics(core.metrics) }
    return { jobs: [new PackingJob(ofJob, core.bound)] }
  },
} satisfies Feature

function packingRows(bucketId: BucketId) {
  const start = packingRowKey(bucketId)
  return { start, end: rowKeyOf(`${start}\x00`), expectedRows: 1 }
}
