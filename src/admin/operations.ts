/** The operations of `/v1`: those on buckets, and all others, which their own files have. */
import { fail } from "../base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketId } from "../base/ids.js"
import { parseBucketName, parseNewBucketName, type BucketId } from "../base/ids.js"
import type { Bucket, Buckets } from "../object/contract.js"
import { denialJson } from "./explain-denial.js"
import { parseBody, type Operation, type Services } from "./operation.js"
import * as schema from "./schemas.js"
import { KEY_OPERATIONS } from "./key-operations.js"
import { COORD_OPERATIONS } from "./coord-operations.js"
import { TRANSFORM_OPERATIONS } from "./transform-operations.js"
import { DEDUP_OPERATIONS } from "./dedup-operations.js"
import { PACKING_OPERATIONS } from "./packing-operations.js"
import { COPIES_OPERATIONS } from "./copies-operations.js"
import { REMOTE_OPERATIONS } from "./remote-operations.js"
import { QUEUE_OPERATIONS } from "./queue-operations.js"
import { QUOTA_OPERATIONS } from "./quota-operations.js"
import { PLACEMENT_OPERATIONS } from "./placement-operations.js"
import { SETTING_OPERATIONS, VALUE_BYTES_MAX } from "./setting-operations.js"
import { SET_SETTING } from "./setting-schemas.js"
import { UNDELETE_OPERATIONS } from "./undelete-operations.js"
import { SIMULATION_OPERATIONS } from "./simulation-operations.js"
import { STORE_OPERATIONS } from "./store-operations.js"
import { ACCOUNT_OPERATIONS } from "./account-operations.js"
import { HISTORY_OPERATIONS } from "./history-operations.js"
import { INVENTORY_OPERATIONS } from "./inventory-operations.js"
import { IDENTITY_OPERATIONS } from "./identity-operations.js"
import { PAGE_PARAMETERS, pageSize } from "./listing.js"
import { POLICY_OPERATIONS } from "./policy-operations.js"
import { SIMULATE_OPERATIONS } from "./simulate-operations.js"
import { PROVIDER_OPERATIONS } from "./provider-operations.js"
import { AUDIT_OPERATIONS } from "./audit-operations.js"
import { EVENT_OPERATIONS } from "./event-operations.js"
import { LIVE_OPERATIONS } from "./live-operations.js"
import { actionOf, onBucket } from "./permits.js"
import { SHARE_OPERATIONS } from "./share-operations.js"
import { TOKEN_OPERATIONS } from "./token-operations.js"

async function bucketJson(buckets: Buckets, bucket: Bucket) {
  const { name, owner, createdMs, location, versioning, undeleteDays } = bucket
  const undelete = undeleteDays === undefined ? {} : { undeleteDays }
  return { name, owner, createdMs, location, versioning, ...undelete, usage: await buckets.usage(bucket) }
}

async function erasureJson(erasures: Services["erasures"], bucketId: BucketId) {
  const { state, report } = await erasures.state(bucketId)
  return { bucketId, state, ...(report && { report }) }
}

async function explainLifecycle({ lifecycle }: Services, name: string, key: string) {
  const { versions, ...explained } = await lifecycle.explain(parseBucketName(name), objectKeyOfText(key))
  return {
    ...explained,
    versions: versions.map(({ rules, ...version }) => ({
      ...version,
      rules: rules.map(({ ruleId, when, transitions }) => ({
        ...{ ruleId, ...whenOf(when) },
        ...(transitions && {
          transitions: transitions.map(({ storageClass, when: moved }) => ({ storageClass, ...whenOf(moved) })),
        }),
      })),
    })),
  }
}

const whenOf = <WhyNot>(when: number | WhyNot) => (typeof when === "number" ? { dueMs: when } : { whyNot: when })

