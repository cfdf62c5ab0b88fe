/**
 * The reads of Terraform at every refresh of a bucket, in its order, answered as for a bucket without settings: an
 * unknown answer would end the run.
 *
 * Source  `resourceBucketRead` of terraform-provider-aws 6, and the reads of the resources that belong to
 *         a bucket; for each the codes that the provider takes for "not set".
 */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { Client } from "../../conformance/client.js"
import { md5Base64 } from "../../conformance/checksums.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { text } from "../../conformance/xml.js"
import { OWNER, serveModel } from "./over-model.js"
import type { Served } from "./over-model.js"

/** The status, and the code of an error or the content of the document. */
type Told = readonly [status: number, result: string | RegExp]

const OF_BUCKET: readonly (readonly [name: string, query: string, result: Told])[] = [
  ["GetBucketPolicy", "policy", [404, "NoSuchBucketPolicy"]],
  ["GetBucketAcl", "acl", [200, /<Permission>FULL_CONTROL<\/Permission>/]],
  ["GetBucketCors", "cors", [404, "NoSuchCORSConfiguration"]],
  ["GetBucketWebsite", "website", [404, "NoSuchWebsiteConfiguration"]],
  ["GetBucketVersioning", "versioning", [200, /<VersioningConfiguration [^>]*><\/VersioningConfiguration>/]],
  ["GetBucketAccelerateConfiguration", "accelerate", [200, /<AccelerateConfiguration /]],
  ["GetBucketRequestPayment", "requestPayment", [200, /<Payer>BucketOwner<\/Payer>/]],
  ["GetBucketLogging", "logging", [200, /<BucketLoggingStatus [^>]*><\/BucketLoggingStatus>/]],
  ["GetBucketLifecycleConfiguration", "lifecycle", [404, "NoSuchLifecycleConfiguration"]],
  ["GetBucketReplication", "replication", [404, "ReplicationConfigurationNotFoundError"]],
  ["GetBucketEncryption", "encryption", [404, "ServerSideEncryptionConfigurationNotFoundError"]],
  ["GetObjectLockConfiguration", "object-lock", [404, "ObjectLockConfigurationNotFoundError"]],
  ["GetBucketTagging", "tagging", [404, "NoSuchTagSet"]],
]

const BESIDE_IT: readonly (readonly [name: string, query: string, result: Told])[] = [
  ["GetPublicAccessBlock", "publicAccessBlock", [200, /<BlockPublicAcls>true</]],
  ["GetBucketOwnershipControls", "ownershipControls", [200, /<ObjectOwnership>BucketOwnerEnforced</]],
  ["GetBucketNotificationConfiguration", "notification", [200, /<NotificationConfiguration /]],
  ["GetBucketPolicyStatus", "policyStatus", [404, "NoSuchBucketPolicy"]],
  ["GetBucketLocation", "location", [200, /<LocationConstraint /]],
  ["GetBucketAnalyticsConfiguration", "analytics&id=a", [404, "NoSuchConfiguration"]],
  ["GetBucketMetricsConfiguration", "metrics&id=a", [404, "NoSuchConfiguration"]],
  ["GetBucketInventoryConfiguration", "inventory&id=a", [404, "NoSuchConfiguration"]],
  ["GetBucketIntelligentTieringConfiguration", "intelligent-tiering&id=a", [404, "NoSuchConfiguration"]],
]

let served: Served
let client: Client
before(async () => {
  served = await serveModel()
  const credentials = { accessKey: OWNER.id, secretKey: OWNER.secret }
  client = new Client(parseEndpoint(served.endpoint), credentials, "us-east-1")
  assert.equal((await client.call("PUT", { bucket: "plain" })).status, 200)
})
after(() => served.stop())

const get = (query: string) => client.call("GET", { bucket: "plain", query })

async function expectAnswers(rows: typeof OF_BUCKET): Promise<void> {
  for (const [name, query, [status, result]] of rows) {
    const answer = await get(query)
    assert.equal(answer.status, status, name)
    if (typeof result === "string") assert.equal(text(answer.text, "Code"), result, name)
    else assert.match(answer.text, result, name)
  }
}

test("a refresh of a bucket without settings", async () => {
  const head = await client.call("HEAD", { bucket: "plain" })
  assert.deepEqual([head.status, head.header("x-amz-bucket-region")], [200, "us-east-1"])
  await expectAnswers(OF_BUCKET)
})

test("the resources that belong to a bucket, without settings", () => expectAnswers(BESIDE_IT))

test("a destroy removes settings, and waits until they are gone", async () => {
  const documents = [
    ["publicAccessBlock", "<PublicAccessBlockConfiguration/>", "NoSuchPublicAccessBlockConfiguration"],
    [
      "ownershipControls",
      "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>",
      "OwnershipControlsNotFoundError",
    ],
    ["tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>", "NoSuchTagSet"],
    [
      "lifecycle",
      "<LifecycleConfiguration><Rule><ID>old</ID><Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>",
      "NoSuchLifecycleConfiguration",
    ],
  ] as const
  for (const [query, body, code] of documents) {
    const headers = { "Content-MD5": md5Base64(Buffer.from(body)) }
    assert.ok((await client.call("PUT", { bucket: "plain", query, body, headers })).status < 300, query)
    assert.equal((await get(query)).status, 200, query)
    assert.equal((await client.call("DELETE", { bucket: "plain", query })).status, 204, query)
    assert.equal(text((await get(query)).text, "Code"), code)
  }
})
