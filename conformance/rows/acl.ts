/** Line 12 as far as it concerns access control lists: accepted if a bucket enables them, else refused. */
import { check, expectBody, expectError, expectStatus, present, same } from "../expect.js"
import type { RawResponse } from "../raw-client.js"
import { row, rowWithOther } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import { elements, text } from "../xml.js"

const GROUPS = "http://acs.amazonaws.com/groups/"
const ALL_USERS = `${GROUPS}global/AllUsers`
const XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'

const ownership = (rule: string) =>
  `<OwnershipControls><Rule><ObjectOwnership>${rule}</ObjectOwnership></Rule></OwnershipControls>`
const grant = (type: string, inside: string, permission: string) =>
  `<Grant><Grantee ${XSI} xsi:type="${type}">${inside}</Grantee><Permission>${permission}</Permission></Grant>`
const list = (owner: string, grants: string) =>
  `<AccessControlPolicy><Owner><ID>${owner}</ID></Owner><AccessControlList>${grants}</AccessControlList></AccessControlPolicy>`

/** Makes the bucket accept lists from here on. */
async function takesLists(scene: Scene, rule = "ObjectWriter", isBlocked = false): Promise<void> {
  expectStatus(await scene.document("PUT", "ownershipControls", ownership(rule)), 200)
  if (!isBlocked) expectStatus(await scene.call("DELETE", { query: "publicAccessBlock" }), 204)
}

const ownerIn = ({ text: xml }: RawResponse): string => text(present(elements(xml, "Owner")[0], "Owner"), "ID") ?? ""

/** `id-or-group PERMISSION` of each grant, with `owner` for the owner and groups by their last name. */
async function grantsOf(scene: Scene, key?: string, query = "acl"): Promise<string[]> {
  const shown = expectStatus(await scene.call("GET", { query, ...(key !== undefined && { key }) }), 200)
  const owner = ownerIn(shown)
  return elements(shown.text, "Grant").map(one => {
    const who = text(one, "ID") ?? text(one, "URI")?.split("/").at(-1) ?? ""
    return `${who === owner ? "owner" : who} ${text(one, "Permission") ?? ""}`
  })
}

const OWNER = "owner FULL_CONTROL"

