/** Packing of buckets, for tests of the admin API. */
import type { PackingSetting } from "../format/packing-rows.js"
import type { Services } from "./operation.js"

const PACKING_REPORT: Awaited<ReturnType<Services["packing"]["stat"]>> = {
  ...{ state: "on", setting: { afterSeconds: 2_592_000, maxBytes: 65_536 }, packs: 3, sparsePacks: 1 },
  pass: { startedMs: 1_000, endedMs: 61_000, next: undefined, packed: { packs: 3, objects: 300, bytes: 307_200 } },
  ...{ packedObjects: 200, packBytes: 307_200, liveBytes: 204_800, waitingObjects: 20, waitingBytes: 20_480 },
  leftOut: { packed: 200, young: 1_000, encrypted: 5 },
}

export function fakePacking(): Services["packing"] {
  let known: PackingSetting | undefined
  return {
    set: async (_, setting) => void (known = setting),
    setting: async () => known,
    stat: async () => PACKING_REPORT,
  }
}
