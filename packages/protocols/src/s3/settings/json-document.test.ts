/** Documents of settings as JSON: both ways, for random documents of every kind, and what is refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { DOCUMENT_SHAPES, type Member, type DocumentShape } from "./document-shapes.js"
import { documentOfJson, jsonOfDocument } from "./json-document-core.js"

/** Texts that XML 1.0 can carry. */
const text = fc.string({ unit: fc.constantFrom(..."aB7 <>&\"'\n\téß€/*"), maxLength: 8 })

function valueOf(shape: DocumentShape): fc.Arbitrary<unknown> {
  if (shape === "text") return text
  if (shape === "number") return fc.integer({ min: 0, max: 1_000_000 })
  if (shape === "boolean") return fc.boolean()
  const members = Object.entries(shape.members).map(([name, member]) => [name, memberOf(member)] as const)
  return fc.record(Object.fromEntries(members), { requiredKeys: [] })
}

/** A list without an element around it cannot be empty. */
const memberOf = ({ kind, shape, in: around }: Member): fc.Arbitrary<unknown> =>
  kind === "list" ? fc.array(valueOf(shape), { minLength: around === undefined ? 1 : 0, maxLength: 3 }) : valueOf(shape)

for (const [root, shape] of Object.entries(DOCUMENT_SHAPES)) {
  test(`${root}: random documents read back as they were written`, () => {
    fc.assert(
      fc.property(valueOf(shape), json => {
        const plain: unknown = JSON.parse(JSON.stringify(json))
        assert.deepEqual(JSON.parse(JSON.stringify(jsonOfDocument(documentOfJson(root, plain)))), plain)
      }),
      { numRuns: 50 },
    )
  })
}

test("a mistake is refused with its place", () => {
  const lifecycle = (rule: unknown) => documentOfJson("LifecycleConfiguration", { Rules: [{ ID: "a" }, rule] })
  for (const [rule, message] of [
    [{ Statuss: "Enabled" }, /^Rules\[1\]\.Statuss: there is no such member; known are ID, Prefix/],
    [{ Expiration: { Days: "7" } }, /^Rules\[1\]\.Expiration\.Days: must be a whole number/],
    [{ Expiration: { Days: 1.5 } }, /^Rules\[1\]\.Expiration\.Days: must be a whole number/],
    [{ Expiration: [] }, /^Rules\[1\]\.Expiration: must be an object/],
    [{ Transitions: {} }, /^Rules\[1\]\.Transitions: must be a list/],
    [{ Status: null }, /^Rules\[1\]\.Status: must be a text/],
    [{ Expiration: { ExpiredObjectDeleteMarker: "true" } }, /must be true or false/],
    [{ constructor: "x" }, /^Rules\[1\]\.constructor: there is no such member/],
  ] as const) {
    assert.throws(
      () => lifecycle(rule),
      error => isFailure(error, "invalidArgument") && message.test(error.message),
      JSON.stringify(rule),
    )
  }
  assert.throws(() => documentOfJson("LifecycleConfiguration", []), /the document: must be an object/)
})

test("a document has the JSON of aws s3api", () => {
  const grants = {
    Owner: { ID: "me" },
    Grants: [
      { Permission: "READ", Grantee: { URI: "http://acs.amazonaws.com/groups/global/AllUsers", Type: "Group" } },
    ],
  }
  const xml = Buffer.from(documentOfJson("AccessControlPolicy", grants)).toString()
  assert.match(
    xml,
    /<AccessControlList><Grant><Permission>READ<\/Permission><Grantee xmlns:xsi="[^"]+" xsi:type="Group">/,
  )
  assert.deepEqual(jsonOfDocument(Buffer.from(xml)), grants)
  assert.equal(jsonOfDocument(Buffer.from("<Unknown/>")), undefined)
})
