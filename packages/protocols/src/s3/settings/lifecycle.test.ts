/** Lifecycle rules as XML: what is put comes back, and what S3 refuses is refused with its errors. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { decodeLifecycleRules, encodeLifecycleRules } from "@hayloft/features/lifecycle/index.js"
import { parseXmlRoot } from "@hayloft/base/text/xml-reader.js"
import { XmlWriter } from "../wire/xml-writer.js"
import { LIFECYCLE_DOCUMENT, LIFECYCLE_LIMITS, lifecycleRulesOf, writeLifecycleRules } from "./lifecycle.js"

const parse = (rules: string) => {
  let ids = 0
  const document = Buffer.from(`<${LIFECYCLE_DOCUMENT}>${rules}</${LIFECYCLE_DOCUMENT}>`)
  return lifecycleRulesOf(parseXmlRoot(document, LIFECYCLE_DOCUMENT, LIFECYCLE_LIMITS), () => `made-${(ids += 1)}`)
}

/** Returns what GET returns after a PUT of these rules, by way of what is stored. */
const shown = (rules: string): string => {
  const stored = encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules: parse(rules) })
  const xml = new XmlWriter()
  writeLifecycleRules(xml, decodeLifecycleRules(stored).rules)
  return xml.toString()
}

const ENABLED = "<Status>Enabled</Status>"
const FILTER = "<Filter><Prefix>logs/</Prefix></Filter>"
const EXPIRE = "<Expiration><Days>1</Days></Expiration>"
const rule = (...content: string[]): string => `<Rule>${content.join("")}</Rule>`
const filtered = (filter: string, action = EXPIRE): string => rule(`<Filter>${filter}</Filter>`, ENABLED, action)
const acting = (action: string, filter = FILTER): string => rule(filter, ENABLED, action)

const refuses = (rules: string, kind: FailureKind, message?: RegExp): void => {
  assert.throws(
    () => parse(rules),
    error => isFailure(error, kind) && (message === undefined || message.test(error.message)),
    `${kind}: ${rules.slice(0, 200)}`,
  )
}

test("GET returns what was put: each form of a filter and each action", () => {
  const actions = [
    EXPIRE,
    "<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>",
    "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
    "<Expiration><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker></Expiration>",
    "<NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration>",
    "<NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>100</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
    "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
  ]
  const filters = [
    "<Filter></Filter>",
    "<Filter><Prefix></Prefix></Filter>",
    "<Filter><Prefix>a&amp;ü/</Prefix></Filter>",
  ]
  for (const action of actions) {
    for (const filter of filters) {
      const one = rule("<ID>one &lt;</ID>", filter, "<Status>Disabled</Status>", action)
      assert.equal(shown(one), one)
    }
  }
  for (const filter of [
    "<Tag><Key>k</Key><Value></Value></Tag>",
    "<ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>",
    "<ObjectSizeLessThan>1</ObjectSizeLessThan>",
    "<And><Prefix></Prefix><Tag><Key>k</Key><Value>v</Value></Tag><Tag><Key>l</Key><Value>w</Value></Tag></And>",
    "<And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>7</ObjectSizeLessThan></And>",
  ]) {
    const one = rule("<ID>one</ID>", `<Filter>${filter}</Filter>`, ENABLED, EXPIRE)
    assert.equal(shown(one), one)
  }
  const legacy = rule("<ID>one</ID>", "<Prefix>logs/</Prefix>", ENABLED, EXPIRE)
  assert.equal(shown(legacy), legacy)
})

test("a rule without an id gets one, and elements may come in any order", () => {
  const [first, second] = parse(acting(EXPIRE) + rule(EXPIRE, ENABLED, "<ID></ID>", "<Filter/>"))
  assert.deepEqual([first?.id, second?.id], ["made-1", "made-2"])
})

test("a tag without a value stands for an empty value, and a day alone for its midnight", () => {
  assert.deepEqual(parse(filtered("<Tag><Key>k</Key></Tag>"))[0]?.filter.tags, [["k", ""]])
  const dated = parse(acting("<Expiration><Date>2030-01-01</Date></Expiration>"))
  assert.deepEqual(dated[0]?.expiration, { dateMs: Date.UTC(2030, 0, 1) })
})