const enforcedRows: readonly Row[] = [
  row(
    "12.40",
    "lists are refused where the owner is enforced, which is the usual; harmless ones are not",
    async scene => {
      await scene.stored("k")
      const owner = ownerIn(expectStatus(await scene.list("acl"), 200))
      for (const key of [undefined, "k"]) {
        const at = { query: "acl", ...(key !== undefined && { key }) }
        for (const headers of [
          { "x-amz-acl": "public-read" },
          { "x-amz-acl": "authenticated-read" },
          { "x-amz-grant-read": `uri="${ALL_USERS}"` },
        ]) {
          expectError(await scene.call("PUT", { ...at, headers }), 400, "AccessControlListNotSupported")
        }
        for (const name of ["private", "bucket-owner-read", "bucket-owner-full-control"])
          expectStatus(await scene.call("PUT", { ...at, headers: { "x-amz-acl": name } }), 200)
        const all = grant("CanonicalUser", `<ID>${owner}</ID>`, "FULL_CONTROL")
        expectStatus(await scene.call("PUT", { ...at, body: list(owner, all) }), 200)
        same(await grantsOf(scene, key), [OWNER], "grants")
      }
      expectError(
        await scene.put("n", "", { "x-amz-grant-read": `id="${owner}"` }),
        400,
        "AccessControlListNotSupported",
      )
      expectError(await scene.get("n"), 404, "NoSuchKey")
      for (const name of ["private", "bucket-owner-read"]) {
        expectStatus(await scene.put("n", "", { "x-amz-acl": name }), 200)
        same(await grantsOf(scene, "n"), [OWNER], `grants of an object with ${name}`)
      }
    },
  ),
  rowWithOther(
    "12.52",
    "where the owner is enforced, bucket-owner-full-control needs no right to set lists",
    async scene => {
      const { bucket, other } = scene
      const Principal = { CanonicalUser: ownerIn(expectStatus(await other.call("GET", {}), 200)) }
      const statement = { Effect: "Allow", Principal, Action: "s3:PutObject", Resource: `arn:aws:s3:::${bucket}/*` }
      const body = JSON.stringify({ Version: "2012-10-17", Statement: statement })
      expectStatus(await scene.call("PUT", { query: "policy", body }), 204)
      const put = (headers: Record<string, string>) => other.call("PUT", { bucket, key: "k", body: "b", headers })
      const forOwner = { "x-amz-acl": "bucket-owner-full-control" }
      expectStatus(await put(forOwner), 200)
      expectError(await put({ ...forOwner, "x-amz-grant-read": `uri="${ALL_USERS}"` }), 403, "AccessDenied")
      const uploads = () => other.call("POST", { bucket, key: "m", query: "uploads", headers: forOwner })
      expectStatus(await uploads(), 200)
      await takesLists(scene)
      expectError(await put(forOwner), 403, "AccessDenied")
      expectError(await uploads(), 403, "AccessDenied")
    },
  ),
  row("12.53", "in us-east-1, making one's own bucket again resets its list", async scene => {
    await takesLists(scene)
    await scene.stored("k", "body")
    expectStatus(await scene.call("PUT", { query: "acl", headers: { "x-amz-acl": "public-read" } }), 200)
    const again = await scene.call("PUT")
    if (again.status === 409) return
    expectStatus(again, 200)
    same(await grantsOf(scene), [OWNER], "grants")
    expectError(await scene.call("GET", { anonymous: true }), 403, "AccessDenied")
    expectBody(await scene.get("k"), "body")
  }),
  row("12.41", "a bucket is made with a list where it counts, and with no public one", async scene => {
    const make = (headers: Record<string, string>) =>
      scene.client.call("PUT", { bucket: scene.adopt(scene.uniqueName()), headers })
    const open = { "x-amz-acl": "public-read" }
    expectError(await make(open), 400, "InvalidBucketAclWithObjectOwnership")
    const writers = { "x-amz-object-ownership": "ObjectWriter" }
    expectError(await make({ ...open, ...writers }), 400, "InvalidBucketAclWithBlockPublicAccessError")
    const bucket = await scene.newBucket({ headers: { "x-amz-acl": "log-delivery-write", ...writers } })
    const { text: xml } = expectStatus(await scene.client.call("GET", { bucket, query: "acl" }), 200)
    same(elements(xml, "Permission").length, 3, "grants")
  }),
  row("12.42", "public lists are refused as long as they are blocked", async scene => {
    await takesLists(scene, "ObjectWriter", true)
    await scene.stored("k")
    for (const canned of ["public-read", "public-read-write", "authenticated-read"]) {
      const headers = { "x-amz-acl": canned }
      expectError(await scene.call("PUT", { query: "acl", headers }), 403, "AccessDenied")
      expectError(await scene.call("PUT", { key: "k", query: "acl", headers }), 403, "AccessDenied")
      expectError(await scene.put("n", "", headers), 403, "AccessDenied")
    }
    expectError(await scene.get("n"), 404, "NoSuchKey")
    expectStatus(await scene.call("PUT", { query: "acl", headers: { "x-amz-acl": "log-delivery-write" } }), 200)
  }),
  row("12.43", "the owner is not enforced before the bucket's own list is private again", async scene => {
    await takesLists(scene)
    expectStatus(await scene.call("PUT", { query: "acl", headers: { "x-amz-acl": "public-read" } }), 200)
    const enforce = () => scene.document("PUT", "ownershipControls", ownership("BucketOwnerEnforced"))
    expectError(await enforce(), 400, "InvalidBucketAclWithObjectOwnership")
    expectStatus(await scene.call("PUT", { query: "acl", headers: { "x-amz-acl": "private" } }), 200)
    await scene.stored("k", "", { "x-amz-acl": "public-read" })
    expectStatus(await enforce(), 200)
    same(await grantsOf(scene, "k"), [OWNER], "an object's list rests")
    await takesLists(scene, "BucketOwnerPreferred")
    same(await grantsOf(scene, "k"), [OWNER, "AllUsers READ"], "and counts again")
  }),
]

