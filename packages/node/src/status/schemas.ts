/**
 * Schemas of the report of a running store: the admin API answers with them, and the types of `contract.ts` are theirs.
 * A value that is not known is absent, never invented.
 */
import { z } from "zod"
import { JOB } from "@hayloft/features/operator/job-schemas.js"

const id = z.string().min(1).max(128)
const timestamp = z.number().int().describe("milliseconds since 1970")
const count = z.number().int().nonnegative()
const losses = z.number().int().min(-1)
const seconds = z.number().nonnegative()

export const SAFETY = z
  .object({
    sentence: z.string().describe("what may fail, and the limiting reason"),
    mayFail: z
      .array(
        z.object({
          what: z.enum(["disk", "machine", "zone"]),
          answer: z
            .enum(["yes", "no", "later", "unknown"])
            .describe("later: once the store is complete; unknown: shards have not all been scanned"),
          count: count.describe("how many there are"),
          losses: losses.describe("number of arbitrary ones that may fail now; -1: something is not readable now"),
          because: z.string().describe("why not; empty if they may"),
          critical: z.array(z.string()).describe("the first of those that must not fail now"),
        }),
      )
      .describe("whether any single one may fail now; machines and zones only if the store has some"),
    disks: count,
    safeLosses: losses.describe("number of arbitrary disks that may fail now; -1: something is not readable now"),
    safeLossesWhenWhole: losses,
    safeFolderLosses: losses.describe("the same for folders, each counted separately"),
    safeFolderLossesWhenWhole: losses,
    opensWithout: count.describe(
      "number of arbitrary disks that may be absent at a start without hayloft device forget",
    ),
    reasons: z.array(z.string()).describe("why the store is not whole"),
    critical: z.array(id).describe("devices on a disk that must not fail now"),
    levels: z
      .array(z.object({ losses, bytes: count }))
      .describe("bytes of blocks, before encoding, by further lost disks they survive; -1: not readable now"),
    riskiest: z
      .array(z.object({ partition: count, losses, lacking: z.array(id) }))
      .describe("the partitions at greatest risk, the worst first"),
    wholeInSeconds: z.number().nonnegative().optional(),
    atRisk: z
      .object({
        bytes: count.describe(
          "of blocks, before encoding, that survive fewer lost disks than once complete; 0: only metadata does, or only as to folders of one disk",
        ),
        totalBytes: count,
        devices: z.array(id).describe("that cause it"),
        what: z.string().describe("how much survives how little; a sentence without a full stop, as the next three"),
        because: z.string().describe("the devices, node or zone that cause it, and why"),
        repair: z.string().describe("what repairs it, and when"),
        action: z.string().describe("one thing to do"),
        command: z.string().optional().describe("that does it, or shows how far it is"),
      })
      .optional()
      .describe("absent if nothing is less safe than once complete, or while that is being checked"),
  })
  .meta({ id: "Safety" })

export const QUEUE = z.object({ name: z.string(), depth: count, limit: count }).meta({ id: "WorkQueue" })

export const PROGRESS = z
  .object({
    doneBytes: count,
    remainingBytes: count,
    bytesPerSecond: z.number().nonnegative().describe("over the last minutes"),
    endsInSeconds: seconds.optional().describe("absent if nothing remains, or the rate is not known yet"),
  })
  .meta({ id: "Progress" })

export const node = z.string().describe("name of the node that serves it; absent on one machine")
export const zone = z.string().describe("absent if none is named")
export const machine = z.string().describe("within its zone")

