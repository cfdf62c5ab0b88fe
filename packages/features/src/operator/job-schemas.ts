/** Schemas of jobs in the admin API's JSON: background jobs, and those that callers start. */
import { z } from "zod"

const timestamp = z.number().int().describe("milliseconds since 1970")
const count = z.number().int().nonnegative()

export const JOB = z
  .object({
    name: z.string(),
    state: z.enum(["busy", "throttled", "idle", "done", "failed"]),
    isPaused: z.boolean().optional().describe("absent: not known, as of a job on another node"),
    progress: z.string(),
    lastError: z.string().optional(),
    throttle: z.number().nonnegative().describe("pause after a step, as a multiple of the step's duration"),
  })
  .meta({ id: "Job" })

export const STARTED_JOB = z
  .object({
    id: z.string(),
    kind: z.string().describe("delete-objects, drain, reencode …"),
    target: z.string().describe("what it works on"),
    state: z.enum(["running", "paused", "cancelling", "done", "failed", "cancelled"]),
    phase: z.string().describe("what it does now; empty once it has ended"),
    isDryRun: z.boolean().describe("it only counts"),
    starter: z.object({
      kind: z.enum(["operator", "token", "key", "store"]).describe("store: no caller has started it"),
      id: z.string(),
      name: z.string(),
    }),
    progress: z.object({
      done: z.number().nonnegative(),
      total: z.number().nonnegative().optional().describe("absent: not known yet"),
      unit: z.enum(["objects", "bytes", "versions", "rows", "percent"]),
    }),
    rate: z.number().nonnegative().optional().describe("units of the progress a second; absent: not known"),
    startedMs: timestamp,
    estimatedEndMs: timestamp.optional().describe("absent: not known"),
    endedMs: timestamp.optional().describe("absent: it is under way"),
    lastError: z.string().optional(),
    canCancel: z.boolean(),
    cancelBy: z.string().optional().describe("why it cannot be cancelled here, or what undoes it"),
    counts: z
      .object({
        scanned: count.describe("rows that were looked at"),
        matched: count.describe("objects or versions that the job is about"),
        matchedBytes: count,
        done: count,
        doneBytes: count,
        failed: count,
        changing: count.optional().describe("of a job that compares: what changed whenever it was compared"),
        repaired: count.optional().describe("of a job that repairs: what it has changed"),
      })
      .optional()
      .describe("of a job on objects: each object counts once, whatever process has died meanwhile"),
    failures: z
      .array(z.object({ key: z.string(), versionId: z.string().optional(), reason: z.string() }))
      .describe("the first ones"),
    plan: z
      .object({
        amounts: z
          .array(z.object({ what: z.string(), objects: count, bytes: count }))
          .describe("by what is done: restore, delete, unchanged"),
        first: z
          .array(z.object({ what: z.string(), key: z.string(), versionId: z.string().optional(), sizeBytes: count }))
          .describe("the first objects; the amounts count all"),
      })
      .optional()
      .describe("of a job that does more than one thing: what counting has found to do"),
    result: z.string().optional().describe("how it has ended"),
    revision: z.string().describe("another one after each change: to wait for the next, send it as `revision`"),
  })
  .meta({ id: "StartedJob" })

export const JOBS = z
  .object({
    jobs: z.array(JOB).describe("background jobs, which are always there"),
    started: z.array(STARTED_JOB).describe("what callers have started, and long work of the store; the newest first"),
    revision: z.string(),
  })
  .meta({ id: "Jobs" })
export const SET_THROTTLE = z.strictObject({ throttle: z.number().nonnegative() }).meta({ id: "SetThrottle" })

export const PAUSED_JOB = z.union([JOB, STARTED_JOB]).meta({ id: "PausedJob" })
