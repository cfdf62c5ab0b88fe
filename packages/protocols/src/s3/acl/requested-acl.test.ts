/** Lists as clients request them: every form is read, written lists read back, and invalid ones are refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import { parseAccountId } from "@hayloft/base/ids.js"
import { parseXml } from "@hayloft/base/text/xml-reader.js"
import { xmlDocument } from "../wire/xml-writer.js"
import { aclOfDocument, aclOfHeaders, writeAcl } from "./requested-acl.js"

const refuses = (read: () => unknown, kind: FailureKind, what: string): void =>
  assert.throws(read, error => isFailure(error, kind), what)

const requested = (...headers: (readonly [string, string])[]) => aclOfHeaders(new Map(headers), "object")

const ALL = "http://acs.amazonaws.com/groups/global/AllUsers"

const grantee = (type: string, inside: string) =>
  `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="${type}">${inside}</Grantee>`

const grant = (inside: string, permission = "READ") => `<Grant>${inside}<Permission>${permission}</Permission></Grant>`

const list = (inside: string, owner = "<Owner><ID>o</ID><DisplayName>O</DisplayName></Owner>") =>
  `<AccessControlPolicy>${owner}<AccessControlList>${inside}</AccessControlList></AccessControlPolicy>`

const read = (xml: string) => aclOfDocument(parseXml(Buffer.from(xml)))

test("headers grant to ids, e-mail addresses and groups, quoted or not, several in one header", () => {
  assert.equal(requested(["x-amz-meta-a", "b"]), undefined)
  assert.deepEqual(requested(["x-amz-acl", "Public-Read"]), { kind: "canned", name: "public-read" })
  assert.deepEqual(
    requested(
      ["x-amz-grant-read", `id="a@b", emailAddress=some@where.example,uri="${ALL}"`],
      ["x-amz-grant-write-acp", "ID = c"],
      ["x-amz-grant-full-control", 'emailaddress="with, comma"'],
    ),
    {
      kind: "grants",
      owner: undefined,
      grants: [
        { grantee: { kind: "email", email: "with, comma" }, permission: "FULL_CONTROL" },
        { grantee: { kind: "account", id: "a@b" }, permission: "READ" },
        { grantee: { kind: "email", email: "some@where.example" }, permission: "READ" },
        { grantee: { kind: "group", group: "AllUsers" }, permission: "READ" },
        { grantee: { kind: "account", id: "c" }, permission: "WRITE_ACP" },
      ],
    },
  )
})

test("blanks around and within a grantee are read at once, however many there are", () => {
  const blanks = " ".repeat(1_000_000)
  refuses(() => requested(["x-amz-grant-read", `id=${blanks}"`]), "invalidArgument", "an open quote")
  assert.deepEqual(requested(["x-amz-grant-read", `id=${blanks}c${blanks}, id= "d" `]), {
    kind: "grants",
    owner: undefined,
    grants: ["c", "d"].map(id => ({ grantee: { kind: "account", id }, permission: "READ" })),
  })
})

test("invalid headers are refused, and so are two lists in one request", () => {
  for (const value of ["", "a", "id", 'id="a', 'id="a" "b"', "name=a", "uri=http://a", "id=a b", "id=", "id=a,,id=b"]) {
    refuses(() => requested(["x-amz-grant-read", value]), "invalidArgument", value)
  }
  for (const name of ["", "publicread", "log-delivery-write"]) {
    refuses(() => requested(["x-amz-acl", name]), "invalidArgument", name)
  }
  assert.ok(aclOfHeaders(new Map([["x-amz-acl", "log-delivery-write"]]), "bucket"), "of a bucket it is a list")
  refuses(() => requested(["x-amz-acl", "private"], ["x-amz-grant-read", "id=a"]), "invalidRequest", "both")
  const grants = (count: number) =>
    requested(["x-amz-grant-read", Array.from({ length: count }, () => "id=a").join(",")])
  assert.ok(grants(100))
  refuses(() => grants(101), "malformedAcl", "101 grants")
})

const FRIEND = grantee("CanonicalUser", "<ID>f</ID><DisplayName>F</DisplayName>")

test("documents are read, and a written list reads back as the same list", () => {
  const acl = read(
    list(
      grant(FRIEND, "FULL_CONTROL") +
        grant(grantee("Group", "<URI>http://acs.amazonaws.com/groups/s3/LogDelivery</URI>"), "WRITE") +
        grant(grantee("AmazonCustomerByEmail", "<EmailAddress>a&amp;b</EmailAddress>"), "READ_ACP"),
    ),
  )
  assert.deepEqual(acl, {
    owner: "o",
    grants: [
      { grantee: { kind: "account", id: "f" }, permission: "FULL_CONTROL" },
      { grantee: { kind: "group", group: "LogDelivery" }, permission: "WRITE" },
      { grantee: { kind: "email", email: "a&b" }, permission: "READ_ACP" },
    ],
  })
  const names = new Map([[parseAccountId("f"), "<F>"]])
  const shown = Buffer.from(xmlDocument("AccessControlPolicy", xml => writeAcl(xml, acl, id => names.get(id))))
  assert.deepEqual(read(shown.toString()), acl)
  assert.match(shown.toString(), /xsi:type="CanonicalUser"><ID>f<\/ID><DisplayName>&lt;F&gt;<\/DisplayName>/)
  assert.deepEqual(read(list("")).grants, [])
})

test("invalid documents are refused, and no element is ignored", () => {
  for (const xml of [
    "<AccessControlPolicy/>",
    list("", ""),
    list("", "<Owner/>"),
    list("", "<Owner><ID>o</ID></Owner><Owner><ID>o</ID></Owner>"),
    list("", "<Owner><ID>o</ID></Owner><Surprise/>"),
    "<AccessControlPolicy><Owner><ID>o</ID></Owner></AccessControlPolicy>",
    list("<Surprise/>"),
    list("<Grant/>"),
    list(`<Grant>${FRIEND}</Grant>`),
    list(grant(FRIEND, "read")),
    list(grant(FRIEND, "ALL")),
    list(grant(FRIEND + FRIEND)),
    list(grant(`${FRIEND}<Condition/>`)),
    list(grant("<Grantee><ID>f</ID></Grantee>")),
    list(grant(grantee("Somebody", "<ID>f</ID>"))),
    list(grant(grantee("CanonicalUser", ""))),
    list(grant(grantee("CanonicalUser", "<ID>f</ID><URI>u</URI>"))),
    list(grant(grantee("Group", "<ID>f</ID>"))),
    list(grant(FRIEND).repeat(101)),
  ]) {
    refuses(() => read(xml), "malformedAcl", xml.slice(0, 300))
  }
  assert.equal(read(list(grant(FRIEND).repeat(100))).grants.length, 100)
  refuses(() => read(list(grant(grantee("Group", "<URI>u</URI>")))), "invalidArgument", "an unknown group")
  refuses(() => read(list(grant(grantee("CanonicalUser", "<ID>a b</ID>")))), "invalidArgument", "an id that none is")
})