test("a document has 1 to 1,000 rules, with different ids of up to 255 characters", () => {
  refuses("", "invalidRequest", /At least one lifecycle rule must be specified/)
  assert.equal(parse(acting(EXPIRE).repeat(1000)).length, 1000)
  refuses(acting(EXPIRE).repeat(1001), "invalidRequest", /must not exceed the allowed limit of 1000 rules/)
  const named = (id: string) => rule(`<ID>${id}</ID>`, FILTER, ENABLED, EXPIRE)
  assert.equal(parse(named("ü".repeat(255)))[0]?.id.length, 255)
  refuses(named("x".repeat(256)), "invalidArgument", /ID length should not exceed allowed limit of 255/)
  refuses(named("x").repeat(2), "invalidArgument", /Rule ID must be unique. Found same ID for more than one rule/)
})

test("what the schema does not know is malformed", () => {
  for (const rules of [
    rule(FILTER, EXPIRE),
    rule(FILTER, "<Status>enabled</Status>", EXPIRE),
    rule(FILTER, ENABLED, ENABLED, EXPIRE),
    rule(ENABLED, EXPIRE),
    rule(FILTER, "<Prefix></Prefix>", ENABLED, EXPIRE),
    rule(FILTER, FILTER, ENABLED, EXPIRE),
    acting(`${EXPIRE}${EXPIRE}`),
    acting("<Expire/>"),
    acting("<Expiration/>"),
    acting("<Expiration><Days>1</Days><Date>2030-01-01</Date></Expiration>"),
    acting("<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"),
    acting("<Expiration><ExpiredObjectDeleteMarker>yes</ExpiredObjectDeleteMarker></Expiration>"),
    acting("<Expiration><Days>one</Days></Expiration>"),
    acting("<Expiration><Days>1.5</Days></Expiration>"),
    acting("<Expiration><Days></Days></Expiration>"),
    acting("<Expiration><Days>2147483648</Days></Expiration>"),
    acting("<Expiration><Days>99999999999999999999</Days></Expiration>"),
    acting("<Expiration><Days><Days>1</Days></Days></Expiration>"),
    acting("<Expiration><Date>Fri, 01 Jan 2016 00:00:00 GMT</Date></Expiration>"),
    acting("<Expiration><Date>2030-02-30</Date></Expiration>"),
    acting("<NoncurrentVersionExpiration/>"),
    acting(
      "<NoncurrentVersionExpiration><NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
    ),
    acting("<AbortIncompleteMultipartUpload/>"),
    filtered("<Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>"),
    filtered("<And><Prefix>a</Prefix></And>"),
    filtered("<And/>"),
    filtered("<And><Prefix>a</Prefix><Owner>b</Owner></And>"),
    filtered("<Tag><Value>v</Value></Tag>"),
    filtered("<ObjectSizeLessThan>large</ObjectSizeLessThan>"),
    "<Rules/>",
  ]) {
    refuses(rules, "malformedXml")
  }
})

test("counts, dates and sizes out of range are refused with S3's messages", () => {
  const positive = (name: string) => new RegExp(`'${name}' for \\w+ action must be a positive integer`)
  for (const count of ["0", "-1"]) {
    refuses(acting(`<Expiration><Days>${count}</Days></Expiration>`), "invalidArgument", positive("Days"))
    const noncurrent = (inner: string) => acting(`<NoncurrentVersionExpiration>${inner}</NoncurrentVersionExpiration>`)
    refuses(noncurrent(`<NoncurrentDays>${count}</NoncurrentDays>`), "invalidArgument", positive("NoncurrentDays"))
    const newer = `<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>${count}</NewerNoncurrentVersions>`
    refuses(noncurrent(newer), "invalidArgument", positive("NewerNoncurrentVersions"))
    refuses(noncurrent(newer.replace(`>${count}<`, ">101<")), "invalidArgument", /between 1 and 100/)
    const abort = `<DaysAfterInitiation>${count}</DaysAfterInitiation>`
    refuses(
      acting(`<AbortIncompleteMultipartUpload>${abort}</AbortIncompleteMultipartUpload>`),
      "invalidArgument",
      positive("DaysAfterInitiation"),
    )
  }
  for (const date of ["2030-01-01T00:00:01Z", "2030-01-01T00:00:00+01:00"]) {
    refuses(
      acting(`<Expiration><Date>${date}</Date></Expiration>`),
      "invalidArgument",
      /'Date' must be at midnight GMT/,
    )
  }
  refuses(
    filtered("<ObjectSizeLessThan>0</ObjectSizeLessThan>"),
    "invalidRequest",
    /'ObjectSizeLessThan' should be between 1 and 1099511627776000\./,
  )
  refuses(filtered("<ObjectSizeGreaterThan>-1</ObjectSizeGreaterThan>"), "invalidRequest")
  refuses(
    filtered("<And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>5</ObjectSizeLessThan></And>"),
    "invalidRequest",
    /'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'/,
  )
  refuses(filtered(`<Prefix>${"a".repeat(1025)}</Prefix>`), "invalidRequest", /maximum size of a prefix is 1024/)
})

