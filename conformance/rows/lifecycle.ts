/**
 * Lifecycle rules (line 9 as far as a configuration that was set is read): what is put comes back, what S3 refuses is
 * refused, and headers announce what rules will do. No row waits for a day to pass.
 *
 * Each row quotes the sentence that it holds the server to: (API) stands for the Amazon S3 API Reference, (UG) for
 * "Managing the lifecycle of objects" in the Amazon S3 User Guide. Where they give no code, the code is the one that Amazon
 * is known to answer with.
 */
import { md5Base64 } from "../checksums.js"
import { check, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import type { RawResponse } from "../raw-client.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import { elements, text, texts } from "../xml.js"

const digestOf = (xml: string) => ({ "Content-MD5": md5Base64(Buffer.from(xml)) })
const DAY_MS = 86_400_000
const MINIMUM = "x-amz-transition-default-minimum-object-size"

const configuration = (...rules: readonly string[]) =>
  `<LifecycleConfiguration>${rules.map(rule => `<Rule>${rule}</Rule>`).join("")}</LifecycleConfiguration>`
const ENABLED = "<Status>Enabled</Status>"
const days = (count: number) => `<Expiration><Days>${count}</Days></Expiration>`
const abort = (count: number) =>
  `<AbortIncompleteMultipartUpload><DaysAfterInitiation>${count}</DaysAfterInitiation></AbortIncompleteMultipartUpload>`
const prefixed = (prefix: string) => `<Filter><Prefix>${prefix}</Prefix></Filter>`
const named = (id: string, ...inside: readonly string[]) => `<ID>${id}</ID>${ENABLED}${inside.join("")}`

const put = (scene: Scene, xml: string): Promise<RawResponse> => scene.document("PUT", "lifecycle", xml)
const set = async (scene: Scene, ...rules: readonly string[]): Promise<RawResponse> =>
  expectStatus(await put(scene, configuration(...rules)), 200)

/** The date and the rule of the header `x-amz-expiration`. */
function expirationIn(response: RawResponse): { readonly dateMs: number; readonly rule: string } {
  const header = present(response.header("x-amz-expiration"), "x-amz-expiration")
  const [, date, rule] = /^expiry-date="([^"]+)", rule-id="([^"]+)"$/.exec(header) ?? []
  return { dateMs: Date.parse(present(date, "expiry-date")), rule: present(rule, "rule-id") }
}

/** At midnight, after some days and before one more. */
function checkDue(dateMs: number, count: number): void {
  same(dateMs % DAY_MS, 0, "the time of day")
  const fromNow = dateMs - Date.now()
  check(fromNow > (count - 0.01) * DAY_MS && fromNow < (count + 1.01) * DAY_MS, `${fromNow} ms are ${count} days`)
}

const refusals: readonly (readonly [rules: string, code: string])[] = [
  // (API) "ID … The value cannot be longer than 255 characters."
  [configuration(named("i".repeat(256), prefixed(""), days(1))), "InvalidArgument"],
  [configuration(named("one", prefixed("a"), days(1)), named("one", prefixed("b"), days(1))), "InvalidArgument"],
  // (API) "Days … The value must be a non-zero positive integer."
  [configuration(`${ENABLED}${prefixed("")}${days(0)}`), "InvalidArgument"],
  [configuration(`${ENABLED}${prefixed("")}${abort(0)}`), "InvalidArgument"],
  // (API) "Date … The time is always midnight UTC."
  [
    configuration(`${ENABLED}${prefixed("")}<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>`),
    "InvalidArgument",
  ],
  // (API) "This cannot be specified with Days or Date in a Lifecycle Expiration Policy."
  [
    configuration(
      `${ENABLED}${prefixed("")}<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>`,
    ),
    "MalformedXML",
  ],
  // (API) "Status … Valid Values: Enabled | Disabled"
  [configuration(`<Status>enabled</Status>${prefixed("")}${days(1)}`), "MalformedXML"],
  // (API) "Filter is required if the LifecycleRule does not contain a Prefix element."
  [configuration(`${ENABLED}${days(1)}`), "MalformedXML"],
  // (API) "A Filter must have exactly one of Prefix, Tag, ObjectSizeGreaterThan, ObjectSizeLessThan, or And specified."
  [
    configuration(`${ENABLED}<Filter><Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>${days(1)}`),
    "MalformedXML",
  ],
  // (UG) "You can't specify this lifecycle action in a rule that has a filter that uses object tags."
  [configuration(`${ENABLED}<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>${abort(1)}`), "InvalidRequest"],
  // (UG) "When you specify multiple tags in a filter, each tag key must be unique."
  [
    configuration(
      `${ENABLED}<Filter><And><Tag><Key>k</Key><Value>1</Value></Tag><Tag><Key>k</Key><Value>2</Value></Tag></And></Filter>${days(1)}`,
    ),
    "InvalidRequest",
  ],
  // (API) "At least one action must be specified in a lifecycle rule."
  [configuration(`${ENABLED}${prefixed("")}`), "InvalidRequest"],
  // (API) "The number of lifecycle rules must not exceed the allowed limit of 1000 rules."
  [configuration(...Array.from({ length: 1001 }, () => `${ENABLED}${prefixed("")}${days(1)}`)), "InvalidRequest"],
  // (API) "You can specify up to 100 noncurrent versions to retain."
  [
    configuration(
      `${ENABLED}${prefixed("")}<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions></NoncurrentVersionExpiration>`,
    ),
    "InvalidArgument",
  ],
]

export const lifecycleRows: readonly Row[] = [
  row("9.300", "lifecycle rules come back as they were put, and are replaced as a whole", async scene => {
    const first = configuration(
      named("one &amp; two", prefixed("logs/"), days(30), abort(7)),
      named(
        "versions",
        "<Filter><And><Prefix></Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>",
        "<NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
      ),
    )
    const stored = await scene.document("PUT", "lifecycle", first)
    // (API) the value of this header that applies if none is sent.
    expectHeader(expectStatus(stored, 200), MINIMUM, "all_storage_classes_128K")
    const shown = expectStatus(await scene.list("lifecycle"), 200)
    expectHeader(shown, MINIMUM, "all_storage_classes_128K")
    same(texts(shown.text, "ID"), ["one & two", "versions"], "ids")
    same(texts(shown.text, "Prefix"), ["logs/", ""], "prefixes")
    same(text(shown.text, "NewerNoncurrentVersions"), "2", "versions that stay")
    same(text(shown.text, "DaysAfterInitiation"), "7", "days of uploads")
    // (UG) "Amazon S3 replaces the bucket's current Lifecycle configuration".
    await set(scene, named("other", prefixed(""), days(1)))
    same(texts(expectStatus(await scene.list("lifecycle"), 200).text, "ID"), ["other"], "ids")
    const asking = (value: string) => ({
      query: "lifecycle",
      body: first,
      headers: { ...digestOf(first), [MINIMUM]: value },
    })
    expectError(await scene.call("PUT", asking("none")), 400, "InvalidRequest")
    const varies = await scene.call("PUT", asking("varies_by_storage_class"))
    expectHeader(expectStatus(varies, 200), MINIMUM, "varies_by_storage_class")
    expectHeader(await scene.list("lifecycle"), MINIMUM, "varies_by_storage_class")
  }),
  row("9.301", "a rule without an id gets one, and the legacy form stays one", async scene => {
    await set(scene, `<Prefix>old/</Prefix>${ENABLED}${days(3650)}`)
    const shown = expectStatus(await scene.list("lifecycle"), 200).text
    const [rule] = elements(shown, "Rule")
    check((text(present(rule, "Rule"), "ID") ?? "") !== "", "the rule has an id")
    same(elements(shown, "Filter").length, 0, "filters")
    same(text(shown, "Prefix"), "old/", "prefix")
  }),
  row("9.302", "DELETE of lifecycle rules is 204, also without any; then there are none", async scene => {
    expectStatus(await scene.call("DELETE", { query: "lifecycle" }), 204)
    await set(scene, named("one", prefixed(""), days(1)))
    expectStatus(await scene.call("DELETE", { query: "lifecycle" }), 204)
    expectError(await scene.list("lifecycle"), 404, "NoSuchLifecycleConfiguration")
  }),
  row("9.303", "lifecycle rules that S3 excludes are refused, and change nothing", async scene => {
    await set(scene, named("kept", prefixed(""), days(1)))
    for (const [xml, code] of refusals) expectError(await put(scene, xml), 400, code)
    expectError(await put(scene, "<LifecycleConfiguration><Rule>"), 400, "MalformedXML")
    expectError(await put(scene, configuration("<Surprise/>")), 400, "MalformedXML")
    same(texts(expectStatus(await scene.list("lifecycle"), 200).text, "ID"), ["kept"], "ids")
  }),
  row("9.304", "transitions are done, or refused by name", async scene => {
    const rule = `${ENABLED}${prefixed("")}<Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition>`
    const response = await put(scene, configuration(rule))
    if (response.status !== 200) expectError(response, 501, "NotImplemented")
  }),
  // (API) "If the object expiration is configured, the response includes this header. It includes the expiry-date and
  // rule-id key-value pairs providing object expiration information."
  row("9.305", "x-amz-expiration tells when and by which rule an object will go", async scene => {
    await set(scene, named("long", prefixed(""), days(9)), named("by day 3", prefixed("logs/"), days(3)))
    const stored = await scene.stored("logs/1", "body")
    const copied = expectStatus(await scene.copy("logs/1", "logs/2"), 200)
    for (const response of [stored, copied, await scene.get("logs/1"), await scene.head("logs/2")]) {
      const { dateMs, rule } = expirationIn(expectStatus(response, 200))
      same(rule, "by day 3", "rule")
      checkDue(dateMs, 3)
    }
    same(expirationIn(await scene.stored("other")).rule, "long", "rule")
    await set(scene, named("elsewhere", prefixed("x"), days(1)))
    expectHeader(await scene.head("logs/1"), "x-amz-expiration", undefined)
  }),
  // (UG) "Each tag must match both the key and value exactly."
  row("9.306", "a rule for tags announces the end of tagged objects only", async scene => {
    await set(scene, named("tagged", "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", days(1)))
    same(expirationIn(await scene.stored("tagged", "", { "x-amz-tagging": "k=v&l=w" })).rule, "tagged", "rule")
    same(expirationIn(expectStatus(await scene.head("tagged"), 200)).rule, "tagged", "rule")
    expectHeader(await scene.stored("other", "", { "x-amz-tagging": "k=w" }), "x-amz-expiration", undefined)
  }),
  // (API) "If the bucket has a lifecycle rule configured with an action to abort incomplete multipart uploads and the
  // prefix in the lifecycle rule matches the object name in the request, the response includes this header."
  row("9.307", "x-amz-abort-date and x-amz-abort-rule-id tell when an upload will be aborted", async scene => {
    await set(scene, named("uploads", prefixed("up/"), abort(7)), named("objects", prefixed("up/"), days(1)))
    const created = expectStatus(await scene.call("POST", { key: "up/1", query: "uploads" }), 200)
    const uploadId = present(text(created.text, "UploadId"), "UploadId")
    const listed = expectStatus(await scene.get("up/1", {}, `uploadId=${uploadId}`), 200)
    for (const response of [created, listed]) {
      expectHeader(response, "x-amz-abort-rule-id", "uploads")
      checkDue(Date.parse(present(response.header("x-amz-abort-date"), "x-amz-abort-date")), 7)
    }
    const other = expectStatus(await scene.call("POST", { key: "other", query: "uploads" }), 200)
    expectHeader(other, "x-amz-abort-date", undefined)
    const etag = present((await scene.part("up/1", uploadId, 1, "body")).header("etag"), "ETag")
    const parts = `<Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part>`
    const body = `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`
    const completed = await scene.call("POST", { key: "up/1", query: `uploadId=${uploadId}`, body })
    same(expirationIn(expectStatus(completed, 200)).rule, "objects", "rule")
  }),
  row(
    "9.308",
    "a current version of a versioned bucket has an expiration; a request for a version has none",
    async scene => {
      await scene.setVersioning("Enabled")
      await set(scene, named("one", prefixed(""), days(1)))
      const version = present((await scene.stored("key")).header("x-amz-version-id"), "x-amz-version-id")
      same(expirationIn(expectStatus(await scene.get("key"), 200)).rule, "one", "rule")
      expectHeader(await scene.get("key", {}, `versionId=${version}`), "x-amz-expiration", undefined)
    },
  ),
]
