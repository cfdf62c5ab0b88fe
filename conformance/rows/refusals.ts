/** Lines 8 to 14: unsupported features are refused by name, unset settings answered, extras accepted. */
import { check, expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import { elements, text } from "../xml.js"

/** Changes of a bucket that this version does not do; a line leaves this list when its feature is built. */
const UNBUILT_BUCKET: readonly (readonly [method: string, query: string])[] = [
  ["PUT", "replication"],
  ["DELETE", "replication"],
  ["PUT", "logging"],
  ["PUT", "notification"],
  ["PUT", "accelerate"],
  ["PUT", "analytics&id=a"],
  ["DELETE", "analytics&id=a"],
  ["PUT", "inventory&id=a"],
  ["DELETE", "inventory&id=a"],
  ["PUT", "metrics&id=a"],
  ["DELETE", "metrics&id=a"],
  ["PUT", "intelligent-tiering&id=a"],
  ["DELETE", "intelligent-tiering&id=a"],
  ["PUT", "abac"],
  ["POST", "metadataConfiguration"],
  ["DELETE", "metadataConfiguration"],
  ["POST", "metadataTable"],
  ["DELETE", "metadataTable"],
]

const UNBUILT_OBJECT: readonly (readonly [method: string, query: string])[] = [
  ["PUT", "encryption"],
  ["PUT", "annotation"],
  ["DELETE", "annotation"],
  ["POST", "select&select-type=2"],
]

const UNSET: readonly (readonly [query: string, code: string])[] = [
  ["cors", "NoSuchCORSConfiguration"],
  ["lifecycle", "NoSuchLifecycleConfiguration"],
  ["policy", "NoSuchBucketPolicy"],
  ["tagging", "NoSuchTagSet"],
  ["website", "NoSuchWebsiteConfiguration"],
  ["replication", "ReplicationConfigurationNotFoundError"],
  ["encryption", "ServerSideEncryptionConfigurationNotFoundError"],
  ["object-lock", "ObjectLockConfigurationNotFoundError"],
  ["analytics&id=a", "NoSuchConfiguration"],
  ["inventory&id=a", "NoSuchConfiguration"],
  ["metrics&id=a", "NoSuchConfiguration"],
  ["intelligent-tiering&id=a", "NoSuchConfiguration"],
]

const EMPTY_DOCUMENTS: readonly (readonly [query: string, root: string])[] = [
  ["versioning", "VersioningConfiguration"],
  ["logging", "BucketLoggingStatus"],
  ["notification", "NotificationConfiguration"],
  ["accelerate", "AccelerateConfiguration"],
]

const LISTS: readonly (readonly [query: string, root: string])[] = [
  ["analytics", "ListBucketAnalyticsConfigurationResult"],
  ["inventory", "ListInventoryConfigurationsResult"],
  ["metrics", "ListMetricsConfigurationsResult"],
]

const NOISE: readonly (readonly [name: string, value: string])[] = [
  ["amz-sdk-invocation-id", "5f1d6e6a-0000-4000-8000-000000000000"],
  ["amz-sdk-request", "attempt=1; max=3"],
  ["x-amz-user-agent", "aws-sdk-js/3.0"],
  ["x-amz-checksum-mode", "ENABLED"],
  ["x-amz-request-payer", "requester"],
  ["x-amz-acl", "bucket-owner-full-control"],
  ["x-amz-acl", "bucket-owner-read"],
  ["x-amz-acl", "private"],
  ["x-amz-storage-class", "STANDARD"],
  ["x-amz-api-version", "2006-03-01"],
  ["x-amz-header-of-tomorrow", "1"],
  ["x-amz-bypass-governance-retention", "true"],
]

const REFUSED: readonly (readonly [name: string, value: string, status: number, code: string])[] = [
  ["x-amz-acl", "public-read", 400, "AccessControlListNotSupported"],
  ["x-amz-acl", "authenticated-read", 400, "AccessControlListNotSupported"],
  ["x-amz-grant-read", 'id="1"', 400, "AccessControlListNotSupported"],
  ["x-amz-grant-full-control", 'id="1"', 400, "AccessControlListNotSupported"],
  ["x-amz-storage-class", "SNOW", 400, "InvalidStorageClass"],
  ["x-amz-storage-class", "NOPE", 400, "InvalidStorageClass"],
  ["x-amz-server-side-encryption", "aws:kms:dsse", 501, "NotImplemented"],
  ["x-amz-server-side-encryption", "DES", 400, "InvalidArgument"],
  ["x-amz-server-side-encryption-of-tomorrow", "1", 501, "NotImplemented"],
  ["x-amz-object-lock-mode", "GOVERNANCE", 400, "InvalidArgument"],
  ["x-amz-object-lock-legal-hold", "ON", 400, "InvalidRequest"],
  ["x-amz-website-redirect-location", "elsewhere", 400, "InvalidRedirectLocation"],
  ["x-amz-checksum-foo", "AAAA", 400, "InvalidRequest"],
  ["x-amz-sdk-checksum-algorithm", "FOO", 400, "InvalidRequest"],
]

const unbuiltBucketRows = UNBUILT_BUCKET.map(([method, query], index) =>
  row(`8.${index + 1}`, `${method} bucket ?${query} is refused by name and changes nothing`, async scene => {
    await scene.stored("k", "kept")
    expectError(await scene.document(method, query, "<Setting/>"), 501, "NotImplemented")
    expectBody(expectStatus(await scene.get("k"), 200), "kept")
  }),
)

const unbuiltObjectRows = UNBUILT_OBJECT.map(([method, query], index) =>
  row(`8.${index + 60}`, `${method} object ?${query} is refused by name and changes nothing`, async scene => {
    await scene.stored("k", "kept")
    expectError(await scene.document(method, query, "<Setting/>", { key: "k" }), 501, "NotImplemented")
    expectBody(expectStatus(await scene.get("k"), 200), "kept")
  }),
)

/** Requests of SDKs for operations of other services of the S3 model. */
const OTHER_SERVICES: readonly (readonly [
  title: string,
  service: string,
  method: string,
  path: string,
  query: string,
])[] = [
  ["ListDirectoryBuckets", "s3express", "GET", "/", ""],
  ["ListDirectoryBuckets with its name", "s3express", "GET", "/", "max-directory-buckets=10&x-id=ListDirectoryBuckets"],
  ["ListDirectoryBuckets signed for S3", "s3", "GET", "/", "x-id=ListDirectoryBuckets"],
  ["CreateSession", "s3express", "GET", "/BUCKET", "session"],
  ["WriteGetObjectResponse", "s3-object-lambda", "POST", "/WriteGetObjectResponse", ""],
  ["WriteGetObjectResponse signed for S3", "s3", "POST", "/WriteGetObjectResponse", ""],
]

const otherServiceRows = OTHER_SERVICES.map(([title, service, method, path, query], index) =>
  row(`8.${index + 90}`, `${title} is not implemented`, async scene => {
    const headers = method === "POST" ? { "x-amz-request-route": "route", "x-amz-request-token": "token" } : {}
    const call = { path: path.replace("BUCKET", scene.bucket), query, headers, sign: { service } }
    expectError(await scene.client.call(method, call), 501, "NotImplemented")
  }),
)

export const refusalRows: readonly Row[] = [
  row(
    "8.200",
    "listening for events, as mc watch does, is refused by name and not answered as a listing",
    async scene => {
      expectError(await scene.list("events=s3%3AObjectCreated%3A%2A&prefix=&suffix="), 501, "NotImplemented")
      expectStatus(await scene.list("events=1"), 200)
    },
  ),
  row(
    "8.202",
    "MinIO's deletion of all below a prefix is refused by name, and not answered as that of an object",
    async scene => {
      const key = "force"
      expectStatus(await scene.put(key, "x"), 200)
      const deletion = (value: string) =>
        scene.client.call("DELETE", { bucket: scene.bucket, key, headers: { "x-minio-force-delete": value } })
      expectError(await deletion("true"), 501, "NotImplemented")
      expectStatus(await scene.client.call("HEAD", { bucket: scene.bucket, key }), 200)
      expectStatus(await deletion("false"), 204)
    },
  ),
  row(
    "8.201",
    "MinIO's health check is answered, and a call of its admin API that is not there refused by name",
    async scene => {
      const path = "/minio/health/cluster"
      expectStatus(await scene.client.call("GET", { path, anonymous: true }), 200)
      const refused = expectStatus(await scene.client.call("GET", { path: "/minio/admin/v3/speedtest" }), 501)
      // Its clients read JSON.
      check(/\bNotImplemented\b/.test(refused.text), "the refusal has its code")
    },
  ),
  ...unbuiltBucketRows,
  ...unbuiltObjectRows,
  ...otherServiceRows,
  row("8.80", "the refusal comes before the body", async scene => {
    const headers = { Expect: "100-continue", "Content-Length": "1048576" }
    const response = await scene.call("PUT", { query: "replication", headers, awaitContinue: true })
    expectError(response, 501, "NotImplemented")
    check(!response.continued, "no 100 Continue was sent")
  }),
  row("8.81", "an empty bucket survives DELETE ?replication", async scene => {
    expectError(await scene.call("DELETE", { query: "replication" }), 501, "NotImplemented")
    expectStatus(await scene.call("HEAD"), 200)
  }),
  row("8.82", "a sub-resource with = and a value is the same sub-resource", async scene => {
    await scene.stored("k", "kept")
    expectError(await scene.call("PUT", { key: "k", query: "encryption=", body: "overwrite" }), 501, "NotImplemented")
    expectBody(await scene.get("k"), "kept")
  }),
  row("8.83", "?torrent of an object is refused, or answered as no torrent", async scene => {
    await scene.stored("k", "kept")
    expectError(await scene.get("k", {}, "torrent"), [404, 501], "NoSuchKey", "NotImplemented")
  }),
  ...UNSET.map(([query, code], index) =>
    row(`9.${index + 1}`, `GET ?${query} never set is ${code}`, async scene => {
      expectError(await scene.list(query), 404, code)
    }),
  ),
  row("9.20", "a setting of a missing bucket is NoSuchBucket", async scene => {
    expectError(await scene.client.call("GET", { bucket: scene.uniqueName(), query: "cors" }), 404, "NoSuchBucket")
  }),
  ...EMPTY_DOCUMENTS.map(([query, root], index) =>
    row(`10.${index + 1}`, `GET ?${query} never set is an empty document`, async scene => {
      const { text: xml } = expectStatus(await scene.list(query), 200)
      same((elements(xml, root)[0] ?? "no document").trim(), "", root)
    }),
  ),
  ...LISTS.map(([query, root], index) =>
    row(`10.${index + 10}`, `the list of ?${query} is empty`, async scene => {
      const { text: xml } = expectStatus(await scene.list(query), 200)
      check(xml.includes(`<${root}`), `${root} is the root`)
      check(text(xml, "Id") === undefined, "no entry")
    }),
  ),
  row("10.20", "requestPayment is BucketOwner", async scene => {
    same(text(expectStatus(await scene.list("requestPayment"), 200).text, "Payer"), "BucketOwner", "Payer")
  }),
  row("10.21", "the ACL of a bucket and of an object is the owner's full control", async scene => {
    await scene.stored("k")
    for (const response of [await scene.list("acl"), await scene.get("k", {}, "acl")]) {
      const { text: xml } = expectStatus(response, 200)
      same(text(xml, "Permission"), "FULL_CONTROL", "Permission")
      const owner = text(present(elements(xml, "Owner")[0], "Owner"), "ID")
      same(text(present(elements(xml, "Grantee")[0], "Grantee"), "ID"), owner, "Grantee")
    }
  }),
  row("10.22", "the ACL of a missing key is NoSuchKey", async scene => {
    expectError(await scene.get("missing", {}, "acl"), 404, "NoSuchKey")
  }),
  row("10.23", "?location is answered, and ?policyStatus says where there is no policy", async scene => {
    expectStatus(await scene.list("location"), 200)
    expectError(await scene.list("policyStatus"), 404, "NoSuchBucketPolicy")
  }),
  row("10.24", "object ?tagging without tags is an empty TagSet", async scene => {
    await scene.stored("k")
    const { text: xml } = expectStatus(await scene.get("k", {}, "tagging"), 200)
    same(elements(xml, "TagSet")[0]?.trim(), "", "TagSet")
  }),
  ...NOISE.map(([name, value], index) =>
    row(`11.${index + 1}`, `${name}: ${value} is accepted as noise`, async scene => {
      await scene.stored("k", "body", { [name]: value })
      if (name.startsWith("x-amz-acl") || name.startsWith("x-amz-storage")) return
      expectStatus(await scene.get("k", { [name]: value }), 200)
      expectStatus(await scene.list("list-type=2"), 200)
    }),
  ),
  row("11.20", "x-amz-object-ownership: BucketOwnerEnforced at creation is accepted", async scene => {
    await scene.newBucket({ headers: { "x-amz-object-ownership": "BucketOwnerEnforced" } })
  }),
  row("11.21", "x-amz-acl: private at creation is accepted", async scene => {
    await scene.newBucket({ headers: { "x-amz-acl": "private" } })
  }),
  ...REFUSED.map(([name, value, status, code], index) =>
    row(`12.${index + 1}`, `${name}: ${value} is refused, never ignored`, async scene => {
      expectError(await scene.put("k", "body", { [name]: value }), status, code)
      expectError(await scene.get("k"), 404, "NoSuchKey")
    }),
  ),
  row("12.30", "the same headers are refused on CreateMultipartUpload and CopyObject", async scene => {
    await scene.stored("source", "body")
    const asked = [
      ["x-amz-acl", "public-read", "AccessControlListNotSupported"],
      ["x-amz-storage-class", "SNOW", "InvalidStorageClass"],
      ["x-amz-server-side-encryption", "aws:kms:dsse", "NotImplemented"],
    ] as const
    for (const [name, value, code] of asked) {
      const headers = { [name]: value }
      expectError(await scene.call("POST", { key: "k", query: "uploads", headers }), [400, 501], code)
      expectError(await scene.copy("source", "k", headers), [400, 501], code)
    }
  }),
  row("12.31", "a bucket with an unknown value for object lock, or ACLs, is refused, and not made", async scene => {
    const asked = [
      ["x-amz-bucket-object-lock-enabled", "maybe"],
      ["x-amz-acl", "public-read"],
      ["x-amz-object-ownership", "Nobody"],
    ] as const
    for (const [name, value] of asked) {
      const bucket = scene.adopt(scene.uniqueName())
      expectError(await scene.client.call("PUT", { bucket, headers: { [name]: value } }), [400, 501])
      expectStatus(await scene.client.call("HEAD", { bucket }), 404)
    }
  }),
  row("13.1", "x-amz-expected-bucket-owner that differs is refused", async scene => {
    await scene.stored("k", "body")
    const headers = { "x-amz-expected-bucket-owner": "000000000000" }
    expectError(await scene.get("k", headers), 403, "AccessDenied")
    expectError(await scene.put("n", "body", headers), 403, "AccessDenied")
    expectError(await scene.call("GET", { query: "list-type=2", headers }), 403, "AccessDenied")
  }),
  row("13.2", "x-amz-expected-bucket-owner that is equal changes nothing", async scene => {
    const list = expectStatus(await scene.client.call("GET", {}), 200)
    const owner = text(present(elements(list.text, "Owner")[0], "Owner"), "ID") ?? ""
    const headers = { "x-amz-expected-bucket-owner": owner }
    await scene.stored("k", "body", headers)
    expectBody(expectStatus(await scene.get("k", headers), 200), "body")
    const source = { ...headers, "x-amz-source-expected-bucket-owner": owner }
    expectStatus(await scene.copy("k", "copied", source), 200)
  }),
  row("13.3", "x-amz-source-expected-bucket-owner that differs is refused", async scene => {
    await scene.stored("k", "body")
    const headers = { "x-amz-source-expected-bucket-owner": "000000000000" }
    expectError(await scene.copy("k", "copied", headers), 403, "AccessDenied")
  }),
  ...(
    [
      ["PATCH", "/BUCKET/k", ""],
      ["PUT", "/", ""],
      ["DELETE", "/", ""],
      ["POST", "/BUCKET/k", ""],
      ["PUT", "/BUCKET", "versions"],
      ["DELETE", "/BUCKET", "location"],
      ["PUT", "/BUCKET", "uploads"],
    ] as const
  ).map(([method, path, query], index) =>
    row(`14.${index + 1}`, `${method} ${path}${query === "" ? "" : `?${query}`} is not allowed`, async scene => {
      await scene.stored("k", "kept")
      const response = await scene.client.call(method, { path: path.replace("BUCKET", scene.bucket), query })
      expectError(response, 405, "MethodNotAllowed")
      expectHeader(response, "allow", /[A-Z]{3}/)
      expectBody(await scene.get("k"), "kept")
    }),
  ),
]
