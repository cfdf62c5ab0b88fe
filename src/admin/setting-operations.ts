/**
 * The operations of `/v1` on the settings of a bucket as JSON: those of S3, of which S3's own requests read and write the
 * documents, and quota, undelete, append, dedup, packing, history and copies, which S3 does not have.
 *
 * Promises  A caller with access policies needs the same action as for the request of S3.
 * Limits    `VALUE_BYTES_MAX`.
 */
import { z } from "zod"
import { fail, isFailure } from "../base/failures.js"
import { parseBucketName } from "../base/ids.js"
import { COPIES_VALUE, parseCopiesSetting } from "../features/copies/index.js"
import { PACKING_DEFAULTS, PACKING_SETTING_LIMITS } from "../format/packing-rows.js"
import type { Bucket } from "../object/contract.js"
import { copiesOf } from "./copies-operations.js"
import { parseBody, type Operation, type OperationInput, type RequiredAction, type Services } from "./operation.js"
import { QUOTA_LIMITS } from "./quota-schemas.js"
import { BUCKET_SETTING, BUCKET_SETTINGS, SET_SETTING } from "./setting-schemas.js"
import { SET_UNDELETE } from "./undelete-schemas.js"

const DAY_SECONDS = 86_400
const PATH = "/v1/buckets/{bucket}/settings"
const ONE = `${PATH}/{setting}`
/** A thousand lifecycle rules with filters. */
export const VALUE_BYTES_MAX = 1024 * 1024

/** Appends, deduplication and histories have no settings of their own. */
const NO_MEMBERS = z.strictObject({})

type Value = Readonly<Record<string, unknown>>
type Method = "GET" | "PUT" | "DELETE"

/** A setting that S3 does not have. */
interface OwnSetting {
  /** The actions of the operation that does the same. */
  readonly actions: Readonly<Record<Method, string>>
  get(services: Services, bucket: Bucket): Promise<Value | undefined>
  put(services: Services, bucket: Bucket, value: Value): Promise<unknown>
  remove(services: Services, bucket: Bucket): Promise<unknown>
}

const OWN: ReadonlyMap<string, OwnSetting> = new Map<string, OwnSetting>([
  [
    "quota",
    {
      actions: { GET: "hayloft:GetBucketQuota", PUT: "hayloft:SetBucketQuota", DELETE: "hayloft:RemoveBucketQuota" },
      get: async ({ quotas }, { name }) => {
        const state = await quotas.show({ kind: "bucket", name })
        return state && { ...state.quota.limits }
      },
      put: ({ quotas }, { name }, value) => quotas.set({ kind: "bucket", name }, parseBody(QUOTA_LIMITS, value)),
      remove: ({ quotas }, { name }) => quotas.clear({ kind: "bucket", name }),
    },
  ],
  [
    "undelete",
    {
      actions: { GET: "hayloft:GetUndelete", PUT: "hayloft:SetUndelete", DELETE: "hayloft:DisableUndelete" },
      get: async (_, { undeleteDays: days }) => (days === undefined ? undefined : { days }),
      put: ({ undelete }, { id }, value) => undelete.setUndelete(id, parseBody(SET_UNDELETE, value).days),
      remove: ({ undelete }, { id }) => undelete.setUndelete(id, undefined),
    },
  ],
  [
    "append",
    {
      actions: { GET: "hayloft:GetBucketAppend", PUT: "hayloft:SetBucketAppend", DELETE: "hayloft:RemoveBucketAppend" },
      get: async (_, { settings }) => (settings.includes("append") ? {} : undefined),
      put: allowAppends,
      remove: ({ buckets }, bucket) => buckets.setSetting(bucket, "append", undefined),
    },
  ],
  [
    "dedup",
    {
      actions: { GET: "hayloft:GetBucketDedup", PUT: "hayloft:SetBucketDedup", DELETE: "hayloft:RemoveBucketDedup" },
      get: async (_, { settings }) => (settings.includes("dedup") ? {} : undefined),
      put: ({ dedup }, bucket, value) => {
        parseBody(NO_MEMBERS, value)
        return dedup.setDedup(bucket, true)
      },
      remove: ({ dedup }, bucket) => dedup.setDedup(bucket, false),
    },
  ],
  [
    "packing",
    {
      actions: {
        ...{ GET: "hayloft:GetBucketPacking", PUT: "hayloft:SetBucketPacking" },
        DELETE: "hayloft:RemoveBucketPacking",
      },
      get: async ({ packing }, bucket) => {
        const setting = await packing.setting(bucket)
        return setting && { ...setting }
      },
      put: beginPacking,
      remove: ({ packing }, bucket) => packing.set(bucket, undefined),
    },
  ],
  [
    "history",
    {
      actions: {
        ...{ GET: "hayloft:GetBucketHistory", PUT: "hayloft:SetBucketHistory" },
        DELETE: "hayloft:RemoveBucketHistory",
      },
      get: async (_, { settings }) => (settings.includes("history") ? {} : undefined),
      put: beginHistory,
      remove: ({ histories }, bucket) => histories.end(bucket),
    },
  ],
  [
    "copies",
    {
      actions: { GET: "hayloft:GetBucketCopies", PUT: "hayloft:SetBucketCopies", DELETE: "hayloft:RemoveBucketCopies" },
      get: shownCopies,
      put: (services, bucket, value) => copiesOf(services).set(bucket, parseBody(COPIES_VALUE, value)),
      remove: ({ buckets }, bucket) => buckets.setSetting(bucket, "copies", undefined),
    },
  ],
])

