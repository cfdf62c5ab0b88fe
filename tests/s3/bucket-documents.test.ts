/** Settings of buckets as JSON: what is set is what S3 clients then see, and what S3 refuses is refused with its reason. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import type { RemoteBuckets } from "@hayloft/features/remote-buckets/index.js"
import { S3BucketDocuments, OwnRequests } from "@hayloft/protocols/s3/index.js"
import { handleModel, OWNER_ACCOUNT } from "./over-model.js"

const unused = () => Promise.reject(fail("internal"))
/** Every bucket may become remote, and stop being it. */
const REMOTES: RemoteBuckets = {
  settingOf: () => undefined,

  prepare: () => Promise.resolve(undefined),
  requireNothingPending: () => Promise.resolve(),

  open: unused,
  list: unused,
  listCached: unused,
  written: unused,
  remove: unused,
  prefetch: unused,
  evict: unused,
}

async function world(remotes = REMOTES) {
  const { services, settings } = handleModel()
  const transforms = { get: () => Promise.reject(fail("internal")), written: { note: () => undefined } }
  const documents = new S3BucketDocuments(new OwnRequests({ ...settings, transforms, remotes }))
  const name = parseBucketName("photos")
  await services.buckets.create({ name, owner: OWNER_ACCOUNT, location: "" })
  /** Returns the bucket in its present state. */
  const bucket = async () => services.buckets.open(name)
  const put = async (setting: string, value: object) => documents.put(await bucket(), setting, { ...value })
  const get = async (setting: string) => documents.get(await bucket(), setting)
  return { documents, services, bucket, put, get }
}

const STATEMENT = { Effect: "Deny", Principal: "*", Action: "s3:GetObject", Resource: "arn:aws:s3:::photos/*" }
const RULE = { ID: "old", Status: "Enabled", Filter: { Prefix: "logs/" }, Expiration: { Days: 30 } }

const REMOTE = {
  Store: "aws",
  Bucket: "data",
  Prefix: "logs/",
  Freshness: { Check: "Age", MaxAgeSeconds: 60 },
  ServeStale: true,
  Writes: "Back",
  OpaqueETags: false,
}

/** The values that are set, in the form in which they are shown. */
const VALUES: Readonly<Record<string, object>> = {
  versioning: { Status: "Enabled" },
  lifecycle: { TransitionDefaultMinimumObjectSize: "varies_by_storage_class", Rules: [RULE] },
  "object-lock": {
    ObjectLockEnabled: "Enabled",
    Rule: { DefaultRetention: { Mode: "GOVERNANCE", Days: 7 } },
  },
  encryption: {
    Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" }, BucketKeyEnabled: false }],
  },
  policy: { Version: "2012-10-17", Statement: [STATEMENT] },
  "public-access-block": {
    BlockPublicAcls: true,
    IgnorePublicAcls: true,
    BlockPublicPolicy: true,
    RestrictPublicBuckets: false,
  },
  "ownership-controls": { Rules: [{ ObjectOwnership: "BucketOwnerPreferred" }] },
  cors: { CORSRules: [{ AllowedMethods: ["GET"], AllowedOrigins: ["https://example.org"] }] },
  tagging: { TagSet: [{ Key: "team", Value: "blue = 1" }] },
  website: { IndexDocument: { Suffix: "index.html" } },
  "request-payment": { Payer: "Requester" },
  transforms: {
    Pipelines: [{ Name: "small", Steps: "image,width=200,fit=inside" }],
    Rules: [{ ID: "icons", Prefix: "icons/", Suffix: ".svg", When: "PUT", Steps: "svgmin|gzip" }],
  },
  remote: REMOTE,
}