test("actions that cannot go with a filter are refused", () => {
  const tag = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>"
  const size = "<Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>"
  const markers = "<Expiration><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker></Expiration>"
  const abort =
    "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
  refuses(acting(markers, tag), "invalidRequest", /ExpiredObjectDeleteMarker cannot be specified with Tags\./)
  refuses(acting(markers, size), "invalidRequest", /ExpiredObjectDeleteMarker cannot be specified with Object Size\./)
  refuses(acting(abort, tag), "invalidRequest", /AbortIncompleteMultipartUpload cannot be specified with Tags\./)
  refuses(
    acting(abort, size),
    "invalidRequest",
    /AbortIncompleteMultipartUpload cannot be specified with Object Size\./,
  )
  const twice = "<And><Tag><Key>k</Key><Value>1</Value></Tag><Tag><Key>k</Key><Value>2</Value></Tag></And>"
  refuses(filtered(twice), "invalidRequest", /Duplicate Tag Keys are not allowed\./)
  refuses(rule(FILTER, ENABLED), "invalidRequest", /At least one action/)
})

test("the legacy form and filters exclude each other", () => {
  const legacy = (prefix: string) => rule(`<Prefix>${prefix}</Prefix>`, ENABLED, EXPIRE)
  refuses(legacy("a") + acting(EXPIRE), "invalidRequest", /Filter element can only be used in Lifecycle V2\./)
  refuses(acting(EXPIRE) + legacy("a"), "invalidRequest", /Base level prefix cannot be used in Lifecycle V2/)
  const overlap = /Found overlapping prefixes 'a' and 'ab' for same action type 'Expiration'/
  refuses(legacy("ab") + legacy("b") + legacy("a"), "invalidRequest", overlap)
  assert.equal(parse(legacy("a") + legacy("b")).length, 2)
  const newer =
    "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
  refuses(acting(newer, "<Prefix></Prefix>"), "invalidRequest", /can only be used in Lifecycle V2\./)
})

const to = (name: string) => `<StorageClass>${name}</StorageClass>`
const move = (inside: string, name: string) => `<Transition>${inside}${to(name)}</Transition>`
const moveDays = (days: number, name: string) => move(`<Days>${days}</Days>`, name)
const moveOlder = (days: number, name: string, newer = "") =>
  `<NoncurrentVersionTransition><NoncurrentDays>${days}</NoncurrentDays>${to(name)}${newer}</NoncurrentVersionTransition>`
const expireDays = (days: number) => `<Expiration><Days>${days}</Days></Expiration>`
const expireOlder = (days: number) =>
  `<NoncurrentVersionExpiration><NoncurrentDays>${days}</NoncurrentDays></NoncurrentVersionExpiration>`

test("transitions come back as they were put, in their order", () => {
  const newer = "<NewerNoncurrentVersions>3</NewerNoncurrentVersions>"
  for (const actions of [
    moveDays(0, "GLACIER"),
    moveDays(180, "DEEP_ARCHIVE") + moveDays(30, "STANDARD_IA") + moveDays(90, "GLACIER"),
    move("<Date>2030-01-01T00:00:00.000Z</Date>", "INTELLIGENT_TIERING"),
    moveOlder(0, "GLACIER_IR", newer) + moveOlder(90, "DEEP_ARCHIVE"),
    moveDays(30, "ONEZONE_IA") + expireDays(31) + moveOlder(1, "GLACIER") + expireOlder(2),
  ]) {
    const one = rule("<ID>one</ID>", FILTER, ENABLED, actions)
    assert.equal(shown(one), one)
  }
})