/** Also where the store was started without `--remotes`. */
async function shownCopies({ buckets }: Services, bucket: Bucket): Promise<Value | undefined> {
  if (!bucket.settings.includes("copies")) return undefined
  const record = await buckets.setting(bucket, "copies")
  if (record === undefined) return undefined
  const { id: _, ...value } = parseCopiesSetting(record.document)
  return value
}

/** Throws `invalidRequest`. */
async function allowAppends({ buckets }: Services, bucket: Bucket, value: Value): Promise<void> {
  parseBody(NO_MEMBERS, value)
  if (bucket.versioning !== "never")
    throw fail("invalidRequest", { message: "objects of a bucket with versioning cannot be appended to" })
  await buckets.setSetting(bucket, "append", "{}")
}

const { afterSecondsMax, maxBytesMax } = PACKING_SETTING_LIMITS
const PACKING_SETTING = z
  .strictObject({
    afterDays: z
      .number()
      .min(0)
      .max(afterSecondsMax / DAY_SECONDS)
      .optional(),
    afterSeconds: z.number().int().min(0).max(afterSecondsMax).optional(),
    maxBytes: z.number().int().min(1).max(maxBytesMax).default(PACKING_DEFAULTS.maxBytes),
  })
  .refine(({ afterDays, afterSeconds }) => afterDays === undefined || afterSeconds === undefined, {
    message: "afterDays or afterSeconds, not both",
  })

/** Throws `invalidRequest`. */
async function beginPacking({ packing }: Services, bucket: Bucket, value: Value): Promise<void> {
  const { afterDays, afterSeconds, maxBytes } = parseBody(PACKING_SETTING, value)
  const ofDays = afterDays === undefined ? PACKING_DEFAULTS.afterSeconds : Math.round(afterDays * DAY_SECONDS)
  await packing.set(bucket, { afterSeconds: afterSeconds ?? ofDays, maxBytes })
}

/** Throws `invalidRequest`. */
async function beginHistory({ histories }: Services, bucket: Bucket, value: Value): Promise<void> {
  parseBody(NO_MEMBERS, value)
  await histories.begin(bucket)
}

const bucketIn = async ({ buckets }: Services, { segment }: OperationInput): Promise<Bucket> =>
  buckets.open(parseBucketName(segment("bucket")))

/** Throws `invalidArgument`. */
function checkName({ bucketDocuments: { names } }: Services, setting: string): void {
  if (OWN.has(setting) || names.includes(setting)) return
  const known = [...names, ...OWN.keys()].join(", ")
  throw fail("invalidArgument", {
    message: `a bucket has no setting "${setting.slice(0, 80)}"; there are ${known}`,
  })
}