/** Buckets of all accounts in order of owner, then name; the cursor `after` is "owner/name". */
async function listBuckets({ accounts, buckets }: Services, query: ReadonlyMap<string, string>) {
  const max = pageSize(query)
  const wanted = query.get("owner")
  const [afterOwner = "", ...afterName] = (query.get("after") ?? "").split("/")
  const owners = (await accounts.listAccounts())
    .map(account => account.id)
    .filter(owner => (wanted === undefined || owner === wanted) && owner >= afterOwner)
    .sort((a, b) => (a < b ? -1 : 1))
  if (wanted !== undefined && (await accounts.getAccount(parseAccountId(wanted))) === undefined)
    throw fail("noSuchAccount")
  const found: Bucket[] = []
  for (const owner of owners) {
    const after = owner === afterOwner ? afterName.join("/") : ""
    const page = await buckets.list({ owner, after, max: max + 1 - found.length })
    found.push(...page.buckets)
    if (found.length > max) break
  }
  const shown = []
  for (const bucket of found.slice(0, max)) shown.push(await bucketJson(buckets, bucket))
  const last = shown.at(-1)
  return { buckets: shown, ...(found.length > max && last ? { next: `${last.owner}/${last.name}` } : {}) }
}

async function createBucket({ accounts, buckets, rootAccount, newBucketSettings: settings }: Services, body: unknown) {
  const request = parseBody(schema.NEW_BUCKET, body)
  const owner = request.owner === undefined ? rootAccount : parseAccountId(request.owner)
  if ((await accounts.getAccount(owner)) === undefined) throw fail("noSuchAccount", { account: owner })
  const { name, location } = request
  return bucketJson(buckets, await buckets.create({ name: parseNewBucketName(name), owner, location, settings }))
}