const listRows: readonly Row[] = [
  row("12.44", "every canned list is shown as what it says", async scene => {
    await takesLists(scene)
    await scene.stored("k")
    const both = [
      ["public-read", ["AllUsers READ"]],
      ["public-read-write", ["AllUsers READ", "AllUsers WRITE"]],
      ["authenticated-read", ["AuthenticatedUsers READ"]],
      ["bucket-owner-full-control", []],
      ["private", []],
    ] as const
    for (const [canned, beside] of both) {
      for (const key of [undefined, "k"]) {
        const headers = { "x-amz-acl": canned }
        expectStatus(await scene.call("PUT", { query: "acl", headers, ...(key !== undefined && { key }) }), 200)
        same(await grantsOf(scene, key), [OWNER, ...beside], `${canned} of ${key ?? "the bucket"}`)
      }
    }
  }),
  row("12.207", "a policy against public lists and directives holds however a request spells them", async scene => {
    await takesLists(scene)
    await scene.stored("k")
    const denied = (name: string, value: string) => ({
      Effect: "Deny",
      Principal: "*",
      Action: ["s3:PutObject", "s3:PutObjectAcl"],
      Resource: `arn:aws:s3:::${scene.bucket}/*`,
      Condition: { StringEquals: { [`s3:${name}`]: value } },
    })
    const statements = [denied("x-amz-acl", "public-read"), denied("x-amz-metadata-directive", "REPLACE")]
    const body = JSON.stringify({ Version: "2012-10-17", Statement: statements })
    expectStatus(await scene.call("PUT", { query: "policy", body }), [200, 204])
    for (const canned of ["public-read", "Public-Read", "PUBLIC-READ"]) {
      const headers = { "x-amz-acl": canned }
      expectError(await scene.call("PUT", { key: "k", query: "acl", headers }), [400, 403])
      expectError(await scene.put("k", "body", headers), [400, 403])
    }
    for (const directive of ["REPLACE", "replace"])
      expectError(await scene.copy("k", "copy", { "x-amz-metadata-directive": directive }), [400, 403])
    same(await grantsOf(scene, "k"), [OWNER], "grants")
    expectStatus(await scene.call("DELETE", { query: "policy" }), 204)
  }),
  row(
    "12.45",
    "PUT, CopyObject and multipart uploads give their objects a list; a copy does not take its source's",
    async scene => {
      await takesLists(scene)
      const headers = { "x-amz-acl": "public-read" }
      await scene.stored("put", "body", headers)
      same(await grantsOf(scene, "put"), [OWNER, "AllUsers READ"], "PUT")
      expectStatus(await scene.copy("put", "copy"), 200)
      same(await grantsOf(scene, "copy"), [OWNER], "a copy is private")
      expectStatus(await scene.copy("copy", "copy", { ...headers, "x-amz-metadata-directive": "REPLACE" }), 200)
      same(await grantsOf(scene, "copy"), [OWNER, "AllUsers READ"], "CopyObject")
      const begun = expectStatus(await scene.call("POST", { key: "parts", query: "uploads", headers }), 200)
      const uploadId = text(begun.text, "UploadId") ?? ""
      const part = expectStatus(
        await scene.call("PUT", { key: "parts", query: `partNumber=1&uploadId=${uploadId}`, body: "p" }),
        200,
      )
      const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.header("etag") ?? ""}</ETag></Part></CompleteMultipartUpload>`
      expectStatus(await scene.call("POST", { key: "parts", query: `uploadId=${uploadId}`, body }), 200)
      same(await grantsOf(scene, "parts"), [OWNER, "AllUsers READ"], "multipart")
      await scene.stored("put", "again")
      same(await grantsOf(scene, "put"), [OWNER], "an overwrite starts from the default list")
    },
  ),
  row("12.46", "each version has a list of its own; tags leave it alone", async scene => {
    await takesLists(scene)
    await scene.setVersioning("Enabled")
    const first = (await scene.stored("k", "1")).header("x-amz-version-id") ?? ""
    await scene.stored("k", "2", { "x-amz-acl": "authenticated-read" })
    const put = await scene.call("PUT", {
      key: "k",
      query: `acl&versionId=${first}`,
      headers: { "x-amz-acl": "public-read" },
    })
    same(expectStatus(put, 200).header("x-amz-version-id"), first, "version")
    const tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    expectStatus(await scene.document("PUT", "tagging", tags, { key: "k" }), 200)
    same(await grantsOf(scene, "k"), [OWNER, "AuthenticatedUsers READ"], "the latest")
    same(await grantsOf(scene, "k", `acl&versionId=${first}`), [OWNER, "AllUsers READ"], "the first")
    expectStatus(await scene.remove("k"), 204)
    expectError(
      await scene.call("PUT", { key: "k", query: "acl", headers: { "x-amz-acl": "private" } }),
      404,
      "NoSuchKey",
    )
    expectError(await scene.get("k", {}, "acl"), 404, "NoSuchKey")
  }),
  row("12.47", "what is no list is refused, and changes nothing", async scene => {
    await takesLists(scene)
    const owner = ownerIn(expectStatus(await scene.list("acl"), 200))
    const all = `<URI>${ALL_USERS}</URI>`
    const put = (body: string, headers: Record<string, string> = {}) =>
      scene.call("PUT", { query: "acl", body, headers })
    const refused = async (answer: Promise<RawResponse>, status: number, code: string) =>
      void expectError(await answer, status, code)
    await refused(put(""), 400, "MissingSecurityHeader")
    await refused(put(list(owner, ""), { "x-amz-acl": "private" }), 400, "UnexpectedContent")
    await refused(put("", { "x-amz-acl": "private", "x-amz-grant-read": `uri=${ALL_USERS}` }), 400, "InvalidRequest")
    await refused(put("", { "x-amz-acl": "nobody" }), 400, "InvalidArgument")
    await refused(put("", { "x-amz-grant-read": "nobody" }), 400, "InvalidArgument")
    await refused(put("", { "x-amz-grant-read": "uri=http://nobody" }), 400, "InvalidArgument")
    await refused(
      put("", { "x-amz-grant-read": "emailAddress=nobody@nowhere.example" }),
      400,
      "UnresolvableGrantByEmailAddress",
    )
    await refused(put("<AccessControlPolicy/>"), 400, "MalformedACLError")
    await refused(put(list(owner, grant("Group", all, "ALL"))), 400, "MalformedACLError")
    await refused(put(list(owner, grant("Group", all, "READ").repeat(101))), 400, "MalformedACLError")
    await refused(put(list(owner, grant("CanonicalUser", "<ID>nobody.at.all</ID>", "READ"))), 400, "InvalidArgument")
    await refused(put(list("nobody.at.all", grant("Group", all, "READ"))), 403, "AccessDenied")
    same(await grantsOf(scene), [OWNER], "grants")
    for (const method of ["GET", "DELETE"]) {
      const headers = { "x-amz-acl": "public-read" }
      expectError(await scene.call(method, { key: "k", headers }), 400, "InvalidArgument")
    }
  }),
  rowWithOther("12.48", "grants to another account are kept, by its id and by headers", async scene => {
    await takesLists(scene)
    await scene.stored("k")
    const owner = ownerIn(expectStatus(await scene.list("acl"), 200))
    const other = ownerIn(expectStatus(await scene.other.call("GET", {}), 200))
    check(owner !== other, "the other account is another")
    const grants =
      grant("CanonicalUser", `<ID>${other}</ID>`, "READ_ACP") +
      grant("Group", `<URI>${GROUPS}s3/LogDelivery</URI>`, "WRITE")
    expectStatus(await scene.call("PUT", { query: "acl", body: list(owner, grants) }), 200)
    same(await grantsOf(scene), [`${other} READ_ACP`, "LogDelivery WRITE"], "document")
    const headers = {
      "x-amz-grant-full-control": `id="${owner}"`,
      "x-amz-grant-read": `id="${other}", uri="${ALL_USERS}"`,
    }
    expectStatus(await scene.call("PUT", { key: "k", query: "acl", headers }), 200)
    same(await grantsOf(scene, "k"), [OWNER, `${other} READ`, "AllUsers READ"], "headers")
  }),
]

/** All owners in a document, the row's as `owner`. */
const ownersIn = (xml: string, owner: string): string[] =>
  elements(xml, "Owner").map(one => (text(one, "ID") === owner ? "owner" : "other"))

/** The other account may write into the bucket. */
async function lendsTo(scene: Scene): Promise<{ readonly owner: string }> {
  await takesLists(scene)
  const owner = ownerIn(expectStatus(await scene.list("acl"), 200))
  const other = ownerIn(expectStatus(await scene.other.call("GET", {}), 200))
  const headers = { "x-amz-grant-write": `id="${other}"` }
  expectStatus(await scene.call("PUT", { query: "acl", headers }), 200)
  return { owner }
}

const writerRows: readonly Row[] = [
  rowWithOther("12.49", "what another account writes is its own, and listings say so", async scene => {
    const { owner } = await lendsTo(scene)
    const { bucket, other } = scene
    await scene.stored("a")
    expectStatus(await other.call("PUT", { bucket, key: "b", body: "theirs" }), 200)
    expectBody(await other.call("GET", { bucket, key: "b" }), "theirs")
    expectError(await scene.get("b"), 403, "AccessDenied")
    expectError(await other.call("GET", { bucket, key: "a" }), 403, "AccessDenied")
    for (const query of ["", "list-type=2&fetch-owner=true", "versions"]) {
      const { text: xml } = expectStatus(await scene.list(query), 200)
      same(ownersIn(xml, owner), ["owner", "other"], query)
    }
    const big = { "x-amz-meta-a": "m".repeat(1_500), "x-amz-acl": "bucket-owner-read" }
    expectStatus(await other.call("PUT", { bucket, key: "b", body: "more", headers: big }), 200)
    same(ownersIn(expectStatus(await scene.list(""), 200).text, owner), ["owner", "other"], "with much beside it")
    expectBody(await scene.get("b"), "more")
    expectStatus(await scene.remove("b"), 204)
    expectError(await scene.get("b"), 404, "NoSuchKey")
  }),
  rowWithOther("12.50", "who has begun an upload is shown, and may give it up", async scene => {
    const { owner } = await lendsTo(scene)
    const { bucket, other } = scene
    const begin = async () => {
      const begun = await other.call("POST", { bucket, key: "k", query: "uploads" })
      return text(expectStatus(begun, 200).text, "UploadId") ?? ""
    }
    const [kept, dropped] = [await begin(), await begin()]
    const { text: uploads } = expectStatus(await scene.list("uploads"), 200)
    same(ownersIn(uploads, owner), ["other", "other"], "uploads")
    for (const query of ["uploads", `uploadId=${kept}`]) {
      const at = query === "uploads" ? {} : { key: "k" }
      const { text: xml } = expectStatus(await scene.call("GET", { query, ...at }), 200)
      check(
        elements(xml, "Initiator").every(one => text(one, "ID") !== owner),
        `initiator of ${query}`,
      )
    }
    expectStatus(await other.call("DELETE", { bucket, key: "k", query: `uploadId=${dropped}` }), 204)
    expectStatus(await scene.call("DELETE", { key: "k", query: `uploadId=${kept}` }), 204)
  }),
  rowWithOther(
    "12.51",
    "everybody is let in by a public list, and nobody by the bucket's policy to others' objects",
    async scene => {
      await lendsTo(scene)
      const { bucket, other } = scene
      const headers = { "x-amz-acl": "public-read" }
      expectStatus(await other.call("PUT", { bucket, key: "open", body: "o", headers }), 200)
      expectStatus(await other.call("PUT", { bucket, key: "shut", body: "s" }), 200)
      const statement = {
        Effect: "Allow",
        Principal: "*",
        Action: "s3:GetObject",
        Resource: `arn:aws:s3:::${bucket}/*`,
      }
      const body = JSON.stringify({ Version: "2012-10-17", Statement: statement })
      expectStatus(await scene.call("PUT", { query: "policy", body }), 204)
      await scene.stored("mine", "m")
      expectBody(await scene.call("GET", { key: "open", anonymous: true }), "o")
      expectBody(await scene.call("GET", { key: "mine", anonymous: true }), "m")
      expectError(await scene.call("GET", { key: "shut", anonymous: true }), 403, "AccessDenied")
    },
  ),
]

export const aclRows: readonly Row[] = [...enforcedRows, ...listRows, ...writerRows]
