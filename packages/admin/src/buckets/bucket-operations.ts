/** The operations of `/v1/buckets` on buckets as such. */
import { fail } from "@hayloft/base/failures.js"
import { parseAccountId, parseBucketName, parseNewBucketName } from "@hayloft/base/ids.js"
import type { Bucket, Buckets } from "@hayloft/objects/contract.js"
import { bucketsText, bucketText } from "./bucket-text.js"
import { onBucket, PAGE_PARAMETERS, pageSize, parseBody } from "@hayloft/features/operator/index.js"
import { action, operation, type AdminOperation, type AdminServices } from "../operation.js"
import * as schema from "../schemas.js"

async function bucketJson(buckets: Buckets, bucket: Bucket) {
  const { name, owner, createdMs, location, versioning, undeleteDays } = bucket
  const undelete = undeleteDays === undefined ? {} : { undeleteDays }
  return { name, owner, createdMs, location, versioning, ...undelete, usage: await buckets.usage(bucket) }
}

/** Buckets of all accounts in order of owner, then name; the cursor `after` is "owner/name". */
async function listBuckets({ accounts, buckets }: AdminServices, query: ReadonlyMap<string, string>) {
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

async function createBucket(
  { accounts, buckets, rootAccount, newBucketSettings: settings }: AdminServices,
  body: unknown,
) {
  const request = parseBody(schema.NEW_BUCKET, body)
  const owner = request.owner === undefined ? rootAccount : parseAccountId(request.owner)
  if ((await accounts.getAccount(owner)) === undefined) throw fail("noSuchAccount", { account: owner })
  const { name, location } = request
  return bucketJson(buckets, await buckets.create({ name: parseNewBucketName(name), owner, location, settings }))
}

const GET_BUCKET_USAGE = operation("getBucketUsage", "GET /v1/buckets/{bucket}/usage", {
  summary: "Returns how much a bucket holds, and has held.",
  answer: schema.USAGE_HISTORY,
  permission: onBucket("s3:ListBucket"),
  async run({ buckets, usageHistory, policyFacts }, { segment }) {
    const bucket = await buckets.open(parseBucketName(segment("bucket")))
    const [usage, samples] = [await buckets.usage(bucket), await usageHistory.of(bucket.id)]
    return { nowMs: policyFacts.nowMs(), usage, samples }
  },
})

const CREATE_BUCKET = operation("createBucket", "POST /v1/buckets", {
  summary: "Creates a bucket.",
  request: schema.NEW_BUCKET,
  status: 201,
  answer: schema.BUCKET,
  permission: async ({ rootAccount }, { body }) => {
    const { name, owner } = parseBody(schema.NEW_BUCKET, body)
    const ownerId = owner === undefined ? rootAccount : parseAccountId(owner)
    return [{ action: "s3:CreateBucket", resource: `arn:aws:s3:::${parseNewBucketName(name)}`, owner: ownerId }]
  },
  run: (services, { body }) => createBucket(services, body),
  commands: [
    {
      name: "bucket create",
      help: "create a bucket",
      inputs: {
        name: { flags: "<NAME>" },
        owner: { flags: "--owner <ACCOUNT>", help: "owner (default: the root account)" },
        location: { flags: "--location <NAME>", help: "location constraint" },
      },
      text: ({ name }) => `created bucket ${name}\n`,
    },
  ],
})

const DELETE_BUCKET = action("deleteBucket", "DELETE /v1/buckets/{bucket}", {
  summary: "Deletes an empty bucket and aborts its unfinished uploads.",
  permission: onBucket("s3:DeleteBucket"),
  run: async ({ buckets }, { segment }) => buckets.remove(await buckets.open(parseBucketName(segment("bucket")))),
  commands: [
    {
      name: "bucket delete",
      help: "delete an empty bucket",
      inputs: { bucket: { flags: "<NAME>" } },
      json: (_, given) => ({ name: given("bucket"), deleted: 1 }),
      text: (_, given) => `deleted bucket ${given("bucket")}\n`,
    },
  ],
})

export const BUCKET_OPERATIONS: readonly AdminOperation[] = [
  operation("listBuckets", "GET /v1/buckets", {
    summary: "Lists buckets of all accounts with their usage.",
    parameters: [{ name: "owner", description: "only those of this account" }, ...PAGE_PARAMETERS],
    answer: schema.BUCKETS,
    mayNeedOwnAction: true,
    permission: async (_, { query }) => {
      const owner = query.get("owner")
      const [action, resource] = ["s3:ListAllMyBuckets", "arn:aws:s3:::*"]
      return owner === undefined ? [] : [{ action, resource, owner: parseAccountId(owner) }]
    },
    run: (services, { query }) => listBuckets(services, query),
    commands: [
      {
        name: "bucket list",
        help: "list buckets with their exact usage",
        inputs: { owner: { flags: "--owner <ACCOUNT>", help: "only buckets of this account" } },
        list: "buckets",
        text: bucketsText,
      },
    ],
  }),
  CREATE_BUCKET,
  operation("getBucket", "GET /v1/buckets/{bucket}", {
    summary: "Returns one bucket with its usage.",
    answer: schema.BUCKET,
    permission: onBucket("s3:ListBucket"),
    run: async ({ buckets }, { segment }) =>
      bucketJson(buckets, await buckets.open(parseBucketName(segment("bucket")))),
    commands: [
      {
        name: "bucket stat",
        help: "one bucket: owner, versioning, objects, bytes, and what it held before",
        inputs: { bucket: { flags: "<NAME>" } },
        async run({ call }, own) {
          const [bucket, history] = [await own(), await call(GET_BUCKET_USAGE)]
          return { json: { ...bucket, samples: history.samples }, text: bucketText(bucket, history) }
        },
      },
    ],
  }),
  GET_BUCKET_USAGE,
  DELETE_BUCKET,
]
