/**
 * Hostile input for each parser of documents, headers and files: mutations of valid ones, and every truncation. Each is
 * answered at once, with an error of the client by its name, or accepted; never with an internal error.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { AdminApi } from "@hayloft/admin/api.js"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import { CertificateFolder } from "@hayloft/protocols/http/certificate-folder.js"
import { TEST_CERTIFICATES } from "@hayloft/protocols/http/testing-certificates.js"
import { HEAD } from "@hayloft/admin/testing-api.js"
import { FakeStore, ROOT, TOKEN } from "@hayloft/admin/testing-store.js"
import type { S3Keys } from "@hayloft/access/keys/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { KmsApiWorld } from "../kms/api-world.js"
import { handleModel } from "../s3/over-model.js"
import { documented, People } from "../s3/people.js"
import { mutated, mutatedValue, type DocumentKind } from "./mutations.js"

const MUTATIONS = runsOf(40)
/** Processor time of one request; a parser that is quadratic in its input takes far longer. */
const ANSWER_MS_MAX = 2_000
const OVERSIZED_BYTES = 9 * MIB

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void
/** Bytes of objects, strings and buffers that are still referenced. */
const usedBytes = (): number => {
  collectGarbage()
  // The second collection waits until the buffers that the first one found are freed.
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

interface Told {
  readonly status: number
  /** The code is undefined if the answer has none. */
  readonly code: string | undefined
}

interface Parser {
  readonly name: string
  readonly kind: DocumentKind
  readonly valid: readonly string[]
  /** The errors that there may be; others are not about the document. */
  readonly codes: readonly string[]
  readonly send: (document: string) => Promise<Told>
}

async function checkAll({ name, kind, valid, codes, send }: Parser): Promise<void> {
  const random = new SimRandom(TEST_SEED)
  const check = async (document: string): Promise<number> => {
    const shown = JSON.stringify(document.slice(0, 300))
    const before = process.cpuUsage()
    const { status, code } = await send(document)
    assert.ok(process.cpuUsage(before).user / 1_000 < ANSWER_MS_MAX, `${name} takes long for ${shown}`)
    assert.ok(status === 501 || (status >= 200 && status < 500), `${name} answers ${status} ${code} to ${shown}`)
    if (status >= 300) assert.ok(code !== undefined && codes.includes(code), `${name}: ${status} ${code} to ${shown}`)
    return status
  }
  for (const document of valid) assert.ok((await check(document)) < 300, `${name} accepts ${document}`)
  const [first = ""] = valid
  let refused = 0
  // The last byte may be white space, or may not matter.
  for (let length = 0; length < first.length; length += 1)
    refused += Number((await check(first.slice(0, length))) >= 400)
  assert.ok(
    refused >= first.length * (kind === "text" ? 0 : 0.9),
    `${name} refuses ${refused} of ${first.length} truncated documents`,
  )
  for (let count = 0; count < MUTATIONS; count += 1) {
    await check(mutated(valid[random.below(valid.length)] ?? "", kind, random))
  }
  await check(first + " ".repeat(OVERSIZED_BYTES))
  await check("\u0000".repeat(MIB))
}

const XML_CODES = [
  // A retention that would end earlier.
  "AccessDenied",

  "MalformedXML",
  "InvalidArgument",
  "InvalidRequest",
  "NotImplemented",
  "EntityTooLarge",
  "MaxMessageLengthExceeded",
  "InvalidTag",
  "InvalidStorageClass",
  "MissingRequestBodyError",
  "InvalidRetentionPeriod",
  "InvalidObjectState",
]

const rules = (inside: string) => `<LifecycleConfiguration>${inside}</LifecycleConfiguration>`
const lock = (inside: string) =>
  `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>${inside}</DefaultRetention></Rule></ObjectLockConfiguration>`

/** By the target of the request. */
const XML: readonly (readonly [name: string, line: string, ...valid: string[]])[] = [
  [
    "lifecycle",
    "PUT /locked?lifecycle",
    rules(
      "<Rule><ID>a</ID><Filter><And><Prefix>p/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>1000</ObjectSizeGreaterThan></And></Filter><Status>Enabled</Status><Expiration><Days>300</Days></Expiration><Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition><NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays><NewerNoncurrentVersions>3</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule>",
    ),
    rules("<Rule><Prefix/><Status>Disabled</Status><Expiration><Date>2040-01-01T00:00:00Z</Date></Expiration></Rule>"),
    rules(
      "<Rule><Filter/><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>",
    ),
  ],
  [
    "lock",
    "PUT /locked?object-lock",
    lock("<Mode>GOVERNANCE</Mode><Days>1</Days>"),
    lock("<Mode>COMPLIANCE</Mode><Years>2</Years>"),
  ],
  [
    "retention",
    "PUT /locked/key?retention",
    "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2140-01-01T00:00:00.000Z</RetainUntilDate></Retention>",
  ],
  ["legal hold", "PUT /locked/key?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>"],
  [
    "encryption",
    "PUT /locked?encryption",
    "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>",
  ],
  [
    "website",
    "PUT /locked?website",
    "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument><ErrorDocument><Key>e.html</Key></ErrorDocument><RoutingRules><RoutingRule><Condition><KeyPrefixEquals>a/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>h.example</HostName><HttpRedirectCode>302</HttpRedirectCode><ReplaceKeyPrefixWith>b/</ReplaceKeyPrefixWith></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>",
    "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>h.example</HostName><Protocol>https</Protocol></RedirectAllRequestsTo></WebsiteConfiguration>",
  ],
]

/** A key that everyone may use. */
const kms: S3Keys = {
  forWriting: () => "arn:aws:kms:us-east-1:000000000000:key/1",
  forReading: () => undefined,
}
const people = new People(handleModel({ kms }).handler)

async function told(line: string, body: string, headers: readonly string[] = []): Promise<Told> {
  const document = documented(body)
  const { status, text } = await people.send("owner", line, {
    body,
    headers: [...document.headers, ...headers],
    tlsVersion: "1.3",
  })
  return { status, code: /<Code>([\w.]+)<\/Code>/.exec(text)?.[1] }
}

test("documents of settings, locks and restores", async () => {
  await people.expect(200, "owner", "PUT /locked", { headers: ["x-amz-bucket-object-lock-enabled", "true"] })
  await people.expect(200, "owner", "PUT /locked/key", documented("body"))
  for (const [name, line, ...valid] of XML) {
    await checkAll({ name, kind: "xml", valid, codes: XML_CODES, send: document => told(line, document) })
  }
  // Nothing of the model is in an archive: a valid document is refused for that.
  const restore =
    "<RestoreRequest><Days>2</Days><GlacierJobParameters><Tier>Standard</Tier></GlacierJobParameters></RestoreRequest>"
  const send = async (document: string): Promise<Told> => {
    const answer = await told("POST /locked/key?restore", document)
    return answer.code === "InvalidObjectState" ? { status: 200, code: undefined } : answer
  }
  await checkAll({ name: "restore", kind: "xml", valid: [restore], codes: XML_CODES, send })
})

const md5 = (text: string) => createHash("md5").update(text).digest("base64")
const SECRET = "k".repeat(32)
const SSE = "x-amz-server-side-encryption"
const LOCK = "x-amz-object-lock"

/** Names and valid values. */
const HEADERS: readonly (readonly [name: string, line: string, fields: readonly string[]])[] = [
  [
    "keys of clients",
    "PUT /locked/client",
    [
      `${SSE}-customer-algorithm`,
      "AES256",
      `${SSE}-customer-key`,
      Buffer.from(SECRET).toString("base64"),
      `${SSE}-customer-key-md5`,
      md5(SECRET),
    ],
  ],
  ["a lock", "PUT /locked/k", [`${LOCK}-mode`, "GOVERNANCE", `${LOCK}-retain-until-date`, "2140-01-01T00:00:00Z"]],
  ["a legal hold", "PUT /locked/k", [`${LOCK}-legal-hold`, "ON"]],
  ["a storage class", "PUT /locked/k", ["x-amz-storage-class", "STANDARD_IA"]],
  ["a redirect", "PUT /locked/k", ["x-amz-website-redirect-location", "/other"]],
  ["tags", "PUT /locked/k", ["x-amz-tagging", "a=b&c=d"]],
  ["a size as condition", "DELETE /locked/k", ["x-amz-if-match-size", "4"]],
  [
    "a time as condition",
    "DELETE /locked/none",
    ["x-amz-if-match-last-modified-time", "Wed, 01 Jan 2020 00:00:00 GMT"],
  ],
  [
    "attributes",
    "GET /locked/key?attributes",
    ["x-amz-object-attributes", "ETag,ObjectParts", "x-amz-max-parts", "10"],
  ],
]
const HEADER_CODES = [
  "InvalidArgument",
  "InvalidRequest",
  "InvalidStorageClass",
  "InvalidTag",
  "NotImplemented",
  "InvalidRedirectLocation",

  "InvalidEncryptionAlgorithmError",
  "SignatureDoesNotMatch",
  "AccessDenied",
  "MetadataTooLarge",
  "RequestHeaderSectionTooLarge",
  "InvalidDigest",
  "BadDigest",
  "PreconditionFailed",
]

test("values of headers", async () => {
  const random = new SimRandom(TEST_SEED)
  for (const [name, line, fields] of HEADERS) {
    const body = line.startsWith("PUT") ? "body" : ""
    const { status, code } = await told(line, body, fields)
    assert.ok(status < 300, `${name}: ${code}`)
    for (let count = 0; count < 2 * MUTATIONS; count += 1) {
      const changed = [...fields]
      const place = 1 + 2 * random.below(fields.length / 2)
      changed[place] = mutatedValue(fields[place] ?? "", random)
      const answer = await told(line, body, changed)
      const shown = `${name}: ${answer.status} ${answer.code} to ${changed.join(", ").slice(0, 300)}`
      assert.ok(answer.status === 501 || answer.status < 500, shown)
      if (answer.status >= 300) assert.ok(HEADER_CODES.includes(answer.code ?? ""), shown)
    }
  }
})

test("headers of renames", async () => {
  const random = new SimRandom(TEST_SEED)
  const fields = [
    "x-amz-rename-source",
    "/renames/from%20here",
    "x-amz-rename-source-if-match",
    "*",
    "x-amz-rename-source-if-unmodified-since",
    "Wed, 01 Jan 2140 00:00:00 GMT",
    "if-none-match",
    "*",
    "x-amz-client-token",
    "token-1",
  ]
  const rename = async (headers: readonly string[]): Promise<Told> => {
    await people.expect(200, "owner", "PUT /renames/from%20here", documented("body"))
    await people.expect(204, "owner", "DELETE /renames/to")
    return told("PUT /renames/to?renameObject", "", headers)
  }
  await people.expect(200, "owner", "PUT /renames")
  assert.equal((await rename(fields)).status, 200)
  for (let count = 0; count < 6 * MUTATIONS; count += 1) {
    const changed = [...fields]
    const place = 1 + 2 * random.below(fields.length / 2)
    changed[place] = mutatedValue(fields[place] ?? "", random)
    const answer = await rename(changed)
    const shown = `${answer.status} ${answer.code} to ${changed.join(", ").slice(0, 300)}`
    const codes = [
      ...HEADER_CODES,
      "NoSuchKey",
      "InvalidURI",
      "KeyTooLongError",
      "IdempotencyParameterMismatch",
      // The source may be in another bucket.
      "NoSuchBucket",
      "InvalidBucketName",
    ]
    assert.ok(answer.status < 300 || (answer.status < 500 && codes.includes(answer.code ?? "")), shown)
  }
})

test("the encryption context", async () => {
  const base64 = (text: string) => Buffer.from(text, "utf8").toString("base64")
  const send = (document: string): Promise<Told> =>
    told("PUT /locked/context", "body", [SSE, "aws:kms", `${SSE}-context`, base64(document).slice(0, 20_000)])
  await checkAll({
    name: "encryption context",
    kind: "json",
    valid: ['{"team":"a","use":"b"}'],
    codes: HEADER_CODES,
    send,
  })
})

test("bodies of KMS", async () => {
  const world = await KmsApiWorld.open()
  const key = await world.key()
  const operations: Readonly<Record<string, object>> = {
    CreateKey: { Description: "d", KeyUsage: "ENCRYPT_DECRYPT", Tags: [{ TagKey: "a", TagValue: "b" }] },
    Encrypt: { KeyId: key, Plaintext: "aGVsbG8=", EncryptionContext: { a: "b" } },
    GenerateDataKey: { KeyId: key, NumberOfBytes: 32 },
    ScheduleKeyDeletion: { KeyId: await world.key(), PendingWindowInDays: 7 },
    ListKeys: { Limit: 10 },
  }
  for (const [operation, members] of Object.entries(operations)) {
    let deletions = 0
    await checkAll({
      name: operation,
      kind: "json",
      valid: [JSON.stringify(members)],
      codes: [
        "ValidationException",
        "SerializationException",
        "NotFoundException",
        "InvalidMarkerException",
        "UnsupportedOperationException",
        "KMSInvalidStateException",
        "InvalidArnException",
        "TagException",

        "LimitExceededException",
        "MalformedPolicyDocumentException",
        "InvalidKeyUsageException",
        "AccessDeniedException",
        "RequestEntityTooLargeException",
        "InvalidCiphertextException",
      ],
      send: async document => {
        const { status, type } = await world.ask(operation, document)
        const isRepeated = type.startsWith("KMSInvalidState") && (deletions += 1) > 0
        return { status: isRepeated ? 400 : status, code: type === "" ? undefined : type }
      },
    })
  }
})

/** Posts a document to the admin API of a new store. */
function adminApi(): (rawTarget: string, document: string) => Promise<Told> {
  const store = new FakeStore()
  const api = new AdminApi(store.parts, {
    version: "1",
    clock: new SimClock(),
    hosts: [],
    onLoopback: true,
    rootAccount: ROOT,
    newBucketSettings: new Map(),
    metricsText: () => "",
  })
  return async (rawTarget, document) => {
    const bytes = Buffer.from(document)
    const { status, body } = await api.handle({
      ...HEAD,
      method: "POST",
      rawTarget,
      header: name => (name === "authorization" ? `Bearer ${TOKEN}` : undefined),
      body: async bytesMax => {
        if (bytes.length > bytesMax) throw fail("entityTooLarge")
        return bytes
      },
    })
    const text = new TextDecoder().decode(body)
    const code = /"(?:kind|code|error)":\s*"(\w+)"/.exec(text)?.[1]
    return { status, code: code ?? text.slice(0, 200) }
  }
}

test("bodies of the admin API: quotas, limits of rates, classes, undelete", async () => {
  const post = adminApi()
  assert.equal((await post("/v1/buckets", '{"name":"photos"}')).status, 201)
  const paths: Readonly<Record<string, object>> = {
    "/v1/buckets/photos/quota": { hardBytes: 1000, warnBytes: 10, hardObjects: 5 },
    [`/v1/accounts/${ROOT}/limits`]: { requestsPerSecond: 10, burst: 20, bytesPerSecond: 1000 },
    "/v1/redundancy/class": { storageClass: "STANDARD_IA", policy: "replica:2" },
    "/v1/buckets/photos/undelete": { days: 2 },
    "/v1/buckets/photos/undelete/restore": { key: "k", over: true },
    "/v1/buckets/photos/undelete/restore-prefix": { prefix: "p/", over: true },
    "/v1/buckets/photos/undelete/purge": { prefix: "p/" },
  }
  for (const [rawTarget, members] of Object.entries(paths)) {
    await checkAll({
      name: rawTarget,
      kind: "json",
      valid: [JSON.stringify(members)],
      codes: ["invalidArgument", "entityTooLarge", "invalidConfig", "invalidRequest", "noSuchAccount", "noSuchBucket"],
      send: document => post(rawTarget, document),
    })
  }
})

test("files in the folder of certificates: the last good one stays in use", async () => {
  const random = new SimRandom(TEST_SEED)
  const folder = "/certificates"
  const { cert, key } = TEST_CERTIFICATES.first
  for (let count = 0; count < MUTATIONS; count += 1) {
    const disk = new SimDisk().boot()
    await disk.makeFolder(folder)
    const write = async (name: string, text: string): Promise<void> => {
      if (await disk.exists(`${folder}/${name}`)) await disk.remove(`${folder}/${name}`)
      const file = await disk.open(`${folder}/${name}`, "create")
      await file.write([Buffer.from(text)], 0)
      await file.close()
    }
    await write("site.example.pem", cert)
    await write("site.example.key", key)
    const certificates = new CertificateFolder(disk, folder, new SimTelemetry().log)
    await certificates.readIfChanged()
    assert.notEqual(certificates.contextOf("site.example"), undefined)
    await write(
      `site.example.${count % 2 === 0 ? "pem" : "key"}`,
      mutated(count % 2 === 0 ? cert : key, "text", random),
    )
    await certificates
      .readIfChanged()
      .catch((error: unknown) => assert.ok(isFailure(error, "invalidConfig"), String(error)))
    assert.notEqual(certificates.contextOf("site.example"), undefined, "the former certificate serves")
  }
})

test("a document that was refused is not kept in memory", async () => {
  // Each door accepts a body of this length, and then refuses what it says.
  const [TIMES, DOCUMENT_BYTES] = [500, 60_000]
  const world = await KmsApiWorld.open()
  const post = adminApi()
  const document = "x".repeat(DOCUMENT_BYTES)
  // The audit of these tests keeps for each request what was set before.
  await told("DELETE /locked?lifecycle", "")
  const doors: Readonly<Record<string, () => Promise<Told>>> = {
    s3: () => told("PUT /locked?lifecycle", document),
    kms: async () => {
      const { status, type } = await world.ask("CreateKey", document)
      return { status, code: type }
    },
    admin: () => post("/v1/buckets", document),
  }
  for (const [name, send] of Object.entries(doors)) {
    const before = (await send(), usedBytes())
    for (let time = 0; time < TIMES; time += 1) assert.ok((await send()).status >= 400, `${name} refuses`)
    const grownBytes = usedBytes() - before
    assert.ok(grownBytes < (TIMES / 2) * DOCUMENT_BYTES, `${name}: ${grownBytes} more bytes are in use`)
  }
})