function required(services: Services, bucket: Bucket, setting: string, method: Method): RequiredAction {
  const own = OWN.get(setting)
  if (own !== undefined) return { action: own.actions[method], resource: "*", owner: services.rootAccount }
  const action = services.bucketDocuments.actionOf(setting, method)
  return { action, resource: `arn:aws:s3:::${bucket.name}`, owner: bucket.owner }
}

async function shown(services: Services, bucket: Bucket, setting: string) {
  const { bucketDocuments } = services
  const own = OWN.get(setting)
  const value = await (own === undefined ? bucketDocuments.get(bucket, setting) : own.get(services, bucket))
  const canRemove = own !== undefined || bucketDocuments.canRemove(setting)
  return { setting, isSet: value !== undefined, canRemove, ...(value !== undefined && { value }) }
}

async function listed(services: Services, input: OperationInput) {
  const bucket = await bucketIn(services, input)
  const settings = []
  for (const setting of [...services.bucketDocuments.names, ...OWN.keys()])
    settings.push(await shownIfAllowed(services, input, bucket, setting))
  return { settings }
}

async function shownIfAllowed(services: Services, input: OperationInput, bucket: Bucket, setting: string) {
  const action = required(services, bucket, setting, "GET")
  const refused = (why: string) => ({ setting, isSet: false, canRemove: false, refused: why })
  if (!(await input.isAllowed([action]))) return refused(`it takes ${action.action} to see it`)
  try {
    return await shown(services, bucket, setting)
  } catch (error) {
    // The policy of the bucket refuses even its owner.
    if (isFailure(error, "accessDenied")) return refused(error.message)
    throw error
  }
}

const permissionOf =
  (method: Method): NonNullable<Operation["permission"]> =>
  async (services, input) => {
    const setting = input.segment("setting")
    checkName(services, setting)
    return [required(services, await bucketIn(services, input), setting, method)]
  }

export const SETTING_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "listBucketSettings", method: "GET", path: PATH, parameters: [], request: undefined },
    summary: "Returns all settings of a bucket, each as far as the caller may see it.",
    response: { status: 200, schema: BUCKET_SETTINGS },
    permission: async (services, input) => {
      const { name, owner } = await bucketIn(services, input)
      return [{ action: "s3:ListBucket", resource: `arn:aws:s3:::${name}`, owner }]
    },
    run: listed,
  },
  {
    ...{ id: "getBucketSetting", method: "GET", path: ONE, parameters: [], request: undefined },
    summary: "Returns a setting of a bucket.",
    response: { status: 200, schema: BUCKET_SETTING },
    permission: permissionOf("GET"),
    async run(services, input) {
      checkName(services, input.segment("setting"))
      return shown(services, await bucketIn(services, input), input.segment("setting"))
    },
  },
  {
    ...{ id: "setBucketSetting", method: "PUT", path: ONE, parameters: [], request: SET_SETTING },
    summary: "Replaces a setting of a bucket. What S3 would refuse is refused, with the reason.",
    bodyBytesMax: VALUE_BYTES_MAX,
    response: { status: 200, schema: BUCKET_SETTING },
    permission: permissionOf("PUT"),
    async run(services, input) {
      const setting = input.segment("setting")
      checkName(services, setting)
      const { value } = parseBody(SET_SETTING, input.body)
      const bucket = await bucketIn(services, input)
      const own = OWN.get(setting)
      await (own === undefined
        ? services.bucketDocuments.put(bucket, setting, value)
        : own.put(services, bucket, value))
      return shown(services, await bucketIn(services, input), setting)
    },
  },
  {
    ...{ id: "removeBucketSetting", method: "DELETE", path: ONE, parameters: [], request: undefined },
    summary: "Removes a setting of a bucket, as far as S3 can.",
    response: { status: 204, schema: undefined },
    permission: permissionOf("DELETE"),
    async run(services, input) {
      const setting = input.segment("setting")
      checkName(services, setting)
      const bucket = await bucketIn(services, input)
      const own = OWN.get(setting)
      await (own === undefined ? services.bucketDocuments.remove(bucket, setting) : own.remove(services, bucket))
    },
  },
]
