/**
 * Schemas of accounts, keys and buckets in the admin API's JSON: they validate requests and describe the replies in the
 * OpenAPI document. Those of the store itself are in `store-schemas.ts`.
 */
import { z } from "zod"
import { ERASURE } from "./store/store-schemas.js"

const id = z.string().min(1).max(128)
const timestamp = z.number().int().describe("milliseconds since 1970")
const count = z.number().int().nonnegative()

const RATE_MAX = 1e15
const rate = z.number().int().positive().max(RATE_MAX)
/** Limits of rates. */
export const LIMITS = z
  .strictObject({
    requestsPerSecond: rate.optional().describe("more are refused: 503 SlowDown"),
    burst: rate.optional().describe("requests that may arrive at once; absent: as many as requestsPerSecond"),
    bytesPerSecond: rate.optional().describe("of bodies, received and sent together; they move more slowly"),
  })
  .refine(({ requestsPerSecond, burst }) => burst === undefined || requestsPerSecond !== undefined, {
    path: ["burst"],
    message: "needs requestsPerSecond",
  })
  .meta({ id: "Limits" })

export const ACCOUNT = z
  .object({
    id,
    number: z.string().describe("12 digits; ARNs identify the account by it"),
    displayName: z.string(),
    email: z.string(),
    createdMs: timestamp,
    limits: LIMITS.optional().describe("absent: none"),
  })
  .meta({ id: "Account" })
export const NEW_ACCOUNT = z
  .strictObject({
    id: z
      .string()
      .regex(/^[0-9A-Za-z._@-]{1,64}$/, "1 to 64 of the characters 0-9 A-Z a-z . _ @ -")
      .optional()
      .describe("generated (64 hex digits) if absent"),
    displayName: z.string().min(1).max(128),
    email: z.string().max(254).default(""),
  })
  .meta({ id: "NewAccount" })

/** Fields of a service key. */
const SERVICE = {
  description: z.string().max(256).optional().describe("what the key is for"),
  expiresMs: timestamp.optional().describe("when the key expires"),
  policy: z
    .string()
    .optional()
    .describe("an access policy as text, which limits the key in addition to its owner's permissions"),
}
export const KEY = z
  .object({
    accessKeyId: id,
    accountId: id,
    createdMs: timestamp,
    isActive: z.boolean().describe("false: requests with the key are refused until it is enabled"),
    userName: z.string().optional().describe("absent for a key of the account's root user"),
    ...SERVICE,
    limits: LIMITS.optional().describe("absent: none, but those of the account apply"),
    lastUse: z
      .object({ usedMs: timestamp, service: z.string(), region: z.string() })
      .optional()
      .describe("the latest request that it has signed, to a quarter of an hour; absent: none is known"),
  })
  .meta({ id: "Key" })
const SECRET = z.string().regex(/^[\x21-\x7e]{8,128}$/, "8 to 128 visible ASCII characters")
export const NEW_KEY = z
  .strictObject({
    accountId: id.optional().describe("the root account if absent"),
    accessKeyId: z
      .string()
      .regex(/^[0-9A-Za-z._=+/@-]{3,128}$/, "3 to 128 of the characters 0-9 A-Z a-z . _ = + / @ -")
      .optional(),
    secretAccessKey: SECRET.optional().describe("imports an existing pair; send both or neither"),
    userName: z.string().min(1).max(64).optional().describe("the owning user; the account's root user if absent"),
    ...SERVICE,
  })
  .meta({ id: "NewKey" })
export const CHANGE_KEY = z
  .strictObject({
    secretAccessKey: SECRET.optional().describe("absent: the secret stays"),
    description: z.string().max(1000).optional(),
    expiresMs: z.number().int().nullable().optional().describe("milliseconds since 1970; null: it never expires"),
    policy: z.string().nullable().optional().describe("null: nothing but its owner's permissions limits it"),
  })
  .meta({ id: "ChangeKey" })
export const KEY_WITH_SECRET = KEY.extend({
  secretAccessKey: z.string().optional().describe("shown only once, and only for a key that was generated here"),
}).meta({ id: "KeyWithSecret" })