export const OPERATIONS: readonly Operation[] = [
  ...STORE_OPERATIONS,
  ...PLACEMENT_OPERATIONS,
  ...SIMULATION_OPERATIONS,
  ...KEY_OPERATIONS,
  ...QUOTA_OPERATIONS,
  ...QUEUE_OPERATIONS,
  ...COORD_OPERATIONS,
  ...TRANSFORM_OPERATIONS,
  ...REMOTE_OPERATIONS,
  ...COPIES_OPERATIONS,
  ...DEDUP_OPERATIONS,
  ...PACKING_OPERATIONS,
  ...SETTING_OPERATIONS,
  ...UNDELETE_OPERATIONS,
  ...HISTORY_OPERATIONS,
  ...INVENTORY_OPERATIONS,
  ...TOKEN_OPERATIONS,
  ...AUDIT_OPERATIONS,
  ...ACCOUNT_OPERATIONS,
  ...IDENTITY_OPERATIONS,
  ...POLICY_OPERATIONS,
  ...PROVIDER_OPERATIONS,
  ...LIVE_OPERATIONS,
  ...EVENT_OPERATIONS,
  ...SIMULATE_OPERATIONS,
  ...SHARE_OPERATIONS,
  {
    id: "explainDenial",
    method: "GET",
    path: "/v1/denials/{request}",
    summary: "Explains why a request to S3, IAM or STS was denied, and the smallest change that would have helped.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.DENIAL },
    run: (services, { segment }) => denialJson(services, segment("request")),
  },
  {
    id: "listBuckets",
    method: "GET",
    path: "/v1/buckets",
    summary: "Lists buckets of all accounts with their usage.",
    parameters: [{ name: "owner", description: "only those of this account" }, ...PAGE_PARAMETERS],
    request: undefined,
    response: { status: 200, schema: schema.BUCKETS },
    permission: async ({ rootAccount }, { query }) => {
      const owner = query.get("owner")
      const [action, resource] = ["s3:ListAllMyBuckets", "arn:aws:s3:::*"]
      return owner === undefined
        ? [{ action: actionOf("listBuckets"), resource: "*", owner: rootAccount }]
        : [{ action, resource, owner: parseAccountId(owner) }]
    },
    run: (services, { query }) => listBuckets(services, query),
  },
  {
    id: "createBucket",
    method: "POST",
    path: "/v1/buckets",
    summary: "Creates a bucket.",
    parameters: [],
    request: schema.NEW_BUCKET,
    response: { status: 201, schema: schema.BUCKET },
    permission: async ({ rootAccount }, { body }) => {
      const { name, owner } = parseBody(schema.NEW_BUCKET, body)
      const ownerId = owner === undefined ? rootAccount : parseAccountId(owner)
      return [{ action: "s3:CreateBucket", resource: `arn:aws:s3:::${parseNewBucketName(name)}`, owner: ownerId }]
    },
    run: (services, { body }) => createBucket(services, body),
  },
  {
    id: "getBucket",
    method: "GET",
    path: "/v1/buckets/{bucket}",
    summary: "Returns one bucket with its usage.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.BUCKET },
    permission: onBucket("s3:ListBucket"),
    run: async ({ buckets }, { segment }) =>
      bucketJson(buckets, await buckets.open(parseBucketName(segment("bucket")))),
  },
  {
    id: "getBucketUsage",
    method: "GET",
    path: "/v1/buckets/{bucket}/usage",
    summary: "Returns how much a bucket holds, and has held.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.USAGE_HISTORY },
    permission: onBucket("s3:ListBucket"),
    async run({ buckets, usageHistory, policyFacts }, { segment }) {
      const bucket = await buckets.open(parseBucketName(segment("bucket")))
      const [usage, samples] = [await buckets.usage(bucket), await usageHistory.of(bucket.id)]
      return { nowMs: policyFacts.nowMs(), usage, samples }
    },
  },
  {
    id: "explainLifecycle",
    method: "GET",
    path: "/v1/buckets/{bucket}/lifecycle/explain",
    summary: "Explains what the lifecycle rules of a bucket do to the versions of a key, when, or why not.",
    parameters: [{ name: "key", description: "of the object" }],
    request: undefined,
    response: { status: 200, schema: schema.LIFECYCLE_EXPLANATION },
    permission: onBucket("s3:GetLifecycleConfiguration", "s3:ListBucketVersions"),
    run: (services, { segment, query }) => explainLifecycle(services, segment("bucket"), query.get("key") ?? ""),
  },
  {
    id: "previewLifecycle",
    method: "GET",
    path: "/v1/buckets/{bucket}/lifecycle/preview",
    summary:
      "Returns what the next pass of lifecycle would remove from a bucket, by rule. It reads all rows of the bucket.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.LIFECYCLE_PREVIEW },
    permission: onBucket("s3:GetLifecycleConfiguration", "s3:ListBucketVersions"),
    run: ({ lifecycle }, { segment }) => lifecycle.preview(parseBucketName(segment("bucket"))),
  },
  {
    id: "tryLifecycle",
    method: "POST",
    path: "/v1/buckets/{bucket}/lifecycle/preview",
    summary:
      "Returns what the next pass of lifecycle would remove from a bucket if it had other rules, which are not set. It reads at most a million rows.",
    parameters: [],
    request: SET_SETTING,
    isRead: true,
    bodyBytesMax: VALUE_BYTES_MAX,
    response: { status: 200, schema: schema.LIFECYCLE_PREVIEW },
    permission: onBucket("s3:GetLifecycleConfiguration", "s3:ListBucketVersions"),
    async run({ lifecycle, bucketDocuments }, { segment, body, signal }) {
      const { value } = parseBody(SET_SETTING, body)
      const rules = bucketDocuments.lifecycleRules(value)
      return lifecycle.tryRules(parseBucketName(segment("bucket")), rules, signal)
    },
  },
  {
    id: "eraseBucket",
    method: "POST",
    path: "/v1/buckets/{bucket}/erase",
    summary:
      "Destroys the key of a bucket whose objects are all encrypted: nothing opens them any more. Their rows and bytes are removed in the background.",
    parameters: [],
    request: schema.ERASE_BUCKET,
    response: { status: 202, schema: schema.ERASURE_STATE },
    run: async ({ erasures }, { segment, body }) => {
      const { confirm } = parseBody(schema.ERASE_BUCKET, body)
      return erasureJson(erasures, await erasures.begin(parseBucketName(segment("bucket")), confirm))
    },
  },
  {
    id: "getErasure",
    method: "GET",
    path: "/v1/erasures/{bucket}",
    summary: "Returns how far the erasure of a bucket is, by the id that its begin has returned.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.ERASURE_STATE },
    run: ({ erasures }, { segment }) => erasureJson(erasures, parseBucketId(Number(segment("bucket")))),
  },
  {
    id: "deleteBucket",
    method: "DELETE",
    path: "/v1/buckets/{bucket}",
    summary: "Deletes an empty bucket and aborts its unfinished uploads.",
    parameters: [],
    request: undefined,
    response: { status: 204, schema: undefined },
    permission: onBucket("s3:DeleteBucket"),
    run: async ({ buckets }, { segment }) => buckets.remove(await buckets.open(parseBucketName(segment("bucket")))),
  },
]
