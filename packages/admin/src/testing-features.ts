/** Services of features that answer what tests of the admin API know, by the core of a store in memory. */
import assert from "node:assert/strict"
import { DEDUP_SERVICES } from "@hayloft/features/dedup/index.js"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketId } from "@hayloft/base/ids.js"
import { PACKING_SERVICE } from "@hayloft/features/packing/index.js"
import { QUOTA_SERVICE, type QuotaTarget } from "@hayloft/features/quotas/index.js"
import type { PackingSetting } from "@hayloft/engine/format/objects/packing-rows.js"

const MIB = 1 << 20

/** `touch` is called for what changes something. */
export function startFakeFeatures(core: object, touch: (what: string) => void): void {
  let packing: PackingSetting | undefined
  DEDUP_SERVICES.set(core, {
    dedup: { setDedup: async () => touch("setDedup") },
    dedupUpkeep: {
      limits: { segmentsPerQuery: 1 },
      stat: async () => DEDUP_REPORT,
      open: () => assert.fail("no test of the admin API works on rows"),
    },
  })
  PACKING_SERVICE.set(core, {
    set: async (_, setting) => void (packing = setting),
    setting: async () => packing,
    stat: async () => PACKING_REPORT,
  })
  QUOTA_SERVICE.set(core, fakeQuotas(touch))
}

type QuotaService = ReturnType<typeof QUOTA_SERVICE.of>

const QUOTA_USED = { bytes: 700, objects: 4, partBytes: 200 }
const QUOTA_STATE: Awaited<ReturnType<QuotaService["set"]>> = {
  owner: { kind: "bucket", bucketId: parseBucketId(1) },
  name: "photos",
  used: QUOTA_USED,
  quota: { run: "07", isExact: true, limits: { hardBytes: 1_000, warnBytes: 800, hardObjects: 10 } },
}

/** All have one but the bucket "unlimited". */
function fakeQuotas(touch: (what: string) => void): QuotaService {
  const hasQuota = (target: QuotaTarget, what: string): boolean => {
    touch(what)
    return target.kind === "account" || target.name !== "unlimited"
  }
  return {
    show: async target => (hasQuota(target, "showQuota") ? QUOTA_STATE : undefined),
    set: async (target, limits) => {
      hasQuota(target, `setQuota ${JSON.stringify(limits)}`)
      return { ...QUOTA_STATE, quota: { ...QUOTA_STATE.quota, limits } }
    },
    clear: async target => void hasQuota(target, "clearQuota"),
    restart: async target => {
      if (hasQuota(target, "recount")) return QUOTA_STATE
      throw fail("invalidArgument", { message: "there is no quota" })
    },
    check: async target => {
      const isCounted = hasQuota(target, "checkQuota")
      const { bytes, objects } = QUOTA_USED
      return {
        hasQuota: isCounted,
        used: isCounted ? QUOTA_USED : undefined,
        counters: { bytes, objects },
        walked: QUOTA_USED,
        isStill: true,
        agrees: true,
      }
    },
  }
}

export const DEDUP_REPORT: Awaited<ReturnType<ReturnType<typeof DEDUP_SERVICES.of>["dedupUpkeep"]["stat"]>> = {
  state: "on",
  versions: 10,
  logicalBytes: 100 * MIB,
  ownBytes: 36 * MIB,
  referencedBytes: 64 * MIB,
  versionsWithReferences: 4,
  references: 7,
  referencedSegments: 3,
  releasedSegments: 1,
  releasedBytes: 8 * MIB,
  releasedReferencedBytes: 2 * MIB,
  digestRows: 6,
  indexedBlocks: 12,
}

const PACKING_REPORT: Awaited<ReturnType<ReturnType<typeof PACKING_SERVICE.of>["stat"]>> = {
  state: "on",
  setting: { afterSeconds: 2_592_000, maxBytes: 65_536 },
  packs: 3,
  sparsePacks: 1,
  pass: { startedMs: 1_000, endedMs: 61_000, next: undefined, packed: { packs: 3, objects: 300, bytes: 307_200 } },
  packedObjects: 200,
  packBytes: 307_200,
  liveBytes: 204_800,
  waitingObjects: 20,
  waitingBytes: 20_480,
  leftOut: { packed: 200, young: 1_000, encrypted: 5 },
}