test("a transition has Days or Date, and a class to which objects can move", () => {
  const days = "<Days>1</Days>"
  for (const inside of [
    `<Transition>${to("GLACIER")}</Transition>`,
    move(`${days}<Date>2030-01-01</Date>`, "GLACIER"),
    move("<Days>2147483648</Days>", "GLACIER"),
    move(days, "COLD"),
    move(days, "OUTPOSTS"),
    `<Transition>${days}</Transition>`,
    `<NoncurrentVersionTransition>${to("GLACIER")}</NoncurrentVersionTransition>`,
    `<NoncurrentVersionTransition>${days}${to("GLACIER")}</NoncurrentVersionTransition>`,
  ]) {
    refuses(acting(inside), "malformedXml")
  }
  for (const name of ["STANDARD", "REDUCED_REDUNDANCY"]) {
    refuses(acting(moveDays(1, name)), "invalidArgument", /Invalid target Storage class for Transition action/)
  }
  refuses(acting(moveDays(-1, "GLACIER")), "invalidArgument", /'Days' in Transition action must be nonnegative/)
  refuses(acting(moveDays(29, "STANDARD_IA")), "invalidArgument", /greater than or equal to 30 for storageClass/)
  refuses(acting(moveOlder(29, "ONEZONE_IA")), "invalidArgument", /'NoncurrentDays' .* greater than or equal to 30/)
  const newer = (count: number) => `<NewerNoncurrentVersions>${count}</NewerNoncurrentVersions>`
  refuses(acting(moveOlder(1, "GLACIER", newer(101))), "invalidArgument", /must be between 1 and 100/)
  refuses(acting(moveOlder(1, "GLACIER", newer(1)), "<Prefix></Prefix>"), "invalidRequest", /Lifecycle V2/)
})

test("the transitions of a rule go to different classes, in the order in which objects move", () => {
  refuses(
    acting(moveDays(1, "GLACIER") + moveDays(2, "GLACIER")),
    "invalidRequest",
    /'StorageClass' must be different for 'Transition' actions in same 'Rule' with filter '\(prefix=logs\/\)'/,
  )
  const date = (day: number, name: string) => move(`<Date>2030-01-0${day}</Date>`, name)
  refuses(acting(date(1, "GLACIER") + moveDays(90, "DEEP_ARCHIVE")), "invalidRequest", /Found mixed 'Date' and 'Days'/)
  for (const [first, next] of [
    [moveDays(60, "GLACIER"), moveDays(60, "STANDARD_IA")],
    [moveDays(60, "STANDARD_IA"), moveDays(59, "GLACIER")],
    [date(2, "INTELLIGENT_TIERING"), date(1, "GLACIER")],
    [moveDays(60, "ONEZONE_IA"), moveDays(90, "GLACIER_IR")],
    [moveOlder(60, "STANDARD_IA"), moveOlder(59, "GLACIER")],
  ] as const) {
    for (const both of [first + next, next + first]) refuses(acting(both), "invalidArgument", /must be greater than '/)
  }
  refuses(
    acting(moveDays(30, "STANDARD_IA") + moveDays(59, "GLACIER")),
    "invalidArgument",
    /'Days' in the 'Transition' action for StorageClass 'GLACIER' for filter '\(prefix=logs\/\)' must be 30 days more than 'filter '\(prefix=logs\/\)'' in the 'Transition' action for StorageClass 'STANDARD_IA'/,
  )
  refuses(acting(moveDays(0, "GLACIER") + moveDays(89, "DEEP_ARCHIVE")), "invalidArgument", /must be 90 days more than/)
  assert.equal(parse(acting(moveDays(0, "INTELLIGENT_TIERING") + moveDays(1, "GLACIER"))).length, 1)
})

test("an expiration comes after the transitions of its rule, and counts as they do", () => {
  refuses(
    acting(moveDays(30, "GLACIER") + expireDays(30)),
    "invalidArgument",
    /'Days' in the Expiration action for filter '\(prefix=logs\/\)' must be greater than 'Days' in the Transition action/,
  )
  refuses(
    acting(moveOlder(5, "GLACIER") + expireOlder(5)),
    "invalidArgument",
    /'NoncurrentDays' in the NoncurrentVersionExpiration action .* in the NoncurrentVersionTransition action/,
  )
  const mixed = move("<Date>2030-01-01</Date>", "GLACIER") + expireDays(30)
  refuses(acting(mixed), "invalidRequest", /Found mixed 'Date' and 'Days' based Expiration and Transition actions/)
  const markers = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
  assert.equal(parse(acting(moveDays(30, "GLACIER") + markers)).length, 1)
  assert.equal(parse(acting(moveDays(30, "GLACIER") + expireOlder(1))).length, 1)
})

test("any damage to a document gives rules that come back, or a refusal", () => {
  const whole = `<${LIFECYCLE_DOCUMENT}>${acting(EXPIRE)}${filtered("<Tag><Key>k</Key><Value>v</Value></Tag>")}</${LIFECYCLE_DOCUMENT}>`
  const bytes = Buffer.from(whole)
  const attempt = (document: Uint8Array): void => {
    try {
      const root = parseXmlRoot(document, LIFECYCLE_DOCUMENT, LIFECYCLE_LIMITS)
      const rules = lifecycleRulesOf(root, () => "made")
      const stored = encodeLifecycleRules({ transitionMinimum: "varies_by_storage_class", rules })
      assert.deepEqual(decodeLifecycleRules(stored).rules, rules)
    } catch (error) {
      assert.ok(isFailure(error), String(error))
    }
  }
  for (let at = 0; at < bytes.length; at += 1) {
    attempt(bytes.subarray(0, at))
    attempt(Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]))
    for (const other of ["<", ">", "/", "0", "-", "\u0000", "é"]) {
      attempt(Buffer.concat([bytes.subarray(0, at), Buffer.from(other), bytes.subarray(at + 1)]))
    }
  }
})

