/**
 * Lifecycle rules of a bucket (line 9 as far as they are a setting), and the headers that announce what they will do.
 *
 * Each row quotes the sentence that it holds the server to: (API) stands for the Amazon S3 API Reference, (UG) for
 * "Lifecycle configuration elements" in the Amazon S3 User Guide. Where they give no code, the code is the one that
 * Amazon is known to answer with. The facts of ceph/s3-tests (`test_lifecycle_*`) that need no clock are among them.
 */
import { md5Base64 } from "../checksums.js"
import { check, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import type { RawResponse } from "../raw-client.js"
import { row, rowWithOther } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import { UNSIGNED_PAYLOAD } from "../sign-v4.js"
import { elements, text } from "../xml.js"

const DAY_MS = 86_400_000
const MINIMUM = "x-amz-transition-default-minimum-object-size"

const document = (...rules: readonly string[]): string =>
  `<LifecycleConfiguration>${rules.map(rule => `<Rule>${rule}</Rule>`).join("")}</LifecycleConfiguration>`
const id = (name: string): string => `<ID>${name}</ID>`
const ON = "<Status>Enabled</Status>"
const OFF = "<Status>Disabled</Status>"
const days = (count: number | string): string => `<Expiration><Days>${count}</Days></Expiration>`
const filter = (inside: string): string => `<Filter>${inside}</Filter>`
const prefix = (text: string): string => `<Prefix>${text}</Prefix>`
const tag = (key: string, value: string): string => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`
const noncurrent = (inside: string): string => `<NoncurrentVersionExpiration>${inside}</NoncurrentVersionExpiration>`
const abort = (count: number | string): string =>
  `<AbortIncompleteMultipartUpload><DaysAfterInitiation>${count}</DaysAfterInitiation></AbortIncompleteMultipartUpload>`
const move = (when: string, storageClass: string): string =>
  `<Transition>${when}<StorageClass>${storageClass}</StorageClass></Transition>`
const moveDays = (count: number, storageClass: string): string => move(`<Days>${count}</Days>`, storageClass)
const moveOlder = (count: number, storageClass: string, more = ""): string =>
  `<NoncurrentVersionTransition><NoncurrentDays>${count}</NoncurrentDays><StorageClass>${storageClass}</StorageClass>${more}</NoncurrentVersionTransition>`
const MARKERS = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
const ALL = filter("")

const put = (scene: Scene, ...rules: readonly string[]): Promise<RawResponse> =>
  scene.document("PUT", "lifecycle", document(...rules))

async function stored(scene: Scene, ...rules: readonly string[]): Promise<void> {
  expectStatus(await put(scene, ...rules), 200)
}

async function shown(scene: Scene): Promise<readonly string[]> {
  return elements(expectStatus(await scene.list("lifecycle"), 200).text, "Rule")
}

/** Each is refused, and the rules that were there stay. */
async function refuses(scene: Scene, code: string, ...wrong: readonly string[]): Promise<void> {
  const kept = id("kept") + ALL + OFF + days(3)
  await stored(scene, kept)
  for (const rules of wrong) {
    const answer = await scene.document("PUT", "lifecycle", rules)
    expectError(answer, 400, code)
  }
  same(await shown(scene), [id("kept") + filter("") + OFF + days(3)], "rules")
}

/** Some days after a moment at the next midnight, as headers show it. */
const midnightAfter = (fromMs: number, count: number): string =>
  new Date((Math.floor((fromMs + count * DAY_MS) / DAY_MS) + 1) * DAY_MS).toUTCString()

const modifiedMs = (head: RawResponse): number => Date.parse(present(head.header("last-modified"), "Last-Modified"))

/** The object, as HEAD shows it, expires by this rule so many days after it was written. */
async function announces(scene: Scene, key: string, count: number, rule: string): Promise<string> {
  const head = expectStatus(await scene.head(key), 200)
  const expected = `expiry-date="${midnightAfter(modifiedMs(head), count)}", rule-id="${rule}"`
  expectHeader(head, "x-amz-expiration", expected)
  return expected
}

async function announcesNothing(scene: Scene, key: string, headers: Record<string, string> = {}): Promise<void> {
  expectHeader(await scene.stored(key, "body", headers), "x-amz-expiration", undefined)
  expectHeader(expectStatus(await scene.head(key), 200), "x-amz-expiration", undefined)
}

const settingRows: readonly Row[] = [
  // (API, PutBucketLifecycleConfiguration) "Creates a new lifecycle configuration for the bucket or replaces an existing
  // lifecycle configuration."
  row("9.100", "rules are put, shown and replaced as a whole", async scene => {
    const first = id("test1/") + filter(prefix("test1/")) + ON + days(31)
    const second = id("test2/") + filter(prefix("test2/")) + OFF + days(120)
    await stored(scene, first, second)
    same(await shown(scene), [first, second], "rules")
    await stored(scene, second)
    same(await shown(scene), [second], "rules after their replacement")
  }),
  // (API, DeleteBucketLifecycle) "Deletes the lifecycle configuration from the specified bucket." 204; and (API,
  // GetBucketLifecycleConfiguration) NoSuchLifecycleConfiguration, 404: "The lifecycle configuration does not exist."
  row("9.101", "rules are deleted, also where there are none, and neither the bucket nor its objects", async scene => {
    expectError(await scene.list("lifecycle"), 404, "NoSuchLifecycleConfiguration")
    expectStatus(await scene.call("DELETE", { query: "lifecycle" }), 204)
    await stored(scene, ALL + ON + days(1))
    await scene.stored("k")
    for (let i = 0; i < 2; i += 1) {
      expectStatus(await scene.call("DELETE", { query: "lifecycle" }), 204)
      expectError(await scene.list("lifecycle"), 404, "NoSuchLifecycleConfiguration")
    }
    expectHeader(expectStatus(await scene.head("k"), 200), "x-amz-expiration", undefined)
  }),
  // (API, LifecycleRule) "ID: Unique identifier for the rule." S3 makes one for a rule that has none.
  row("9.102", "rules without an id get different ones, which stay", async scene => {
    await stored(scene, ALL + ON + days(31), ALL + ON + days(120))
    const rules = await shown(scene)
    const ids = rules.map(rule => present(text(rule, "ID"), "ID"))
    same([new Set(ids).size, ids.every(name => name.length > 0 && name.length <= 255)], [2, true], "ids")
    same(await shown(scene), rules, "rules")
  }),
  // (UG) "You can specify one or more of the following predefined actions in an S3 Lifecycle rule."
  row("9.103", "every form of action comes back as it was put", async scene => {
    const actions = [
      days(1),
      days(2_147_483_647),
      "<Expiration><Date>2017-09-27T00:00:00.000Z</Date></Expiration>",
      MARKERS,
      MARKERS.replace("true", "false"),
      noncurrent("<NoncurrentDays>2</NoncurrentDays>"),
      noncurrent("<NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>100</NewerNoncurrentVersions>"),
      abort(2),
      days(1) + noncurrent("<NoncurrentDays>1</NoncurrentDays>") + abort(7),
      MARKERS + noncurrent("<NoncurrentDays>1</NoncurrentDays>"),
    ]
    const rules = actions.map((action, i) => id(`rule ${i}`) + filter(prefix("past/")) + ON + action)
    await stored(scene, ...rules)
    same(await shown(scene), rules, "rules")
  }),
  // (UG) "You can filter objects by key prefix, object tags, or a combination of both"; "You can specify an empty filter,
  // in which case the rule applies to all objects in the bucket"; "When using more than one filter, you must wrap the
  // filters in an <And> element."
  row("9.104", "every form of filter comes back as it was put", async scene => {
    const filters = [
      "",
      prefix(""),
      prefix("a &amp; ü/"),
      tag("key", "value"),
      tag("key", ""),
      "<ObjectSizeGreaterThan>500</ObjectSizeGreaterThan>",
      "<ObjectSizeLessThan>64000</ObjectSizeLessThan>",
      `<And>${prefix("key-prefix")}${tag("key1", "value1")}${tag("key2", "value2")}</And>`,
      `<And>${tag("key1", "value1")}${tag("key2", "value2")}</And>`,
      `<And>${prefix("p")}<ObjectSizeGreaterThan>500</ObjectSizeGreaterThan><ObjectSizeLessThan>64000</ObjectSizeLessThan></And>`,
    ]
    const rules = filters.map((inside, i) => id(`r${i}`) + filter(inside) + ON + days(1))
    await stored(scene, ...rules)
    same(await shown(scene), rules, "rules")
  }),
  // (API, PutBucketLifecycle) "This operation is deprecated"; (API, LifecycleRule) "Prefix: Prefix identifying one or more
  // objects to which the rule applies. This is no longer used; use Filter instead."
  row("9.105", "the legacy form with prefixes at the level of rules is put and shown as it is", async scene => {
    const rules = [
      id("rule1") + prefix("test1/") + ON + days(1),
      id("rule2") + prefix("test2/") + OFF + abort(3),
      id("rule3") + prefix("past/") + ON + noncurrent("<NoncurrentDays>2</NoncurrentDays>"),
    ]
    await stored(scene, ...rules)
    same(await shown(scene), rules, "rules")
    await stored(scene, id("whole bucket") + prefix("") + ON + MARKERS)
    same(await shown(scene), [id("whole bucket") + prefix("") + ON + MARKERS], "rules")
  }),
  // (API, LifecycleExpiration) "Date: … The date value must conform to the ISO 8601 format. The time is always midnight
  // UTC."
  row("9.106", "a date without a time is its midnight", async scene => {
    await stored(scene, id("d") + ALL + ON + "<Expiration><Date>2017-09-27</Date></Expiration>")
    const [rule = ""] = await shown(scene)
    same(text(rule, "Date"), "2017-09-27T00:00:00.000Z", "Date")
  }),
  // (API, PutBucketLifecycleConfiguration) "x-amz-transition-default-minimum-object-size: Indicates which default minimum
  // object size behavior is applied to the lifecycle configuration." It is the header of both answers.
  row("9.107", "the default minimum size of transitions is stored and shown", async scene => {
    const xml = document(id("r") + ALL + ON + days(1))
    const plain = await scene.document("PUT", "lifecycle", xml)
    expectHeader(expectStatus(plain, 200), MINIMUM, "all_storage_classes_128K")
    expectHeader(await scene.list("lifecycle"), MINIMUM, "all_storage_classes_128K")
    const headersWith = (value: string) => ({ [MINIMUM]: value, "Content-MD5": md5Base64(Buffer.from(xml)) })
    const asked = (value: string) => scene.document("PUT", "lifecycle", xml, { headers: headersWith(value) })
    expectHeader(expectStatus(await asked("varies_by_storage_class"), 200), MINIMUM, "varies_by_storage_class")
    expectHeader(await scene.list("lifecycle"), MINIMUM, "varies_by_storage_class")
    expectError(await asked("1 MiB"), 400, "InvalidRequest")
    expectHeader(await scene.list("lifecycle"), MINIMUM, "varies_by_storage_class")
  }),
  // (API) The Content-MD5 header, or a checksum, is required for requests that put a lifecycle configuration.
  row("9.108", "rules need a digest of their document", async scene => {
    const call = { query: "lifecycle", body: document(ALL + ON + days(1)), sign: { payloadHash: UNSIGNED_PAYLOAD } }
    expectError(await scene.call("PUT", call), 400, "InvalidRequest")
    const headers = { "Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA==" }
    expectError(await scene.call("PUT", { ...call, headers }), 400, "BadDigest")
    expectError(await scene.list("lifecycle"), 404, "NoSuchLifecycleConfiguration")
  }),
  // (API, PutBucketLifecycleConfiguration) "By default, all Amazon S3 resources are private … Only the resource owner …
  // can access the resource."
  rowWithOther("9.109", "another account can neither see nor change the rules", async scene => {
    await stored(scene, id("kept") + ALL + ON + days(1))
    const { bucket, other } = scene
    expectError(await other.call("GET", { bucket, query: "lifecycle" }), 403, "AccessDenied")
    expectError(await other.call("DELETE", { bucket, query: "lifecycle" }), 403, "AccessDenied")
    same((await shown(scene)).length, 1, "rules")
  }),
]

const refusedRows: readonly Row[] = [
  // (API) MalformedXML: "The XML you provided was not well-formed or did not validate against our published schema."
  row("9.110", "a document that the schema does not allow is malformed", async scene => {
    expectError(await scene.document("PUT", "lifecycle", ""), 400, "MissingRequestBodyError")
    const one = (inside: string): string => document(ALL + ON + inside)
    await refuses(
      scene,
      "MalformedXML",
      "<LifecycleConfiguration>",
      "<Other/>",
      document(ALL + days(1)),
      ...["enabled", "disabled", "invalid", ""].map(status => document(`${ALL}<Status>${status}</Status>${days(1)}`)),
      document(ON + days(1)),
      one("<Surprise/>"),
      one(days("one")),
      one(days("1.5")),
      one(days("")),
      one("<Expiration/>"),
      one("<Expiration><Date>20200101</Date></Expiration>"),
      one(noncurrent("")),
      one("<AbortIncompleteMultipartUpload/>"),
      one(days(1) + days(2)),
      document(prefix("a") + filter(prefix("a")) + ON + days(1)),
    )
  }),
  // (API, LifecycleRuleFilter) "A Filter must have exactly one of Prefix, Tag, ObjectSizeGreaterThan,
  // ObjectSizeLessThan, or And specified."
  row("9.111", "a filter has one predicate, and And has two or more", async scene => {
    const one = (inside: string): string => document(filter(inside) + ON + days(1))
    await refuses(
      scene,
      "MalformedXML",
      one(prefix("a") + tag("k", "v")),
      one(tag("k", "v") + tag("l", "w")),
      one("<And/>"),
      one(`<And>${prefix("a")}</And>`),
      one(`<And>${prefix("a")}<Owner>me</Owner></And>`),
    )
  }),
  // (UG) "When you specify multiple tags in a filter, each tag key must be unique"; "the ObjectSizeGreaterThan integer
  // must be less than the ObjectSizeLessThan value."
  row("9.112", "a filter whose predicates exclude each other is refused", async scene => {
    const and = (inside: string): string => document(`${filter(`<And>${inside}</And>`)}${ON}${days(1)}`)
    await refuses(
      scene,
      "InvalidRequest",
      and(tag("k", "v") + tag("k", "w")),
      and("<ObjectSizeGreaterThan>500</ObjectSizeGreaterThan><ObjectSizeLessThan>500</ObjectSizeLessThan>"),
    )
  }),
  // (API, LifecycleExpiration) "Days: … The value must be a non-zero positive integer"; NewerNoncurrentVersions, "you can
  // specify up to 100"; "The time is always midnight UTC."
  row("9.113", "days, numbers of versions and dates out of range are refused", async scene => {
    const one = (inside: string): string => document(ALL + ON + inside)
    const newer = (count: number) =>
      noncurrent(`<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>${count}</NewerNoncurrentVersions>`)
    await refuses(
      scene,
      "InvalidArgument",
      one(days(0)),
      one(days(-1)),
      document(prefix("days0/") + ON + days(0)),
      one(abort(0)),
      one(noncurrent("<NoncurrentDays>0</NoncurrentDays>")),
      one(newer(0)),
      one(newer(101)),
      one("<Expiration><Date>2030-01-01T00:00:01Z</Date></Expiration>"),
    )
  }),
  // (API, LifecycleExpiration) "ExpiredObjectDeleteMarker: … This cannot be specified with Days or Date in a Lifecycle
  // Expiration Policy."; (UG) "In the same rule, you can't use both Date and Days."
  row("9.114", "an expiration states one of Days, Date and ExpiredObjectDeleteMarker", async scene => {
    const one = (inside: string): string => document(`${ALL}${ON}<Expiration>${inside}</Expiration>`)
    const marker = "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"
    const date = "<Date>2030-01-01</Date>"
    await refuses(
      scene,
      "MalformedXML",
      one(`<Days>1</Days>${date}`),
      one(`<Days>1</Days>${marker}`),
      one(date + marker),
    )
  }),
  // (UG) Of AbortIncompleteMultipartUpload and of ExpiredObjectDeleteMarker: "You cannot specify this Lifecycle action in
  // a rule that specifies a filter based on object tags."
  row("9.115", "uploads and delete markers have no tags and no size to filter by", async scene => {
    const filters = [filter(tag("k", "v")), filter("<ObjectSizeLessThan>5</ObjectSizeLessThan>")]
    const wrong = filters.flatMap(by => [by + ON + abort(1), by + ON + MARKERS])
    await refuses(scene, "InvalidRequest", ...wrong.map(rule => document(rule)))
  }),
  // (UG) "An S3 Lifecycle configuration can have up to 1,000 rules"; "The <ID> element uniquely identifies a rule. ID
  // length is limited to 255 characters."
  row("9.116", "there are 1 to 1,000 rules, with different ids of up to 255 characters", async scene => {
    const rule = (name: string): string => id(name) + ALL + ON + days(1)
    await refuses(scene, "InvalidArgument", document(rule("a".repeat(256))), document(rule("rule1"), rule("rule1")))
    const many = Array.from({ length: 1001 }, (_, i) => rule(`rule ${i}`))
    await refuses(scene, "InvalidRequest", document(...many), document(ALL + ON))
    await stored(scene, ...many.slice(1))
    same((await shown(scene)).length, 1000, "rules")
    await stored(scene, rule("é".repeat(255)))
  }),
  // (UG) "If you do not specify a Filter element, Amazon S3 will generate an InvalidRequest error when you provide a
  // maximum number of noncurrent versions."
  row("9.117", "the legacy form has no filters, no numbers of versions and no overlapping prefixes", async scene => {
    const newer = "<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>1</NewerNoncurrentVersions>"
    await refuses(
      scene,
      "InvalidRequest",
      document(prefix("") + ON + noncurrent(newer)),
      document(prefix("a") + ON + days(1), filter(prefix("b")) + ON + days(1)),
      document(prefix("a") + ON + days(1), prefix("ab") + ON + days(2)),
    )
  }),
  // (API, Transition) "Days: … If the specified storage class is STANDARD_IA or ONEZONE_IA, valid values are positive
  // integers greater than 30" (30 is taken); "You must specify at least one of Days and Date"; "StorageClass: Valid Values:
  // GLACIER | STANDARD_IA | ONEZONE_IA | INTELLIGENT_TIERING | DEEP_ARCHIVE | GLACIER_IR".
  row("9.118", "a transition has Days or Date, and a class to which objects can move", async scene => {
    const one = (inside: string): string => document(ALL + ON + inside)
    await refuses(
      scene,
      "MalformedXML",
      one(move("<Date>20220927</Date>", "GLACIER_IR")),
      one(move("<Days>1</Days>", "NOPE")),
      one(move("", "GLACIER_IR")),
      one(move("<Days>1</Days><Date>2030-01-01</Date>", "GLACIER_IR")),
      one("<Transition><Days>1</Days></Transition>"),
      one("<NoncurrentVersionTransition><StorageClass>GLACIER_IR</StorageClass></NoncurrentVersionTransition>"),
    )
    await refuses(
      scene,
      "InvalidArgument",
      one(moveDays(-1, "GLACIER_IR")),
      one(moveDays(29, "STANDARD_IA")),
      one(moveDays(29, "ONEZONE_IA")),
      one(moveOlder(29, "STANDARD_IA")),
      one(moveDays(1, "STANDARD")),
      one(moveOlder(1, "GLACIER_IR", "<NewerNoncurrentVersions>101</NewerNoncurrentVersions>")),
    )
  }),
  // (UG, "Transitioning objects") "You can't create a single Lifecycle rule for both S3 Standard-IA and S3 Glacier …
  // transitions when the … transition occurs less than 30 days after the S3 Standard-IA … transition"; the supported
  // transitions between classes. (UG) "In the same rule, you can't use both Date and Days."
  row("9.119", "the transitions of a rule follow each other downwards, and an expiration follows them", async scene => {
    const one = (inside: string): string => document(ALL + ON + inside)
    const dated = move("<Date>2030-01-01</Date>", "INTELLIGENT_TIERING")
    await refuses(
      scene,
      "InvalidRequest",
      one(moveDays(1, "GLACIER_IR") + moveDays(2, "GLACIER_IR")),
      one(dated + moveDays(2, "GLACIER_IR")),
      one(dated + days(90)),
    )
    await refuses(
      scene,
      "InvalidArgument",
      one(moveDays(30, "STANDARD_IA") + moveDays(59, "GLACIER_IR")),
      one(moveDays(60, "STANDARD_IA") + moveDays(30, "GLACIER_IR")),
      one(moveDays(30, "ONEZONE_IA") + moveDays(90, "GLACIER_IR")),
      one(moveDays(30, "GLACIER_IR") + days(30)),
      one(moveOlder(5, "GLACIER_IR") + noncurrent("<NoncurrentDays>5</NoncurrentDays>")),
    )
  }),
  // (UG) "One or more transitions"; the forms come back as they were put.
  row("9.140", "every form of transition comes back as it was put", async scene => {
    const newer = "<NewerNoncurrentVersions>3</NewerNoncurrentVersions>"
    const actions = [
      moveDays(0, "GLACIER_IR"),
      moveDays(30, "STANDARD_IA") + moveDays(60, "INTELLIGENT_TIERING") + moveDays(90, "GLACIER_IR") + days(365),
      move("<Date>2030-01-01T00:00:00.000Z</Date>", "ONEZONE_IA"),
      moveOlder(0, "INTELLIGENT_TIERING") + moveOlder(30, "GLACIER_IR", newer),
    ]
    const rules = actions.map((action, i) => id(`rule ${i}`) + filter(prefix("past/")) + ON + action)
    await stored(scene, ...rules)
    same(await shown(scene), rules, "rules")
  }),
]

const expirationRows: readonly Row[] = [
  // (API, PutObject) "x-amz-expiration: If the expiration is configured for the object …, the response includes this
  // header. It includes the expiry-date and rule-id key-value pairs"; (UG) "Amazon S3 calculates the time by adding the
  // number of days specified in the rule to the object creation time and rounding up the resulting time to the next day
  // at midnight UTC."
  row("9.120", "PUT, GET and HEAD say when an object expires, and by which rule", async scene => {
    await stored(scene, id("rule1") + prefix("days1/") + ON + days(1))
    const put = await scene.stored("days1/foo", "bar")
    const expected = await announces(scene, "days1/foo", 1, "rule1")
    expectHeader(put, "x-amz-expiration", expected)
    expectHeader(expectStatus(await scene.get("days1/foo"), 200), "x-amz-expiration", expected)
    const ranged = expectStatus(await scene.get("days1/foo", { range: "bytes=1-" }), 206)
    expectHeader(ranged, "x-amz-expiration", expected)
    await announcesNothing(scene, "days10")
  }),
  // (API, HeadObject) "The value of the rule-id is URL-encoded." Amazon sends spaces as they are.
  row("9.121", "what a header cannot hold is encoded in the id of the rule", async scene => {
    await stored(scene, id("logs &amp; &quot;ü&quot; / old&#10;") + ALL + ON + days(2))
    await scene.stored("k")
    await announces(scene, "k", 2, "logs & %22%C3%BC%22 / old%0A")
  }),
  // (UG) "Each tag must match both key and value exactly … If an object has additional tags specified, the rule will still
  // apply."
  row("9.122", "a rule with tags is announced for objects that have all of them", async scene => {
    const two = `<And>${tag("key1", "tag1")}${tag("key5", "tag6")}</And>`
    await stored(
      scene,
      id("rule1") + filter(tag("key1", "tag1")) + ON + days(1),
      id("both") + filter(two) + OFF + days(1),
    )
    const tags = { "x-amz-tagging": "key1=tag1&key5=tag5" }
    const put = await scene.stored("k", "body", tags)
    expectHeader(put, "x-amz-expiration", await announces(scene, "k", 1, "rule1"))
    await announcesNothing(scene, "plain")
    await announcesNothing(scene, "other", { "x-amz-tagging": "key1=tag2" })
    await stored(scene, id("both") + filter(two) + ON + days(1))
    expectHeader(await scene.head("k"), "x-amz-expiration", undefined)
    const xml = `<Tagging><TagSet>${tag("key5", "tag6")}${tag("key1", "tag1")}${tag("more", "")}</TagSet></Tagging>`
    expectStatus(await scene.document("PUT", "tagging", xml, { key: "k" }), 200)
    await announces(scene, "k", 1, "both")
  }),
  // (UG) "To filter a rule by object size, you can specify a minimum size (ObjectSizeGreaterThan) or a maximum size
  // (ObjectSizeLessThan)."
  row("9.123", "a rule with sizes is announced for objects strictly between them", async scene => {
    const range = "<ObjectSizeGreaterThan>2</ObjectSizeGreaterThan><ObjectSizeLessThan>5</ObjectSizeLessThan>"
    await stored(scene, id("sized") + filter(`<And>${range}</And>`) + ON + days(1))
    for (const [body, isDue] of [
      ["ab", false],
      ["abc", true],
      ["abcd", true],
      ["abcde", false],
    ] as const) {
      const put = await scene.stored("k", body)
      expectHeader(put, "x-amz-expiration", isDue ? await announces(scene, "k", 1, "sized") : undefined)
    }
  }),
  // (UG) "If a rule is disabled, Amazon S3 doesn't perform any of the actions defined in the rule."
  row("9.124", "disabled rules, and rules for markers, old versions and uploads, announce nothing", async scene => {
    await stored(
      scene,
      id("off") + ALL + OFF + days(1),
      id("markers") + ALL + ON + MARKERS,
      id("old") + ALL + ON + noncurrent("<NoncurrentDays>1</NoncurrentDays>"),
      id("uploads") + ALL + ON + abort(1),
    )
    await announcesNothing(scene, "k")
  }),
  // (UG) "When you have multiple rules in an S3 Lifecycle configuration, an object can become eligible for multiple S3
  // Lifecycle actions": of two expirations the earlier one acts.
  row("9.125", "of several rules the earliest is announced; a date is shown as it is", async scene => {
    await stored(scene, id("later") + ALL + ON + days(30), id("sooner") + filter(prefix("k")) + ON + days(3))
    await scene.stored("k")
    await announces(scene, "k", 3, "sooner")
    await stored(scene, id("dated") + ALL + ON + "<Expiration><Date>2100-12-21</Date></Expiration>")
    expectHeader(
      await scene.head("k"),
      "x-amz-expiration",
      'expiry-date="Tue, 21 Dec 2100 00:00:00 GMT", rule-id="dated"',
    )
  }),
  // (UG) "The Expiration action applies only to the current version (it has no impact on noncurrent object versions)."
  // A request for a version has no such header, also if it is the current one: as in MinIO and Ceph, after Amazon.
  row("9.126", "the current version announces its end, but not if it is asked for by its id", async scene => {
    await scene.setVersioning("Enabled")
    await stored(scene, id("r") + ALL + ON + days(1))
    const first = present((await scene.stored("k", "one")).header("x-amz-version-id"), "x-amz-version-id")
    const second = present((await scene.stored("k", "two")).header("x-amz-version-id"), "x-amz-version-id")
    await announces(scene, "k", 1, "r")
    for (const version of [first, second]) {
      const head = expectStatus(await scene.head("k", {}, `versionId=${version}`), 200)
      expectHeader(head, "x-amz-expiration", undefined)
    }
    expectStatus(await scene.remove("k"), 204)
    expectHeader(expectError(await scene.get("k"), 404), "x-amz-expiration", undefined)
  }),
  // (API, CopyObject) "x-amz-expiration: If the object expiration is configured, the response includes this header."
  row("9.127", "a copy announces its own end: by its key, its time and its tags", async scene => {
    await stored(scene, id("r") + filter(`<And>${prefix("to/")}${tag("a", "b")}</And>`) + ON + days(5))
    await scene.stored("source", "body", { "x-amz-tagging": "a=b" })
    const copied = expectStatus(await scene.copy("source", "to/tagged"), 200)
    expectHeader(copied, "x-amz-expiration", await announces(scene, "to/tagged", 5, "r"))
    const replaced = { "x-amz-tagging-directive": "REPLACE", "x-amz-tagging": "a=c" }
    const other = expectStatus(await scene.copy("source", "to/other", replaced), 200)
    expectHeader(other, "x-amz-expiration", undefined)
  }),
  // (API, CompleteMultipartUpload) "x-amz-expiration: If the object expiration is configured, this will contain the
  // expiration date (expiry-date) and rule ID (rule-id)."
  row("9.128", "the completion of an upload announces the object's end", async scene => {
    await stored(scene, id("r") + filter(tag("a", "b")) + ON + days(5))
    const completed = await scene.multipart("k", ["part"], { "x-amz-tagging": "a=b" })
    expectHeader(completed, "x-amz-expiration", await announces(scene, "k", 5, "r"))
    expectHeader(await scene.multipart("plain", ["part"]), "x-amz-expiration", undefined)
  }),
]

const abortRows: readonly Row[] = [
  // (API, CreateMultipartUpload) "x-amz-abort-date: If the bucket has a lifecycle rule configured with an action to abort
  // incomplete multipart uploads and the prefix in the lifecycle rule matches the object name in the request, the response
  // includes this header"; "x-amz-abort-rule-id: This header is returned along with the x-amz-abort-date header."
  row("9.130", "an upload says when it is aborted and by which rule, as it begins and in ListParts", async scene => {
    await stored(scene, id("rule1") + prefix("test1/") + ON + abort(2), id("rule2") + prefix("test2/") + OFF + abort(3))
    const create = (key: string) => scene.call("POST", { key, query: "uploads" })
    const created = expectStatus(await create("test1/a"), 200)
    const dates = [0, 1].map(more => midnightAfter(Date.parse(created.header("date") ?? "") - more * 60_000, 2))
    const date = present(created.header("x-amz-abort-date"), "x-amz-abort-date")
    check(dates.includes(date), `x-amz-abort-date ${date} is one of ${dates.join(", ")}`)
    expectHeader(created, "x-amz-abort-rule-id", "rule1")
    const parts = expectStatus(await scene.get("test1/a", {}, `uploadId=${text(created.text, "UploadId") ?? ""}`), 200)
    expectHeader(parts, "x-amz-abort-date", date)
    expectHeader(parts, "x-amz-abort-rule-id", "rule1")
    for (const key of ["test2/a", "other"]) {
      const plain = expectStatus(await create(key), 200)
      expectHeader(plain, "x-amz-abort-date", undefined)
      expectHeader(plain, "x-amz-abort-rule-id", undefined)
    }
  }),
]

export const lifecycleRows: readonly Row[] = [...settingRows, ...refusedRows, ...expirationRows, ...abortRows]