test("every setting is shown as it was set, and those that can be removed are gone then", async () => {
  const { documents, bucket, put, get } = await world()
  for (const setting of documents.names) {
    const value = VALUES[setting]
    if (value === undefined) continue
    await put(setting, value)
    assert.deepEqual(await get(setting), value, setting)
  }
  // The list of grants can be set again as it is shown.
  const acl = await get("acl")
  assert.ok(acl)
  await put("acl", acl)
  assert.deepEqual([...documents.names].sort(), [...Object.keys(VALUES), "acl"].sort())
  for (const setting of documents.names) {
    const removed = documents.remove(await bucket(), setting)
    if (documents.canRemove(setting)) await removed
    else await assert.rejects(removed, /cannot be removed/, setting)
  }
  for (const setting of ["lifecycle", "policy", "cors", "website", "tagging"])
    assert.equal(await get(setting), undefined)
  assert.equal(documents.canRemove("versioning"), false)
})

test("what S3 refuses is refused with the reason, and changes nothing", async () => {
  const { put, get } = await world()
  for (const [setting, value, reason] of [
    ["lifecycle", { Rules: [{ ...RULE, Expiration: { Days: 0 } }] }, /'Days' .* positive/],
    [
      "lifecycle",
      { Rules: [{ ...RULE, Expiration: { Days: "7" } }] },
      /^Rules\[0\]\.Expiration\.Days: must be a whole/,
    ],
    ["lifecycle", { TransitionDefaultMinimumObjectSize: "none", Rules: [RULE] }, /none/],
    ["lifecycle", {}, /At least one lifecycle rule/],
    ["versioning", { Status: "on" }, /^the document: Status must be Enabled or Suspended/],
    ["policy", { Version: "2012-10-17", Statement: [{ ...STATEMENT, Resource: "arn:aws:s3:::other/*" }] }, /resource/i],
    ["policy", { Statement: "all" }, /Statement/],
    ["object-lock", { ObjectLockEnabled: "Enabled" }, /versioning/i],
    ["public-access", {}, /no setting "public-access"; known are versioning, lifecycle/],
  ] as const) {
    await assert.rejects(
      put(setting, value),
      error => isFailure(error) && error.remedy !== "reportBug" && reason.test(error.message),
      `${setting} ${JSON.stringify(value)}`,
    )
  }
  assert.equal(await get("lifecycle"), undefined)
  assert.equal(await get("policy"), undefined)
})

test("each request takes the action of S3", async () => {
  const { documents } = await world()
  const actions = (["GET", "PUT", "DELETE"] as const).map(method => documents.actionOf("lifecycle", method))
  const put = "s3:PutLifecycleConfiguration"
  assert.deepEqual(actions, ["s3:GetLifecycleConfiguration", put, put])
  assert.equal(documents.actionOf("policy", "DELETE"), "s3:DeleteBucketPolicy")
  assert.equal(documents.actionOf("object-lock", "PUT"), "s3:PutBucketObjectLockConfiguration")
  for (const name of documents.names) assert.match(documents.actionOf(name, "PUT"), /^s3:Put/)
})

test("a bucket is remote only if its remote can be prepared, until it may be removed", async () => {
  const [message, pending] = ["not yours", "writes are pending"]
  const strict = await world({ ...REMOTES, prepare: () => Promise.reject(fail("accessDenied", { message })) })
  await assert.rejects(strict.put("remote", REMOTE), error => isFailure(error, "accessDenied"))
  assert.equal(await strict.get("remote"), undefined)
  const busy = await world({
    ...REMOTES,
    requireNothingPending: () => Promise.reject(fail("conflict", { message: pending })),
  })
  await busy.put("remote", REMOTE)
  await assert.rejects(busy.documents.remove(await busy.bucket(), "remote"), error => isFailure(error, "conflict"))
  assert.deepEqual(await busy.get("remote"), REMOTE)
})

test("while remote buckets are off, no bucket becomes one", async () => {
  const { settings, services } = handleModel()
  const documents = new S3BucketDocuments(new OwnRequests(settings))
  const name = parseBucketName("photos")
  await services.buckets.create({ name, owner: OWNER_ACCOUNT, location: "" })
  const bucket = await services.buckets.open(name)
  await assert.rejects(documents.put(bucket, "remote", { ...REMOTE }), /starts the store with --remotes/)
  assert.equal(await documents.get(bucket, "remote"), undefined)
  await documents.remove(bucket, "remote")
})
