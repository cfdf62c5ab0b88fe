/** The operations of remote buckets: remote stores and the cache, and the writes of a bucket that its remote does not have yet. */
import type { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketName, textOfObjectKey } from "@hayloft/base/ids.js"
import type { Freshness, PendingWrite, RemoteAdmin, RemoteSetting, ShownStore } from "./contract.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import {
  onBucket,
  operation,
  PAGE_PARAMETERS,
  pageSize,
  type Operation,
  type OperationInput,
  type OperatorServices,
} from "../operator/index.js"
import { PENDING_COUNTED_MAX, PENDING_WRITES, REMOTES } from "./schemas.js"
import { REMOTE_ADMIN } from "./services.js"
import { pendingText, remotesText } from "./text.js"

type Report = z.output<typeof REMOTES>
type ShownBucket = Report["buckets"][number]
type Pending = z.output<typeof PENDING_WRITES>

/** Throws `notImplemented` if remote buckets are switched off. */
function switchedOn({ core }: OperatorServices): RemoteAdmin {
  const remotes = REMOTE_ADMIN.find(core)
  if (remotes !== undefined) return remotes
  throw fail("notImplemented", { message: "remote buckets are switched off: start the store with --remotes" })
}

function storeJson({ lastError, lastErrorMs, accounts, ...store }: ShownStore): Report["stores"][number] {
  return {
    ...store,
    accounts: [...accounts],
    ...(lastError !== undefined && { lastError }),
    ...(lastErrorMs !== undefined && { lastErrorMs }),
  }
}

const freshnessJson = (freshness: Freshness): ShownBucket["freshness"] => ({ ...freshness })

/** A write of a bucket without write-back is under way, not pending. */
async function bucketJson(remotes: RemoteAdmin, bucket: Bucket, setting: RemoteSetting): Promise<ShownBucket> {
  const { store, bucket: remoteBucket, prefix, writes, freshness } = setting
  const pending = writes === "Through" ? [] : await remotes.pending(bucket, PENDING_COUNTED_MAX)
  return {
    bucket: bucket.name,
    store,
    remoteBucket,
    prefix,
    writes,
    freshness: freshnessJson(freshness),
    pending: pending.length,
  }
}

async function report(services: OperatorServices): Promise<Report> {
  const remotes = switchedOn(services)
  const shown = { stores: remotes.stores().map(storeJson), cache: { ...remotes.cache() } }
  const buckets: ShownBucket[] = []
  for (const { bucket, setting } of await remotes.buckets()) buckets.push(await bucketJson(remotes, bucket, setting))
  return { ...shown, buckets: buckets.sort((a, b) => (a.bucket < b.bucket ? -1 : 1)) }
}

function pendingJson({ key, kind, sizeBytes, sinceMs, lastError }: PendingWrite): Pending["pending"][number] {
  return { key: textOfObjectKey(key), kind, sizeBytes, sinceMs, ...(lastError !== undefined && { lastError }) }
}

/** Throws `invalidArgument` if the bucket is not remote. */
async function remoteBucketIn(
  services: OperatorServices,
  { segment }: Pick<OperationInput, "segment">,
): Promise<Bucket> {
  const bucket = await services.buckets.open(parseBucketName(segment("bucket")))
  if (bucket.settings.includes("remote")) return bucket
  throw fail("invalidArgument", { message: `the bucket ${bucket.name} is not remote` })
}

async function listPending(services: OperatorServices, input: OperationInput): Promise<Pending> {
  const [remotes, max] = [switchedOn(services), pageSize(input.query)]
  const bucket = await remoteBucketIn(services, input)
  const found = await remotes.pending(bucket, max + 1)
  return { pending: found.slice(0, max).map(pendingJson), hasMore: found.length > max }
}

export const LIST_PENDING_WRITES = operation("listPendingRemoteWrites", "GET /v1/buckets/{bucket}/remote/pending", {
  summary: "Lists writes of a remote bucket that its remote store does not have yet.",
  parameters: PAGE_PARAMETERS.filter(({ name }) => name === "max"),
  answer: PENDING_WRITES,
  permission: onBucket("s3:GetBucketRemote", "s3:ListBucketVersions"),
  run: listPending,
  commands: [
    {
      name: "remote pending",
      help: "writes of a bucket that its remote does not have yet, and why",
      inputs: { bucket: { flags: "<BUCKET>" } },
      sends: { max: PENDING_COUNTED_MAX },
      list: "pending",
      text: pendingText,
    },
  ],
})

export const REMOTE_OPERATIONS: readonly Operation[] = [
  operation("getRemotes", "GET /v1/remotes", {
    summary: "Returns the remote stores, what their cache holds, and the buckets whose objects are in them.",
    answer: REMOTES,
    isOff: ({ core }) => REMOTE_ADMIN.find(core) === undefined,
    run: report,
    commands: [
      {
        name: "remote stores",
        help: "the stores that the operator's file names, the buckets that use them, and their cache",
        text: remotesText,
      },
    ],
  }),
  LIST_PENDING_WRITES,
  operation("resumePendingRemoteWrites", "POST /v1/buckets/{bucket}/remote/resume", {
    summary: "Lets pending writes of a remote bucket be sent, which are held after a loss of rows.",
    scope: "all",
    answer: PENDING_WRITES,
    async run(services, input) {
      await switchedOn(services).resume(await remoteBucketIn(services, input))
      return listPending(services, input)
    },
    commands: [
      {
        name: "remote resume",
        help: "send pending writes that are held since a rescue, or since a reconciliation",
        inputs: { bucket: { flags: "<BUCKET>" } },
        text: pendingText,
      },
    ],
  }),
]
