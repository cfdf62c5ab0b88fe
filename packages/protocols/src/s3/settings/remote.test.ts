/** The remote of a bucket as XML: what is put comes back, with what it leaves out; what cannot be right is refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { REMOTE_WRITES, type Freshness, type RemoteSetting } from "@hayloft/features/remote-buckets/index.js"
import { parseXmlRoot } from "@hayloft/base/text/xml-reader.js"
import { BUCKET_REMOTE } from "./remote.js"
import { documentOf, valueOfDocument } from "./setting.js"

const read = (content: string): RemoteSetting =>
  BUCKET_REMOTE.read(
    parseXmlRoot(Buffer.from(`<${BUCKET_REMOTE.root}>${content}</${BUCKET_REMOTE.root}>`), BUCKET_REMOTE.root),
  )

/** A value as it is after it was stored. */
const stored = (value: RemoteSetting): RemoteSetting | undefined =>
  valueOfDocument(BUCKET_REMOTE, documentOf(BUCKET_REMOTE, value))

const NAMES = "<Store>aws</Store><Bucket>data</Bucket>"
const aged = (age: string): string => `${NAMES}<Freshness><Check>Age</Check>${age}</Freshness>`
const seconds = (text: string): string => aged(`<MaxAgeSeconds>${text}</MaxAgeSeconds>`)
const named = (store: string, bucket: string): string => `<Store>${store}</Store><Bucket>${bucket}</Bucket>`

const refuses = (content: string, kind: FailureKind, message?: RegExp): void => {
  assert.throws(
    () => read(content),
    error => isFailure(error, kind) && (message === undefined || message.test(error.message)),
    `${kind}: ${content.slice(0, 200)}`,
  )
}

const SMALLEST: RemoteSetting = {
  store: "aws",
  bucket: "data",
  prefix: "",
  freshness: { check: "Never" },
  serveStale: false,
  writes: "Through",
  opaqueEtags: false,
}

test("a store and a bucket are enough: the rest has defaults, which the document then shows", () => {
  assert.deepEqual(read(NAMES), SMALLEST)
  assert.deepEqual(read(`${NAMES}<Prefix/>`), SMALLEST)
  const shown = documentOf(BUCKET_REMOTE, SMALLEST)
  const freshness = "<Freshness><Check>Never</Check></Freshness>"
  const rest = `${freshness}<ServeStale>false</ServeStale><Writes>Through</Writes><OpaqueETags>false</OpaqueETags>`
  assert.ok(shown.endsWith(`>${NAMES}${rest}</RemoteConfiguration>`), shown)
})

test("every element is read", () => {
  const flags = "<ServeStale>true</ServeStale><Writes>None</Writes><OpaqueETags>TRUE</OpaqueETags>"
  assert.deepEqual(read(`${seconds(" 60 ")}<Prefix>logs/</Prefix>${flags}`), {
    store: "aws",
    bucket: "data",
    prefix: "logs/",
    freshness: { check: "Age", maxAgeSeconds: 60 },
    serveStale: true,
    writes: "None",
    opaqueEtags: true,
  })
  for (const check of ["Never", "Always"] as const) {
    const { freshness } = read(`${NAMES}<Freshness><Check>${check}</Check></Freshness>`)
    assert.deepEqual(freshness, { check })
  }
  for (const age of [1, 31_536_000])
    assert.deepEqual(read(seconds(String(age))).freshness, { check: "Age", maxAgeSeconds: age })
})

test("names may have what the remote allows", () => {
  for (const [store, bucket] of [
    ["a", "b"],
    ["-", "..."],
    ["0".repeat(64), "B_ucket.ä:".repeat(25)],
    ["aws-2", "𝄞".repeat(255)],
  ] as const) {
    const { store: readStore, bucket: readBucket } = read(named(store, bucket))
    assert.deepEqual([readStore, readBucket], [store, bucket])
  }
  const prefix = "ä".repeat(256)
  assert.equal(read(`${NAMES}<Prefix>${prefix}</Prefix>`).prefix, prefix)
})

