/** The operations of `/v1` on accounts, keys and buckets; those on the store are in `store-operations.ts`. */
import type { z } from "zod"
import type { AccessKey, Account } from "../access/contract.js"
import { fail } from "../base/failures.js"
import { objectKeyOfText, parseAccessKeyId, parseAccountId, parseBucketId } from "../base/ids.js"
import { parseBucketName, parseNewBucketName, type BucketId } from "../base/ids.js"
import type { Bucket, Buckets } from "../object/contract.js"
import { denialJson } from "./explain-denial.js"
import { parseBody, type Operation, type Services } from "./operation.js"
import * as schema from "./schemas.js"
import { KEY_OPERATIONS } from "./key-operations.js"
import { QUOTA_OPERATIONS } from "./quota-operations.js"
import { UNDELETE_OPERATIONS } from "./undelete-operations.js"
import { STORE_OPERATIONS } from "./store-operations.js"
import { AUDIT_OPERATIONS } from "./audit-operations.js"
import { TOKEN_OPERATIONS } from "./token-operations.js"

const PAGE_MAX = 1000
const PAGE_DEFAULT = 100

const keyJson = ({ id, accountId, createdMs, isActive, userName, service, limits }: AccessKey) => ({
  ...{ accessKeyId: id, accountId, createdMs, isActive, userName },
  ...service,
  ...(limits && { limits }),
})

/** Undefined if the request sets no limit at all. */
function limitsOf(body: unknown): Account["limits"] {
  const { requestsPerSecond, burst, bytesPerSecond } = parseBody(schema.LIMITS, body)
  if (requestsPerSecond === undefined && bytesPerSecond === undefined) return undefined
  return { requestsPerSecond, burst, bytesPerSecond }
}

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

function pageSize(query: ReadonlyMap<string, string>): number {
  const text = query.get("max") ?? String(PAGE_DEFAULT)
  const max = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (max < 1 || max > PAGE_MAX) throw fail("invalidArgument", { message: `max must be 1 to ${PAGE_MAX}` })
  return max
}

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

async function createKey({ accounts, rootAccount }: Services, body: unknown) {
  const request = parseBody(schema.NEW_KEY, body)
  const accountId = request.accountId === undefined ? rootAccount : parseAccountId(request.accountId)
  const { accessKeyId, secretAccessKey: secret, userName } = request
  const owned = { accountId, userName, service: serviceOf(request) }
  if (accessKeyId === undefined && secret === undefined) {
    const created = await accounts.createKey(owned)
    return { ...keyJson(created.key), secretAccessKey: created.secret }
  }
  if (accessKeyId === undefined || secret === undefined) {
    throw fail("invalidArgument", { message: "send both accessKeyId and secretAccessKey, or neither" })
  }
  return keyJson(await accounts.importKey({ ...owned, id: parseAccessKeyId(accessKeyId), secret }))
}