export const DEVICE = z
  .object({
    id,
    path: z.string(),
    node: node.optional(),
    zone: zone.optional(),
    machine: machine.optional(),
    state: z.enum(["active", "rebuilding", "draining", "decommissioning", "offline", "missing", "failed", "full"]),
    reason: z.string().describe("the reason for the state"),
    sinceMs: timestamp.optional().describe("when the state was entered, milliseconds since 1970"),
    weight: z.number().positive().describe("its share of the shards, relative to the other devices"),
    metadataReplica: z.enum(["yes", "learning", "no"]),
    disk: z.string().optional().describe("equal for folders of one machine on one file system, which fail together"),
    totalBytes: count,
    freeBytes: count,
    usableBytes: count.optional().describe("free bytes, without the reserve for deletes, repair and compaction"),
    reserveBytes: count.optional(),
    deadBytes: count.optional().describe("bytes of deleted data, which compaction may reclaim"),
    fullInSeconds: seconds
      .optional()
      .describe(
        "at the rate at which the store has filled it in the last hour; absent if it is not filling up, or not known yet",
      ),
    fileSystemKind: z.string(),
    memtableRows: count.optional().describe("rows not yet in the metadata store; absent if the device is not open"),
    asideRows: count.optional().describe("rows too long for the metadata store; absent for devices of other nodes"),
    logBytes: count.optional().describe("bytes of the commit log above its cut; absent if the device is not open"),
    volumeBytes: count.optional().describe("bytes of needle volumes; absent if the device is not open"),
    queues: z.array(QUEUE),
  })
  .meta({ id: "Device" })

export const REPAIR = z
  .object({
    isPaused: z.boolean(),
    partitionsScanned: count.describe("of 65,536, since the last change of devices or layout"),
    partitionsDone: count.describe("partitions that lacked shards and no longer do"),
    partitionsRemaining: count.describe("partitions that lack shards; complete once all partitions are scanned"),
    progress: PROGRESS.describe("in bytes of missing shards"),
    rebuiltShards: count.describe("since the start of the process"),
    lostBlocks: count.describe("blocks of objects with fewer remaining shards than a read requires"),
    lostBytes: count.describe("bytes of these blocks, before encoding"),
    lostObjects: z
      .array(z.object({ bucket: z.string(), key: z.string(), what: z.enum(["object", "version", "part"]) }))
      .describe("the first that cannot be read: objects, older versions of objects, parts of uploads"),
    lostObjectsMin: count
      .optional()
      .describe(
        "at least so many cannot be read, as far as rows have been checked; older versions of one key count once, as do parts of its uploads; absent from a node of an earlier release",
      ),
    singleCopyBlocks: count.describe("blocks that were written as a single copy, regardless of their policy"),
  })
  .meta({ id: "Repair" })

export const SCRUB = z
  .object({
    device: id,
    state: z.enum(["running", "waiting", "paused"]),
    passStartedMs: timestamp,
    progress: PROGRESS.describe("of this pass"),
    oldestVerifiedMs: timestamp.describe("when the least recently verified byte was verified or written"),
    damagesFound: count.describe("since the start of the process"),
  })
  .meta({ id: "Scrub" })
const RATES = z
  .object({
    holder: z.enum(["account", "key"]),
    id: z.string(),
    refused: count.describe("requests beyond the limit"),
    paced: count.describe("requests and pieces of bodies that had to wait"),
    waiting: count.describe("of these, now"),
  })
  .meta({ id: "Rates" })
const KEY_SERVICE = z
  .object({
    name: z.enum(["vault", "aws"]),
    state: z.enum(["reachable", "unreachable", "refuses"]).describe("refuses: it does not accept the credentials"),
    sinceMs: timestamp.optional().describe("of a state that is not reachable"),
    reason: z.string().optional(),
    running: count.describe("calls"),
    waiting: count.describe("calls"),
  })
  .meta({ id: "KeyService" })
export const ERASURE = z
  .object({
    bucket: z.string().describe("its former name"),
    bucketId: count,
    sinceMs: timestamp,
    keysReplaced: z.boolean().describe("the control record has no key any more that opens the bucket's secret"),
    devices: z
      .array(z.object({ id, path: z.string(), isOffline: z.boolean(), node: node.optional() }))
      .describe("those that may still have such a key"),
    versions: count.describe("still to be removed"),
    uploads: count.describe("still to be removed"),
  })
  .meta({ id: "Erasure" })
