/** Schemas of remote buckets in the admin API's JSON. */
import { z } from "zod"

const count = z.number().int().nonnegative()

/** Pending writes of a bucket are counted up to this number. */
export const PENDING_COUNTED_MAX = 1_000

const STORE = z
  .object({
    name: z.string().describe("as the operator's file and the settings of buckets have it"),
    endpoint: z.string(),
    region: z.string(),
    accounts: z.array(z.string()).describe("names or ids of those whose buckets may use it"),
    requests: count.describe("sent by this node since it has started"),
    failures: count.describe("of these requests"),
    lastError: z.string().optional(),
    lastErrorMs: count.optional(),
  })
  .meta({ id: "RemoteStore" })

const CACHE = z
  .object({
    sizeBytes: count,
    sizeBytesMax: count,
    hitBytes: count.describe("that reads have got from the cache, at this node since it has started"),
    missBytes: count.describe("that reads have got from remote stores"),
    evictedBytes: count.describe("that the cache has dropped to stay within its size"),
  })
  .meta({ id: "RemoteCache" })

const BUCKET = z
  .object({
    bucket: z.string(),
    store: z.string(),
    remoteBucket: z.string().describe("the bucket of the remote store that has the objects"),
    prefix: z.string().describe('of its keys; "": none'),
    writes: z
      .enum(["Through", "Back", "None"])
      .describe("how writes reach it: before the answer, later, or not at all"),
    freshness: z
      .object({ check: z.enum(["Never", "Always", "Age"]), maxAgeSeconds: count.optional() })
      .describe("when a cached object is compared with the remote's"),
    pending: count.describe(
      `writes that the remote does not have yet; ${PENDING_COUNTED_MAX} stands for that many and more`,
    ),
  })
  .meta({ id: "RemoteBucket" })

export const REMOTES = z
  .object({
    stores: z.array(STORE).describe("those that the operator's file names"),
    cache: CACHE,
    buckets: z.array(BUCKET).describe("the remote buckets of all accounts"),
  })
  .meta({ id: "Remotes" })

const PENDING_WRITE = z
  .object({
    key: z.string(),
    kind: z.enum(["put", "delete"]),
    sizeBytes: count.describe("of a deletion 0"),
    sinceMs: count.describe("when it was acknowledged"),
    lastError: z.string().optional().describe("why the remote has not taken it"),
  })
  .meta({ id: "PendingRemoteWrite" })

export const PENDING_WRITES = z
  .object({
    pending: z.array(PENDING_WRITE).describe("in the order of the keys"),
    hasMore: z.boolean().describe("whether others follow"),
  })
  .meta({ id: "PendingRemoteWrites" })