/** The fields of a service key; undefined if the request has none of them. */
function serviceOf({ description, expiresMs, policy }: z.output<typeof schema.NEW_KEY>): AccessKey["service"] {
  if (description === undefined && expiresMs === undefined && policy === undefined) return undefined
  return { description: description ?? "", expiresMs, policy }
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
  ...KEY_OPERATIONS,
  ...QUOTA_OPERATIONS,
  ...UNDELETE_OPERATIONS,
  ...TOKEN_OPERATIONS,
  ...AUDIT_OPERATIONS,
  {
    id: "listAccounts",
    method: "GET",
    path: "/v1/accounts",
    summary: "Lists all accounts.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.ACCOUNTS },
    run: async ({ accounts }) => ({ accounts: await accounts.listAccounts() }),
  },
  {
    id: "createAccount",
    method: "POST",
    path: "/v1/accounts",
    summary: "Creates an account, without keys.",
    parameters: [],
    request: schema.NEW_ACCOUNT,
    response: { status: 201, schema: schema.ACCOUNT },
    run: ({ accounts }, { body }) => {
      const { id, displayName, email } = parseBody(schema.NEW_ACCOUNT, body)
      return accounts.createAccount({ ...(id === undefined ? {} : { id: parseAccountId(id) }), displayName, email })
    },
  },
  {
    id: "limitAccount",
    method: "POST",
    path: "/v1/accounts/{id}/limits",
    summary: "Replaces the limits of rates of an account; an empty object removes them.",
    parameters: [],
    request: schema.LIMITS,
    response: { status: 204, schema: undefined },
    run: ({ accounts }, { target, body }) => accounts.limitAccount(parseAccountId(target), limitsOf(body)),
  },
  {
    id: "limitKey",
    method: "POST",
    path: "/v1/keys/{id}/limits",
    summary: "Replaces the limits of rates of a key; an empty object removes them. Those of its account apply too.",
    parameters: [],
    request: schema.LIMITS,
    response: { status: 204, schema: undefined },
    run: ({ accounts }, { target, body }) => accounts.limitKey(parseAccessKeyId(target), limitsOf(body)),
  },
  {
    id: "listKeys",
    method: "GET",
    path: "/v1/keys",
    summary: "Lists keys, without their secrets.",
    parameters: [{ name: "accountId", description: "only those of this account" }],
    request: undefined,
    response: { status: 200, schema: schema.KEYS },
    run: async ({ accounts }, { query }) => {
      const account = query.get("accountId")
      const keys = await accounts.listKeys(account === undefined ? undefined : parseAccountId(account))
      return { keys: keys.map(keyJson) }
    },
  },
  {
    id: "createKey",
    method: "POST",
    path: "/v1/keys",
    summary: "Generates a key pair, or imports an existing one.",
    parameters: [],
    request: schema.NEW_KEY,
    response: { status: 201, schema: schema.KEY_WITH_SECRET },
    run: (services, { body }) => createKey(services, body),
  },
  ...[true, false].map((isActive): Operation => {
    const verb = isActive ? "enable" : "disable"
    return {
      id: `${verb}Key`,
      method: "POST",
      path: `/v1/keys/{id}/${verb}`,
      summary: isActive ? "Enables a disabled key." : "Disables a key; requests signed with it are refused.",
      parameters: [],
      request: undefined,
      response: { status: 204, schema: undefined },
      run: ({ accounts }, { target }) => accounts.setKeyActive(parseAccessKeyId(target), isActive),
    }
  }),
  {
    id: "deleteKey",
    method: "DELETE",
    path: "/v1/keys/{id}",
    summary: "Deletes a key; requests signed with it are refused from now on.",
    parameters: [],
    request: undefined,
    response: { status: 204, schema: undefined },
    run: ({ accounts }, { target }) => accounts.removeKey(parseAccessKeyId(target)),
  },
  {
    id: "explainDenial",
    method: "GET",
    path: "/v1/denials/{id}",
    summary: "Explains why a request to S3, IAM or STS was denied, and the smallest change that would have helped.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.DENIAL },
    run: (services, { target }) => denialJson(services, target),
  },
  {
    id: "listBuckets",
    method: "GET",
    path: "/v1/buckets",
    summary: "Lists buckets of all accounts with their usage.",
    parameters: [
      { name: "owner", description: "only those of this account" },
      { name: "after", description: "`next` of the previous page" },
      { name: "max", description: `page size, up to ${PAGE_MAX} (default ${PAGE_DEFAULT})` },
    ],
    request: undefined,
    response: { status: 200, schema: schema.BUCKETS },
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
    run: (services, { body }) => createBucket(services, body),
  },
  {
    id: "getBucket",
    method: "GET",
    path: "/v1/buckets/{name}",
    summary: "Returns one bucket with its usage.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.BUCKET },
    run: async ({ buckets }, { target }) => bucketJson(buckets, await buckets.open(parseBucketName(target))),
  },
  {
    id: "explainLifecycle",
    method: "GET",
    path: "/v1/buckets/{name}/lifecycle/explain",
    summary: "Explains what the lifecycle rules of a bucket do to the versions of a key, when, or why not.",
    parameters: [{ name: "key", description: "of the object" }],
    request: undefined,
    response: { status: 200, schema: schema.LIFECYCLE_EXPLANATION },
    run: (services, { target, query }) => explainLifecycle(services, target, query.get("key") ?? ""),
  },
  {
    id: "previewLifecycle",
    method: "GET",
    path: "/v1/buckets/{name}/lifecycle/preview",
    summary:
      "Returns what the next pass of lifecycle would remove from a bucket, by rule. It reads all rows of the bucket.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.LIFECYCLE_PREVIEW },
    run: ({ lifecycle }, { target }) => lifecycle.preview(parseBucketName(target)),
  },
  {
    id: "eraseBucket",
    method: "POST",
    path: "/v1/buckets/{name}/erase",
    summary:
      "Destroys the key of a bucket whose objects are all encrypted: nothing opens them any more. Their rows and bytes are removed in the background.",
    parameters: [],
    request: schema.ERASE_BUCKET,
    response: { status: 202, schema: schema.ERASURE_STATE },
    run: async ({ erasures }, { target, body }) => {
      const { confirm } = parseBody(schema.ERASE_BUCKET, body)
      return erasureJson(erasures, await erasures.begin(parseBucketName(target), confirm))
    },
  },
  {
    id: "getErasure",
    method: "GET",
    path: "/v1/erasures/{bucketId}",
    summary: "Returns how far the erasure of a bucket is, by the id that its begin has returned.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.ERASURE_STATE },
    run: ({ erasures }, { target }) => erasureJson(erasures, parseBucketId(Number(target))),
  },
  {
    id: "deleteBucket",
    method: "DELETE",
    path: "/v1/buckets/{name}",
    summary: "Deletes an empty bucket and aborts its unfinished uploads.",
    parameters: [],
    request: undefined,
    response: { status: 204, schema: undefined },
    run: async ({ buckets }, { target }) => buckets.remove(await buckets.open(parseBucketName(target))),
  },
]