export const LAYOUT_FACTS = {
  version: count,
  width: count.describe("slots of each partition"),
  transition: z
    .object({ fromVersion: count, progress: PROGRESS.optional() })
    .optional()
    .describe("present while shards move from one layout to the next"),
}
export const LAYOUT = z.object(LAYOUT_FACTS).meta({ id: "Layout" })
export const NODES = z
  .object({
    own: z.string().describe("the node that was asked"),
    steward: z.string().optional().describe("the node that watches over the others; absent if none does now"),
    nodes: z.array(
      z.object({
        name: z.string(),
        zone: zone.optional(),
        machine,
        address: z.string().describe("where the other nodes reach it"),
        version: z.string().describe("of its program"),
        state: z
          .enum(["serving", "unreachable", "silent", "ended", "removed", "unknown"])
          .describe("as the node that was asked sees it"),
        reason: z.string().describe("the reason for the state"),
        use: z
          .enum(["in use", "draining", "drained", "leaving"])
          .describe("whether its devices are being emptied, to stay or to leave"),
        devices: z.array(id),
        cannotReach: z.array(z.string()).describe("nodes that it cannot reach"),
        jobs: z.array(z.string()).describe("jobs that it does for the whole store"),
      }),
    ),
    idleJobs: z.array(z.string()).describe("jobs for the whole store that no node does now"),
    heldBack: z.array(z.string()).describe("silent nodes that wait for a decision: which, why, and what to do"),
  })
  .meta({ id: "Nodes" })

const milliseconds = z.number().nonnegative()
const responseTimes = z
  .object({
    count,
    medianMs: milliseconds,
    slowMs: milliseconds.describe("99 of 100 take no longer"),
  })
  .optional()
const DATABASE_HEALTH = z
  .object({
    version: z.string().optional().describe("as the server describes itself"),
    isInRecovery: z.boolean().optional(),
    settings: z.record(z.string(), z.string()).describe("settings that matter, as they are now"),
    bytes: count.optional().describe("size of the database"),
    unfrozenTransactions: count
      .optional()
      .describe("transactions since the oldest one whose rows are not frozen; the database stops at 2.1e9"),
    connectionsMax: count.optional(),
    connectionsLeft: count.optional().describe("that the server, the database and the role still allow"),
    tables: z
      .array(
        z.object({
          name: z.string(),
          liveRows: count,
          deadRows: count.describe("replaced or deleted versions of rows that vacuum has not removed yet"),
          bytes: count.optional(),
          vacuumedSecondsAgo: z.number().optional().describe("absent if never, as far as the database knows"),
        }),
      )
      .optional()
      .describe("tables of the store"),
    holders: z
      .array(
        z.object({
          kind: z.enum(["session", "prepared", "standby", "slot"]),
          name: z.string().describe("the process id of a session, otherwise a name"),
          owner: z.string().describe("user and application"),
          seconds: z.number().optional(),
          transactions: z.number().optional().describe("that have begun since"),
        }),
      )
      .optional()
      .describe("the oldest transactions that hold back vacuum"),
    standbys: z
      .array(
        z.object({
          name: z.string(),
          state: z.string().optional(),
          sync: z.string().optional().describe("sync or quorum: commits wait for it"),
          lagBytes: z.number().optional().describe("what it has not applied yet"),
          lagSeconds: z.number().optional(),
          goneSeconds: seconds.optional().describe("for how long it has not been connected; absent: it is"),
        }),
      )
      .optional(),
    unusedSlots: z
      .array(z.object({ name: z.string(), bytes: z.number().optional().describe("of WAL that it keeps") }))
      .optional()
      .describe("replication slots that are not in use"),
  })
  .meta({ id: "DatabaseHealth" })