const element = (name: string, content: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  content.map(text => `<${name}>${text}</${name}>`)
const among = (...parts: readonly fc.Arbitrary<string>[]): fc.Arbitrary<string> =>
  fc.array(fc.oneof(...parts), { maxLength: 4 }).map(texts => texts.join(""))
const count = fc.oneof(
  fc.integer().map(String),
  fc.constantFrom("1", "2147483647", "2147483648", "-0", "+1", "1e3", "0x1", " 7 ", "", "９", "9".repeat(400)),
)
const word = fc.oneof(fc.constantFrom("", "k", "logs/", "&#0;", "&amp;", "ü"), fc.stringMatching(/^[a-z/&<]{0,6}$/))
const predicate = fc.oneof(
  element("Prefix", word),
  element("Tag", among(element("Key", word), element("Value", word))),
  element("ObjectSizeGreaterThan", count),
  element("ObjectSizeLessThan", count),
)
const when = fc.oneof(
  element("Days", count),
  element("Date", fc.oneof(count, fc.constantFrom("2030-01-01", "2030-01-01T00:00:00Z", "+275760-09-13T00:00:00Z"))),
  element("ExpiredObjectDeleteMarker", fc.constantFrom("true", "false", "")),
)
const part = fc.oneof(
  element("ID", word),
  element("Status", fc.constantFrom("Enabled", "Disabled", "on")),
  element("Filter", among(predicate, element("And", among(predicate)))),
  element("Prefix", word),
  element("Expiration", among(when)),
  element(
    "NoncurrentVersionExpiration",
    among(element("NoncurrentDays", count), element("NewerNoncurrentVersions", count)),
  ),
  element("AbortIncompleteMultipartUpload", element("DaysAfterInitiation", count)),
  element("Transition", among(when, element("StorageClass", fc.constantFrom("GLACIER", "x")))),
  fc.constantFrom(moveDays(30, "STANDARD_IA"), moveDays(60, "GLACIER"), moveOlder(1, "GLACIER_IR")),
)
const REFUSALS: readonly FailureKind[] = ["malformedXml", "invalidArgument", "invalidRequest"]

test("any document gives rules that come back as they are stored, or a refusal", () => {
  const usual = rule("<ID>usual</ID>", FILTER, ENABLED, EXPIRE)
  const rules = fc.array(fc.oneof(element("Rule", among(part)), among(part), fc.constant(usual)), { maxLength: 3 })
  let [accepted, refused] = [0, 0]
  fc.assert(
    fc.property(rules, parts => {
      const given = parts.map(inside => (inside.startsWith("<Rule>") ? inside : rule(FILTER, ENABLED, EXPIRE, inside)))
      try {
        const first = shown(given.join(""))
        assert.equal(shown(first), first)
        accepted += 1
      } catch (error) {
        assert.ok(isFailure(error, ...REFUSALS), String(error))
        refused += 1
      }
    }),
    { numRuns: 2_000 },
  )
  assert.ok(accepted > 100 && refused > 100, `${accepted} accepted, ${refused} refused`)
})