test("what is stored reads back exactly", () => {
  const freshness = fc.oneof(
    fc.constantFrom<Freshness>({ check: "Never" }, { check: "Always" }),
    fc.integer({ min: 1, max: 31_536_000 }).map((maxAgeSeconds): Freshness => ({ check: "Age", maxAgeSeconds })),
  )
  const character = fc.string({ unit: "grapheme", minLength: 1, maxLength: 4 })
  const setting = fc.record(
    {
      store: fc.stringMatching(/^[a-z0-9-]{1,64}$/),
      bucket: character.filter(text => !/^\.{1,2}$|[/\p{Cc}]/u.test(text)),
      prefix: fc.oneof(character, fc.constantFrom("", " ", "\t/\r\n", "a&<>'\"]]>", "/")),
      freshness,
      serveStale: fc.boolean(),
      writes: fc.constantFrom(...REMOTE_WRITES),
      opaqueEtags: fc.boolean(),
    },
    { noNullPrototype: true },
  )
  fc.assert(fc.property(setting, value => assert.deepEqual(stored(value), value)))
})

test("what the schema excludes is malformed", () => {
  for (const content of [
    "",
    "<Store>aws</Store>",
    "<Bucket>data</Bucket>",
    `${NAMES}${NAMES}`,
    `${NAMES}<Store>b</Store>`,
    `${NAMES}<Region>eu</Region>`,
    "<Store><Name>aws</Name></Store><Bucket>data</Bucket>",
    `${NAMES}<Prefix>a</Prefix><Prefix>b</Prefix>`,
    `${NAMES}<Freshness/>`,
    `${NAMES}<Freshness><Check>Sometimes</Check></Freshness>`,
    `${NAMES}<Freshness><Check>never</Check></Freshness>`,
    `${NAMES}<Freshness><MaxAgeSeconds>60</MaxAgeSeconds></Freshness>`,
    `${NAMES}<Freshness><Check>Never</Check><Days>1</Days></Freshness>`,
    `${NAMES}<Freshness><Check>Never</Check></Freshness><Freshness><Check>Never</Check></Freshness>`,
    `${NAMES}<ServeStale>yes</ServeStale>`,
    `${NAMES}<ServeStale/>`,
    `${NAMES}<OpaqueETags>1</OpaqueETags>`,
    `${NAMES}<Writes>through</Writes>`,
    `${NAMES}<Writes/>`,
  ])
    refuses(content, "malformedXml")
})

test("names that cannot be right are refused with the rule", () => {
  for (const store of ["", "AWS", "a_b", "a.b", " aws", "aws\n", "ä", "a".repeat(65)])
    refuses(named(store, "data"), "invalidRequest", /name of a remote store/)
  for (const bucket of ["", "a/b", "/", ".", "..", "a&#0;", "a\tb", "a&#10;", "a\u0085", "a\uffff", "a".repeat(256)])
    refuses(named("aws", bucket), "invalidRequest", /name of a remote bucket/)
})

test("prefixes that are too long, or that XML cannot carry, are refused", () => {
  refuses(`${NAMES}<Prefix>${"a".repeat(513)}</Prefix>`, "invalidRequest", /at most 512 bytes/)
  refuses(`${NAMES}<Prefix>${"ä".repeat(257)}</Prefix>`, "invalidRequest", /at most 512 bytes/)
  for (const character of ["&#0;", "&#x1f;", "\u0001", "\uffff"])
    refuses(`${NAMES}<Prefix>a${character}</Prefix>`, "invalidRequest", /XML lacks/)
})

test("an age is needed with the check Age, and refused with others", () => {
  refuses(aged(""), "invalidRequest", /needs MaxAgeSeconds/)
  for (const text of ["", "0", "-1", "1.5", "1e3", "31536001", "999999999999", "0x10", "a minute"])
    refuses(seconds(text), "invalidRequest", /from 1 to 31536000/)
  for (const check of ["Never", "Always"]) {
    const freshness = `<Freshness><Check>${check}</Check><MaxAgeSeconds>60</MaxAgeSeconds></Freshness>`
    refuses(`${NAMES}${freshness}`, "invalidRequest", /only for the check Age/)
  }
})