export const DATABASE = z
  .object({
    own: z.string().describe("the node that was asked"),
    findings: z
      .array(
        z.object({
          check: z.enum([
            "responseTimes",
            "clock",
            "oldSnapshot",
            "deadRows",
            "vacuum",
            "durability",
            "recovery",
            "replication",
            "connections",
            "slots",
            "transactionIds",
          ]),
          sentence: z.string().describe("what is wrong, what it means, and what to do"),
        }),
      )
      .describe("empty if nothing is wrong"),
    nodes: z
      .array(
        z.object({
          name: z.string(),
          commits: responseTimes.describe("over the last minutes; absent: none"),
          reads: responseTimes.describe("over the last minutes; absent: none"),
          clock: z
            .object({ aheadMs: z.number(), uncertainMs: milliseconds })
            .optional()
            .describe("how far its clock is ahead of the database's, and by how much that may be wrong"),
        }),
      )
      .describe("how the database answers each node"),
    health: DATABASE_HEALTH.optional().describe(
      "what it says about itself, as one node has read it; what it does not say, or not to this role, is absent",
    ),
    healthSecondsAgo: seconds.optional(),
  })
  .meta({ id: "Database" })

/** The status without the fields of features. */
export const STATUS = z.object({
  storeId: z.string(),
  version: z.string(),
  region: z.string(),
  startedMs: timestamp,
  uptimeSeconds: seconds,
  policy: z.string().describe("the policy for new blocks: ec:4+3, replica:2"),
  isPolicyAutomatic: z.boolean().describe("true if no policy was set: it follows the number of devices"),
  blockBytes: count,
  isEncryptedAtRest: z.boolean().describe("whether everything on the devices is encrypted"),
  bucketsWithoutKeys: count.describe("buckets whose keys were missing when they were last asked for"),
  isShortOfKeys: z
    .boolean()
    .describe("whether a device of this node lacks the newest keys: requests that need a new key fail"),
  encrypting: z
    .object({
      percent: z.number().int().describe("of the bytes of objects"),
      doing: z.string(),
      devices: z.array(
        z.object({ id: z.string(), path: z.string(), isOffline: z.boolean(), left: z.string().optional() }),
      ),
      troubles: z
        .array(z.object({ bucket: z.string(), key: z.string(), reason: z.string() }))
        .describe("objects that could not be encrypted in the latest pass, and are tried again; 100 of them"),
      troubleCount: count.describe("of all such objects"),
    })
    .optional()
    .describe("present while an existing store is being encrypted, with the devices that may still have plain files"),
  compatibility: z
    .array(z.string())
    .describe("enabled settings that allow, for older clients, requests that are refused by default"),
  threads: z
    .object({
      wanted: count,
      running: count,
      reason: z.string().optional().describe("why there are none"),
    })
    .optional()
    .describe("front threads, which serve the ports of clients; absent if none are configured"),
  safety: SAFETY,
  metadata: z
    .object({ isInDatabase: z.boolean(), copies: count, copiesWanted: count, learning: count })
    .describe("metadata replicas on the disks: present, wanted, and still being filled; none if it is in a database"),
  health: z.object({
    ready: z.boolean(),
    reasons: z.array(z.string()),
    refusesWrites: z.boolean().optional().describe("a device, or the database, is full: new objects may be refused"),
  }),
  devices: z.array(DEVICE),
  nodes: NODES.optional().describe("absent on one machine"),
  database: DATABASE.optional().describe("absent if the metadata is on the devices"),
  layout: LAYOUT,
  reencoding: PROGRESS.optional().describe("present while blocks are re-encoded from one policy to another"),
  repair: REPAIR.optional(),
  scrub: z.array(SCRUB).optional(),
  rates: z
    .array(RATES)
    .optional()
    .describe("accounts and keys whose limits of rates were used, on this node since its start"),
  erasures: z.array(ERASURE).optional().describe("of buckets, under way; absent if there are none"),
  keyServices: z.array(KEY_SERVICE).optional().describe("of this node; absent if it has none"),
  jobs: z.array(JOB),
  queues: z.array(QUEUE),
})
