/**
 * Object lock (line 91 as far as it concerns which versions can be deleted).
 *
 * Each row quotes the sentence that it holds the server to: (API) stands for the Amazon S3 API Reference, (UG) for
 * "Locking objects with Object Lock" and "Object Lock considerations" in the Amazon S3 User Guide. Where they give no
 * code, the code is the one that Amazon is known to answer with.
 */
import { checksumBase64, md5Base64 } from "../checksums.js"
import { expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import type { RawResponse } from "../raw-client.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import { elements, text } from "../xml.js"

const DAY_MS = 86_400_000
const inDays = (days: number): string => new Date(Date.now() + days * DAY_MS).toISOString()
const BYPASS = { "x-amz-bypass-governance-retention": "true" }

const configuration = (inside: string) => `<ObjectLockConfiguration>${inside}</ObjectLockConfiguration>`
const ENABLED = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
const defaulting = (inside: string) =>
  configuration(`${ENABLED}<Rule><DefaultRetention>${inside}</DefaultRetention></Rule>`)
const retention = (mode: string, until: string) =>
  `<Retention><Mode>${mode}</Mode><RetainUntilDate>${until}</RetainUntilDate></Retention>`
const hold = (status: string) => `<LegalHold><Status>${status}</Status></LegalHold>`
const modeAndDate = (mode: string, until: string) => ({
  "x-amz-object-lock-mode": mode,
  "x-amz-object-lock-retain-until-date": until,
})

/** The requests of one bucket with object lock. */
class Locked {
  private constructor(
    readonly scene: Scene,
    readonly bucket: string,
  ) {}

  static async open(scene: Scene): Promise<Locked> {
    return new Locked(scene, await scene.newBucket({ headers: { "x-amz-bucket-object-lock-enabled": "true" } }))
  }

  put(key: string, body = "body", headers: Record<string, string> = {}): Promise<RawResponse> {
    const digest = { "Content-MD5": md5Base64(Buffer.from(body)) }
    return this.scene.call("PUT", { bucket: this.bucket, key, body, headers: { ...digest, ...headers } })
  }

  /** The id of a stored version. */
  async stored(key: string, headers: Record<string, string> = {}): Promise<string> {
    return versionOf(expectStatus(await this.put(key, "body", headers), 200))
  }

  setDefault(xml: string): Promise<RawResponse> {
    return this.scene.document("PUT", "object-lock", xml, { bucket: this.bucket })
  }

  retain(key: string, xml: string, headers: Record<string, string> = {}, version?: string): Promise<RawResponse> {
    const sent = { "Content-MD5": md5Base64(Buffer.from(xml)), ...headers }
    const query = version === undefined ? "retention" : `retention&versionId=${version}`
    return this.scene.call("PUT", { bucket: this.bucket, key, query, body: xml, headers: sent })
  }

  hold(key: string, xml: string): Promise<RawResponse> {
    return this.scene.document("PUT", "legal-hold", xml, { bucket: this.bucket, key })
  }

  read(key: string, query: string): Promise<RawResponse> {
    return this.scene.call("GET", { bucket: this.bucket, key, query })
  }

  head(key: string): Promise<RawResponse> {
    return this.scene.call("HEAD", { bucket: this.bucket, key })
  }

  removeVersion(key: string, version: string, headers: Record<string, string> = {}): Promise<RawResponse> {
    return this.scene.call("DELETE", { bucket: this.bucket, key, query: `versionId=${version}`, headers })
  }

  /** The version is there after all. */
  async keeps(key: string, version: string): Promise<void> {
    expectBody(expectStatus(await this.read(key, `versionId=${version}`), 200), "body")
  }
}

const versionOf = (response: RawResponse): string => present(response.header("x-amz-version-id"), "x-amz-version-id")

function expectMessage(response: RawResponse, status: number, code: string, message: string): void {
  same(text(expectError(response, status, code).text, "Message"), message, "Message")
}

const rowLocked = (id: string, title: string, run: (locked: Locked) => Promise<void>): Row =>
  row(id, title, async scene => run(await Locked.open(scene)))

const PROTECTED = "Access Denied because object protected by object lock."

const bucketRows: readonly Row[] = [
  // (API, CreateBucket) "Specifies whether you want S3 Object Lock to be enabled for the new bucket", which needs
  // s3:PutBucketVersioning; (UG) "Object Lock works only in buckets that have S3 Versioning enabled."
  rowLocked("91.20", "a bucket made with object lock has versioning and no default retention", async locked => {
    const { scene, bucket } = locked
    const versioning = expectStatus(await scene.call("GET", { bucket, query: "versioning" }), 200)
    same(text(versioning.text, "Status"), "Enabled", "versioning")
    const shown = expectStatus(await scene.call("GET", { bucket, query: "object-lock" }), 200)
    same(text(shown.text, "ObjectLockEnabled"), "Enabled", "ObjectLockEnabled")
    same(elements(shown.text, "Rule"), [], "rules")
    expectHeader(await locked.put("k"), "x-amz-object-lock-mode", undefined)
  }),
  // (API, PutObjectLockConfiguration) "The rule specified in the Object Lock configuration will be applied by default to
  // every new object placed in the specified bucket."
  rowLocked("91.21", "a default retention is put, shown, replaced and taken away", async locked => {
    const { scene, bucket } = locked
    for (const inside of ["<Mode>GOVERNANCE</Mode><Days>1</Days>", "<Mode>COMPLIANCE</Mode><Years>100</Years>"]) {
      expectStatus(await locked.setDefault(defaulting(inside)), 200)
      const shown = expectStatus(await scene.call("GET", { bucket, query: "object-lock" }), 200)
      same(elements(shown.text, "DefaultRetention"), [inside], "DefaultRetention")
    }
    expectStatus(await locked.setDefault(configuration(ENABLED)), 200)
    const shown = expectStatus(await scene.call("GET", { bucket, query: "object-lock" }), 200)
    same(elements(shown.text, "Rule"), [], "rules")
  }),
  // (API, DefaultRetention) "The DefaultRetention settings require both a mode and a period. The DefaultRetention period
  // can be either Days or Years but you must select one. You cannot specify Days and Years at the same time."
  rowLocked("91.22", "a default retention that is wrong is refused, and what was there stays", async locked => {
    const { scene, bucket } = locked
    const right = "<Mode>GOVERNANCE</Mode><Days>1</Days>"
    expectStatus(await locked.setDefault(defaulting(right)), 200)
    const malformed = [
      defaulting("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"),
      defaulting("<Mode>GOVERNANCE</Mode>"),
      defaulting("<Days>1</Days>"),
      defaulting("<Mode>abc</Mode><Days>1</Days>"),
      defaulting("<Mode>governance</Mode><Days>1</Days>"),
      defaulting("<Mode>GOVERNANCE</Mode><Days>NaN</Days>"),
      defaulting("<Mode>GOVERNANCE</Mode><Days>1.5</Days>"),
      defaulting("<Mode>GOVERNANCE</Mode><Days><Days>1</Days></Days>"),
      configuration(right),
      configuration("<ObjectLockEnabled>Disabled</ObjectLockEnabled>"),
      configuration(`${ENABLED}<Rule/>`),
      configuration(`${ENABLED}<Surprise/>`),
      "<Other/>",
      "<",
    ]
    for (const xml of malformed) expectError(await locked.setDefault(xml), 400, "MalformedXML")
    const ranges = ["<Days>0</Days>", "<Days>-1</Days>", "<Years>0</Years>", "<Days>36501</Days>", "<Years>101</Years>"]
    for (const period of ranges) {
      expectError(await locked.setDefault(defaulting(`<Mode>GOVERNANCE</Mode>${period}`)), 400, "InvalidArgument")
    }
    const shown = expectStatus(await scene.call("GET", { bucket, query: "object-lock" }), 200)
    same(elements(shown.text, "DefaultRetention"), [right], "DefaultRetention")
  }),
  // (API, PutObjectLockConfiguration) "You can enable Object Lock for new or existing buckets."; (API, errors)
  // InvalidBucketState, 409: "The request is not valid for the current state of the bucket."
  row("91.23", "object lock is turned on later, in a bucket with versioning", async scene => {
    const xml = defaulting("<Mode>GOVERNANCE</Mode><Days>1</Days>")
    expectError(await scene.list("object-lock"), 404, "ObjectLockConfigurationNotFoundError")
    const message = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
    expectMessage(await scene.document("PUT", "object-lock", xml), 409, "InvalidBucketState", message)
    await scene.setVersioning("Suspended")
    expectMessage(await scene.document("PUT", "object-lock", xml), 409, "InvalidBucketState", message)
    expectError(await scene.list("object-lock"), 404, "ObjectLockConfigurationNotFoundError")
    await scene.setVersioning("Enabled")
    expectStatus(await scene.document("PUT", "object-lock", xml), 200)
    same(text((await scene.list("object-lock")).text, "Days"), "1", "Days")
  }),
  // (UG) "After you enable Object Lock on a bucket, you can't disable Object Lock or suspend versioning for that bucket."
  rowLocked("91.24", "versioning of a bucket with object lock cannot be suspended", async locked => {
    const { scene, bucket } = locked
    const xml = (status: string) => `<VersioningConfiguration><Status>${status}</Status></VersioningConfiguration>`
    const message = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
    const suspended = await scene.document("PUT", "versioning", xml("Suspended"), { bucket })
    expectMessage(suspended, 409, "InvalidBucketState", message)
    expectStatus(await scene.document("PUT", "versioning", xml("Enabled"), { bucket }), 200)
  }),
  // (API, CreateBucket) BucketAlreadyOwnedByYou; success would claim a lock that the bucket does not have.
  row("91.25", "creating a bucket again with object lock does not claim that it has one", async scene => {
    const headers = { "x-amz-bucket-object-lock-enabled": "true" }
    expectError(await scene.call("PUT", { headers }), 409, "BucketAlreadyOwnedByYou")
    expectError(await scene.list("object-lock"), 404, "ObjectLockConfigurationNotFoundError")
  }),
  // (UG) "Amazon S3 calculates a Retain Until Date for the object version by adding the specified duration to the object
  // version's creation timestamp."; "the object version's individual Object Lock settings override any bucket property
  // retention settings."
  rowLocked("91.26", "new objects get the default retention, unless they state their own", async locked => {
    expectStatus(await locked.setDefault(defaulting("<Mode>GOVERNANCE</Mode><Days>2</Days>")), 200)
    const before = Date.now()
    const version = await locked.stored("k")
    const shown = expectStatus(await locked.read("k", "retention"), 200)
    same(text(shown.text, "Mode"), "GOVERNANCE", "Mode")
    const untilMs = Date.parse(text(shown.text, "RetainUntilDate") ?? "")
    const slackMs = 15 * 60_000
    same(
      [untilMs >= before + 2 * DAY_MS - slackMs, untilMs <= Date.now() + 2 * DAY_MS + slackMs],
      [true, true],
      "until",
    )
    expectError(await locked.removeVersion("k", version), 403, "AccessDenied")
    const until = inDays(30)
    await locked.stored("own", modeAndDate("GOVERNANCE", until))
    same(text((await locked.read("own", "retention")).text, "RetainUntilDate"), until, "RetainUntilDate")
    await locked.stored("held", { "x-amz-object-lock-legal-hold": "ON" })
    same(text((await locked.read("held", "retention")).text, "Mode"), "GOVERNANCE", "Mode beside a legal hold")
  }),
]

const headerRows: readonly Row[] = [
  // (API, HeadObject) x-amz-object-lock-mode, x-amz-object-lock-retain-until-date, x-amz-object-lock-legal-hold: "This
  // header is not returned if the specified version of this object has never had a legal hold applied."
  rowLocked("91.30", "PUT with a lock; GET and HEAD show it", async locked => {
    const until = "2040-01-01T00:00:00.000Z"
    const asked = { ...modeAndDate("GOVERNANCE", until), "x-amz-object-lock-legal-hold": "ON" }
    await locked.stored("k", asked)
    for (const response of [await locked.head("k"), await locked.read("k", "")]) {
      for (const [name, value] of Object.entries(asked)) expectHeader(expectStatus(response, 200), name, value)
    }
  }),
  // (API, PutObject) x-amz-object-lock-retain-until-date: "Must be formatted as a timestamp parameter."
  rowLocked("91.31", "dates with and without fractions and offsets are the same moment everywhere", async locked => {
    const dates = [
      ["2040-01-01T00:00:00Z", "2040-01-01T00:00:00.000Z"],
      ["2040-01-01T00:00:00.5Z", "2040-01-01T00:00:00.500Z"],
      ["2040-01-01T02:00:00.123456+02:00", "2040-01-01T00:00:00.123Z"],
      ["2039-12-31T19:00:00-0500", "2040-01-01T00:00:00.000Z"],
    ] as const
    for (const [index, [sent, shown]] of dates.entries()) {
      await locked.stored(`h${index}`, modeAndDate("GOVERNANCE", sent))
      expectHeader(await locked.head(`h${index}`), "x-amz-object-lock-retain-until-date", shown)
      await locked.stored(`d${index}`)
      expectStatus(await locked.retain(`d${index}`, retention("GOVERNANCE", sent)), 200)
      same(text((await locked.read(`d${index}`, "retention")).text, "RetainUntilDate"), shown, "RetainUntilDate")
    }
  }),
  // (UG) "When you set a retention period on an object or S3 bucket, you must select one of two retention modes".
  rowLocked(
    "91.32",
    "a lock that is incomplete, unknown or in the past is refused, and nothing is stored",
    async locked => {
      const both = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
      const until = inDays(1)
      const wrong = [
        [{ "x-amz-object-lock-mode": "GOVERNANCE" }, both],
        [{ "x-amz-object-lock-retain-until-date": until }, both],
        [modeAndDate("governance", until), "Unknown wormMode directive."],
        [modeAndDate("FOREVER", until), "Unknown wormMode directive."],
        [modeAndDate("GOVERNANCE", "tomorrow"), "The retain until date must be provided in ISO 8601 format"],
        [
          modeAndDate("GOVERNANCE", "2040-02-30T00:00:00Z"),
          "The retain until date must be provided in ISO 8601 format",
        ],
        [modeAndDate("GOVERNANCE", inDays(-1)), "The retain until date must be in the future!"],
        [{ "x-amz-object-lock-legal-hold": "on" }, "Legal Hold must be either of 'ON' or 'OFF'"],
        [{ "x-amz-object-lock-legal-hold": "" }, "Legal Hold must be either of 'ON' or 'OFF'"],
      ] as const
      for (const [headers, message] of wrong) {
        expectMessage(await locked.put("k", "body", headers), 400, "InvalidArgument", message)
        const upload = { bucket: locked.bucket, key: "k", query: "uploads", headers }
        expectMessage(await locked.scene.call("POST", upload), 400, "InvalidArgument", message)
      }
      expectStatus(await locked.head("k"), 404)
    },
  ),
  // (UG) "Before you lock any objects, you must enable S3 Versioning and Object Lock on a general purpose bucket."
  row(
    "91.33",
    "a lock for an object of a bucket without object lock is refused, whichever request asks",
    async scene => {
      await scene.stored("source", "body")
      const message = "Bucket is missing Object Lock Configuration"
      const ofWrites = "Bucket is missing ObjectLockConfiguration"
      for (const headers of [modeAndDate("GOVERNANCE", inDays(1)), { "x-amz-object-lock-legal-hold": "OFF" }]) {
        expectMessage(await scene.put("k", "body", headers), 400, "InvalidRequest", ofWrites)
        expectMessage(await scene.copy("source", "k", headers), 400, "InvalidRequest", ofWrites)
        expectMessage(
          await scene.call("POST", { key: "k", query: "uploads", headers }),
          400,
          "InvalidRequest",
          ofWrites,
        )
      }
      expectStatus(await scene.head("k"), 404)
      const documents = [
        ["retention", retention("GOVERNANCE", inDays(1))],
        ["legal-hold", hold("ON")],
      ] as const
      for (const [query, xml] of documents) {
        expectMessage(await scene.call("GET", { key: "source", query }), 400, "InvalidRequest", message)
        expectMessage(await scene.document("PUT", query, xml, { key: "source" }), 400, "InvalidRequest", message)
      }
    },
  ),
  // (API, PutObject) "The Content-MD5 or x-amz-sdk-checksum-algorithm header is required for any request to upload an
  // object with a retention period configured using Amazon S3 Object Lock."
  rowLocked("91.34", "an object that will be locked needs a Content-MD5 or a checksum, parts too", async locked => {
    const { scene, bucket } = locked
    const message = (what: string) =>
      `Content-MD5 OR x-amz-checksum- HTTP header is required for Put ${what} requests with Object Lock parameters`
    const bare = (headers: Record<string, string> = {}) =>
      scene.call("PUT", { bucket, key: "k", body: "body", headers })
    const part = (uploadId: string) =>
      scene.call("PUT", { bucket, key: "k", query: `partNumber=1&uploadId=${uploadId}`, body: "body" })
    const begin = async (headers: Record<string, string> = {}) => {
      const begun = await scene.call("POST", { bucket, key: "k", query: "uploads", headers })
      return present(text(expectStatus(begun, 200).text, "UploadId"), "UploadId")
    }
    expectStatus(await bare(), 200)
    expectStatus(await part(await begin()), 200)
    const asked = { "x-amz-object-lock-legal-hold": "ON" }
    expectMessage(await bare(asked), 400, "InvalidRequest", message("Object"))
    expectMessage(await part(await begin(asked)), 400, "InvalidRequest", message("Part"))
    const crc = checksumBase64("CRC32", Buffer.from("body"))
    expectStatus(await bare({ ...asked, "x-amz-checksum-crc32": crc }), 200)
    expectStatus(await locked.setDefault(defaulting("<Mode>GOVERNANCE</Mode><Days>1</Days>")), 200)
    expectMessage(await bare(), 400, "InvalidRequest", message("Object"))
    expectMessage(await part(await begin()), 400, "InvalidRequest", message("Part"))
    expectStatus(await locked.put("k"), 200)
  }),
  // (UG, copying objects) "Copied objects will not retain the Object Lock settings from the original objects".
  rowLocked("91.35", "a copy has the lock that its request states, not its source's", async locked => {
    const { scene, bucket } = locked
    await locked.stored("source", { ...modeAndDate("GOVERNANCE", inDays(9)), "x-amz-object-lock-legal-hold": "ON" })
    const copy = (key: string, headers: Record<string, string> = {}) =>
      scene.call("PUT", { bucket, key, headers: { "x-amz-copy-source": `/${bucket}/source`, ...headers } })
    expectStatus(await copy("plain"), 200)
    expectHeader(await locked.head("plain"), "x-amz-object-lock-mode", undefined)
    expectHeader(await locked.head("plain"), "x-amz-object-lock-legal-hold", undefined)
    const until = inDays(3)
    expectStatus(await copy("locked", modeAndDate("GOVERNANCE", until)), 200)
    expectHeader(await locked.head("locked"), "x-amz-object-lock-retain-until-date", until)
  }),
  // (API, CreateMultipartUpload) x-amz-object-lock-mode: "Specifies the Object Lock mode that you want to apply to the
  // uploaded object."
  rowLocked("91.36", "a multipart object has the lock that its upload states", async locked => {
    const { scene, bucket } = locked
    const headers = { ...modeAndDate("GOVERNANCE", inDays(3)), "x-amz-object-lock-legal-hold": "ON" }
    const begun = expectStatus(await scene.call("POST", { bucket, key: "k", query: "uploads", headers }), 200)
    const upload = `uploadId=${present(text(begun.text, "UploadId"), "UploadId")}`
    const digest = { "Content-MD5": md5Base64(Buffer.from("body")) }
    const query = `partNumber=1&${upload}`
    const part = await scene.call("PUT", { bucket, key: "k", query, body: "body", headers: digest })
    const etag = present(expectStatus(part, 200).header("etag"), "ETag")
    const listed = `<Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part>`
    const body = `<CompleteMultipartUpload>${listed}</CompleteMultipartUpload>`
    const version = versionOf(expectStatus(await scene.call("POST", { bucket, key: "k", query: upload, body }), 200))
    for (const [name, value] of Object.entries(headers)) expectHeader(await locked.head("k"), name, value)
    expectMessage(await locked.removeVersion("k", version, BYPASS), 403, "AccessDenied", PROTECTED)
    expectStatus(await locked.hold("k", hold("OFF")), 200)
    expectMessage(await locked.removeVersion("k", version), 403, "AccessDenied", PROTECTED)
    expectStatus(await locked.removeVersion("k", version, BYPASS), 204)
  }),
]

const retentionRows: readonly Row[] = [
  // (API, PutObjectRetention) "Places an Object Retention configuration on an object."
  rowLocked("91.40", "a retention is put on a version and shown; unset and removed ones are 404", async locked => {
    await locked.stored("k")
    const version = await locked.stored("k")
    expectError(await locked.read("k", "retention"), 404, "NoSuchObjectLockConfiguration")
    const until = inDays(2)
    expectStatus(await locked.retain("k", retention("GOVERNANCE", until), {}, version), 200)
    const shown = expectStatus(await locked.read("k", `retention&versionId=${version}`), 200)
    same([text(shown.text, "Mode"), text(shown.text, "RetainUntilDate")], ["GOVERNANCE", until], "Retention")
    expectMessage(await locked.retain("k", "<Retention/>"), 403, "AccessDenied", PROTECTED)
    expectStatus(await locked.retain("k", "<Retention/>", BYPASS), 200)
    expectError(await locked.read("k", "retention"), 404, "NoSuchObjectLockConfiguration")
    expectStatus(await locked.removeVersion("k", version), 204)
  }),
  rowLocked("91.41", "a retention that is wrong is refused, and none is set", async locked => {
    await locked.stored("k")
    const until = inDays(1)
    const malformed = [
      retention("governance", until),
      retention("abc", until),
      retention("GOVERNANCE", "tomorrow"),
      retention("GOVERNANCE", "2040-13-01T00:00:00Z"),
      retention("GOVERNANCE", "+275760-09-13T00:00:00Z"),
      "<Retention><Mode>GOVERNANCE</Mode></Retention>",
      `<Retention><RetainUntilDate>${until}</RetainUntilDate></Retention>`,
      "<Retention><Surprise/></Retention>",
      "<LegalHold/>",
      "<",
      "",
    ]
    for (const xml of malformed) expectError(await locked.retain("k", xml), 400, "MalformedXML")
    expectError(await locked.retain("k", "<Retention><EventHold>ON</EventHold></Retention>"), 501, "NotImplemented")
    const message = "The retain until date must be in the future!"
    expectMessage(await locked.retain("k", retention("GOVERNANCE", inDays(-1))), 400, "InvalidArgument", message)
    expectError(await locked.read("k", "retention"), 404, "NoSuchObjectLockConfiguration")
  }),
  // (UG) "Any user with permissions to place an object retention period can extend a retention period for an object
  // version."; to override governance mode a request "must explicitly include x-amz-bypass-governance-retention:true".
  rowLocked(
    "91.42",
    "a retention in governance mode is prolonged by anyone, and shortened by a bypass",
    async locked => {
      const version = await locked.stored("k")
      const [short, long] = [inDays(2), inDays(4)]
      expectStatus(await locked.retain("k", retention("GOVERNANCE", short)), 200)
      expectStatus(await locked.retain("k", retention("GOVERNANCE", long)), 200)
      expectMessage(await locked.retain("k", retention("GOVERNANCE", short)), 403, "AccessDenied", PROTECTED)
      expectError(await locked.retain("k", retention("COMPLIANCE", long)), 403, "AccessDenied")
      same(text((await locked.read("k", "retention")).text, "RetainUntilDate"), long, "RetainUntilDate")
      expectStatus(await locked.retain("k", retention("GOVERNANCE", short), BYPASS), 200)
      same(text((await locked.read("k", "retention")).text, "RetainUntilDate"), short, "RetainUntilDate")
      const not = { "x-amz-bypass-governance-retention": "false" }
      expectMessage(await locked.removeVersion("k", version, not), 403, "AccessDenied", PROTECTED)
      expectStatus(await locked.removeVersion("k", version, BYPASS), 204)
    },
  ),
  // (UG) "In compliance mode, a protected object version can't be overwritten or deleted by any user, including the root
  // user in your AWS account. When an object is locked in compliance mode, its retention mode can't be changed, and its
  // retention period can't be shortened."
  rowLocked(
    "91.43",
    "a retention in compliance mode is only prolonged, and nobody removes the version",
    async locked => {
      const [short, long] = [inDays(1 / 24 / 60), inDays(2 / 24 / 60)]
      const version = await locked.stored("k", modeAndDate("GOVERNANCE", short))
      expectError(await locked.retain("k", retention("COMPLIANCE", short)), 403, "AccessDenied")
      expectStatus(await locked.retain("k", retention("COMPLIANCE", short), BYPASS), 200)
      expectStatus(await locked.retain("k", retention("COMPLIANCE", long)), 200)
      for (const headers of [{}, BYPASS]) {
        expectMessage(await locked.retain("k", retention("COMPLIANCE", short), headers), 403, "AccessDenied", PROTECTED)
        expectError(await locked.retain("k", retention("GOVERNANCE", long), headers), 403, "AccessDenied")
        expectError(await locked.retain("k", "<Retention/>", headers), 403, "AccessDenied")
        expectMessage(await locked.removeVersion("k", version, headers), 403, "AccessDenied", PROTECTED)
      }
      await locked.keeps("k", version)
      expectError(await locked.scene.call("DELETE", { bucket: locked.bucket }), 409, "BucketNotEmpty")
    },
  ),
  // (API, GetObject) "If the specified version is a delete marker, the response returns a 405 Method Not Allowed error."
  rowLocked("91.44", "delete markers and absent versions have no lock", async locked => {
    await locked.stored("k")
    const { scene, bucket } = locked
    const marker = versionOf(expectStatus(await scene.call("DELETE", { bucket, key: "k" }), 204))
    for (const query of ["retention", "legal-hold"]) {
      expectError(await locked.read("k", `${query}&versionId=${marker}`), 405, "MethodNotAllowed")
      expectError(await locked.read("absent", query), 404, "NoSuchKey")
    }
    const xml = retention("GOVERNANCE", inDays(1))
    expectError(await locked.retain("k", xml, {}, marker), 405, "MethodNotAllowed")
    expectError(await locked.retain("absent", xml), 404, "NoSuchKey")
    expectError(await locked.hold("absent", hold("ON")), 404, "NoSuchKey")
    expectStatus(await locked.removeVersion("k", marker), 204)
  }),
]

const deletionRows: readonly Row[] = [
  // (UG) "a legal hold doesn't have an associated fixed amount of time and remains in effect until removed."; "Bypassing
  // governance mode doesn't affect an object version's legal hold status."
  rowLocked("91.50", "a legal hold keeps a version from everyone until it is off", async locked => {
    const version = await locked.stored("k")
    expectError(await locked.read("k", "legal-hold"), 404, "NoSuchObjectLockConfiguration")
    for (const xml of [hold("abc"), hold("on"), "<LegalHold/>", "<Retention/>", hold("<Status>ON</Status>"), ""]) {
      expectError(await locked.hold("k", xml), 400, "MalformedXML")
    }
    expectStatus(await locked.hold("k", hold("ON")), 200)
    same(text((await locked.read("k", "legal-hold")).text, "Status"), "ON", "Status")
    for (const headers of [{}, BYPASS]) {
      expectMessage(await locked.removeVersion("k", version, headers), 403, "AccessDenied", PROTECTED)
    }
    expectStatus(await locked.hold("k", hold("OFF")), 200)
    same(text((await locked.read("k", "legal-hold")).text, "Status"), "OFF", "Status")
    expectStatus(await locked.removeVersion("k", version), 204)
  }),
  // (UG) "Retention periods and legal holds don't prevent new versions of the object from being created, or delete
  // markers to be added on top of the object."; a request with a version ID gets "an Access Denied (403 Forbidden) error".
  rowLocked("91.51", "a locked key can be deleted and written over: the locked version stays", async locked => {
    const { scene, bucket } = locked
    const version = await locked.stored("k", modeAndDate("GOVERNANCE", inDays(1)))
    expectStatus(await locked.put("k", "other"), 200)
    const marker = expectStatus(await scene.call("DELETE", { bucket, key: "k" }), 204)
    expectHeader(marker, "x-amz-delete-marker", "true")
    await locked.keeps("k", version)
    expectMessage(await locked.removeVersion("k", version), 403, "AccessDenied", PROTECTED)
    expectStatus(await locked.removeVersion("k", versionOf(marker)), 204)
    expectMessage(await locked.removeVersion("k", version), 403, "AccessDenied", PROTECTED)
    await locked.keeps("k", version)
    expectStatus(await locked.removeVersion("k", version, BYPASS), 204)
  }),
  // (API, DeleteObjects) "x-amz-bypass-governance-retention: Specifies whether you want to delete this object even if it
  // has a Governance-type Object Lock in place"; each key has its own result.
  rowLocked("91.52", "DeleteObjects reports each locked version, and removes the others", async locked => {
    const { scene, bucket } = locked
    const kept = await locked.stored("kept", modeAndDate("GOVERNANCE", inDays(1)))
    const gone = await locked.stored("gone")
    const entry = (key: string, version: string) =>
      `<Object><Key>${key}</Key><VersionId>${version}</VersionId></Object>`
    const remove = async (objects: string, headers: Record<string, string> = {}) => {
      const body = `<Delete>${objects}</Delete>`
      const digest = { "Content-MD5": md5Base64(Buffer.from(body)) }
      const sent = await scene.call("POST", { bucket, query: "delete", body, headers: { ...digest, ...headers } })
      return expectStatus(sent, 200).text
    }
    const first = await remove(entry("kept", kept) + entry("gone", gone))
    const [error, ...errors] = elements(first, "Error")
    const refused = [text(error ?? "", "Key"), text(error ?? "", "Code"), text(error ?? "", "Message")]
    same([refused, errors.length], [["kept", "AccessDenied", PROTECTED], 0], "errors")
    same(
      elements(first, "Deleted").map(deleted => text(deleted, "Key")),
      ["gone"],
      "deleted",
    )
    await locked.keeps("kept", kept)
    const second = await remove(entry("kept", kept), BYPASS)
    same([elements(second, "Error").length, elements(second, "Deleted").length], [0, 1], "second answer")
  }),
  // (UG) with the bypass, "you can perform operations on object versions that are locked in governance mode as if they
  // were unprotected": here the header has no effect on others. Amazon refuses it in buckets without object lock.
  row("91.53", "a bypass has no effect where nothing is locked", async scene => {
    await scene.stored("k", "body")
    expectStatus(await scene.remove("k", BYPASS), 204)
    const locked = await Locked.open(scene)
    const version = await locked.stored("k")
    expectStatus(await locked.removeVersion("k", version, BYPASS), 204)
    expectStatus(await locked.removeVersion("k", version, BYPASS), 204)
  }),
]

export const lockRows: readonly Row[] = [...bucketRows, ...headerRows, ...retentionRows, ...deletionRows]