export const USAGE = z
  .object({
    objects: count.describe("current objects, as a listing shows them"),
    versions: count.describe("all versions and delete markers"),
    bytes: count.describe("bytes of all versions"),
    uploads: count.describe("multipart uploads in progress"),
    kept: z
      .object({ objects: count, bytes: count })
      .optional()
      .describe("deleted and overwritten objects that undelete keeps, in no other count; absent: the count is lost"),
  })
  .meta({ id: "Usage" })
export const BUCKET = z
  .object({
    name: z.string(),
    owner: id,
    createdMs: timestamp,
    location: z.string(),
    versioning: z.enum(["never", "enabled", "suspended"]),
    undeleteDays: count.optional().describe("how long undelete keeps what is deleted; absent: it is off"),
    usage: USAGE,
  })
  .meta({ id: "Bucket" })
export const USAGE_HISTORY = z
  .object({
    nowMs: timestamp,
    usage: USAGE.describe("now"),
    samples: z
      .array(z.object({ atMs: timestamp, objects: count, bytes: count }))
      .describe(
        "the oldest first, each holds until the next: every hour of the last 7 days in which it has changed, and the end of such days of the last 400. Before the first one the bucket was empty, or not among the 2,000 largest",
      ),
  })
  .meta({ id: "UsageHistory" })
export const NEW_BUCKET = z
  .strictObject({
    name: z.string().min(3, "3 to 63 characters").max(63, "3 to 63 characters"),
    owner: id.optional().describe("the root account if absent"),
    location: z.string().max(64).default(""),
  })
  .meta({ id: "NewBucket" })

export const side = z
  .enum(["identity", "boundary", "session", "resource"])
  .describe(
    "the caller's identity policies, its permissions boundary, its session policy, or the policy of the bucket or role",
  )
export const DENIAL = z
  .object({
    requestId: z.string(),
    deniedMs: timestamp,
    service: z.string().describe("s3, iam or sts"),
    operation: z.string().describe("empty if it was not determined before the denial"),
    status: count.describe("HTTP status of the response"),
    code: z.string(),
    remoteAddress: z.string(),
    caller: z
      .object({
        kind: z.enum(["unknown", "anonymous", "root", "user", "session", "federated"]),
        arn: z.string().optional().describe("for a session its own ARN; for a web identity its provider's"),
        accountId: z.string().optional(),
        accountNumber: z.string().optional(),
        accessKeyId: z.string().optional().describe("as the request names it; proved unless the caller is unknown"),
      })
      .describe("unknown: the caller was not authenticated"),
    action: z.string().optional().describe("as policies name it"),
    resource: z.string().optional(),
    sentence: z.string().describe("why it was denied"),
    decidedBy: z
      .object({
        side,
        policy: z.string(),
        statement: z.number().int().positive().describe("its place in the policy, from 1"),
        sid: z.string().optional(),
      })
      .optional()
      .describe("the statement that denies it; absent if none does"),
    grants: z
      .array(z.object({ side, statement: z.string().describe("JSON, ready for a policy") }))
      .describe("the smallest grants that would have helped; all of them are required"),
    hints: z.array(z.string()),
  })
  .meta({ id: "Denial" })

export const HEALTH = z
  .object({ status: z.enum(["ok", "notReady"]), reasons: z.array(z.string()) })
  .meta({ id: "Health" })
export const ERROR = z.object({ error: z.object({ code: z.string(), message: z.string() }) }).meta({ id: "Error" })

export const ACCOUNTS = z.object({ accounts: z.array(ACCOUNT) }).meta({ id: "Accounts" })
export const KEYS = z.object({ keys: z.array(KEY) }).meta({ id: "Keys" })
export const BUCKETS = z
  .object({ buckets: z.array(BUCKET), next: z.string().optional().describe("`after` of the next page") })
  .meta({ id: "Buckets" })

export const ERASE_BUCKET = z
  .strictObject({ confirm: z.string().describe("the bucket's name: an erasure cannot be undone") })
  .meta({ id: "EraseBucket" })

export const ERASURE_STATE = z
  .object({
    bucketId: count,
    state: z.enum(["erasing", "erased"]).describe("erased: no device has a key that opens the bucket's secret"),
    report: ERASURE.optional().describe("of an erasure under way"),
  })
  .meta({ id: "ErasureState" })
