/**
 * Access control lists: who gets access by the list of a bucket or an object, who owns an object that another
 * account wrote, which settings disable lists, and that lists are disabled in a new bucket.
 */
import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import { parseAccessKeyId, parseAccountId } from "@hayloft/base/ids.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { handleModel, ownerAccount, rootKeyOf, strangerAccount, userKeyOf } from "./over-model.js"
import { allow, deny, documented, keyOf, People, policyOf, to, type With } from "./people.js"

const GROUPS = "http://acs.amazonaws.com/groups/"
const ALL_USERS = `uri="${GROUPS}global/AllUsers"`
const IN_BUCKET = "arn:aws:s3:::bucket/*"
const everything = policyOf(allow("s3:*", "*"))
const third = parseAccountId("c".repeat(64))
const thirdAccount = {
  id: third,
  number: accountNumberOf(third),
  displayName: "third",
  email: "third@example.com",
  createdMs: 0,
}

let people: People
/** Runs once, after the list of an object has been read, or the object opened. */
let afterCheck: (() => Promise<unknown>) | undefined
/** A bucket of the owner in which lists apply for every writer, and nothing is blocked. */
beforeEach(async () => {
  const willing = userKeyOf(keyOf("willing"), "willing", [everything], {}, strangerAccount)
  const unwilling = userKeyOf(keyOf("unwilling"), "unwilling", [], {}, strangerAccount)
  const member = userKeyOf(keyOf("member"), "member", [])
  const { id, secret } = keyOf("third")
  const { handler } = handleModel({
    keys: [willing, unwilling, member, rootKeyOf(parseAccessKeyId(id), secret, thirdAccount)],
    services: model => {
      const look = model.objects.get.bind(model.objects)
      const get: typeof look = async request => {
        const found = await look(request)
        const happens = afterCheck
        afterCheck = undefined
        await happens?.()
        return found
      }
      Object.assign(model.objects, { get })
      return model
    },
  })
  people = new People(handler)
  await expect(200, "owner", "PUT /bucket")
  await owns("ObjectWriter")
  await block()
  await expect(200, "owner", "PUT /bucket/private", { body: "p" })
})

const expect = (...args: Parameters<People["expect"]>) => people.expect(...args)
const owns = (rule: string) =>
  expect(
    200,
    "owner",
    "PUT /bucket?ownershipControls",
    documented(`<OwnershipControls><Rule><ObjectOwnership>${rule}</ObjectOwnership></Rule></OwnershipControls>`),
  )
const BLOCK = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"] as const
const block = (...on: (typeof BLOCK)[number][]) => {
  const switches = BLOCK.map(name => `<${name}>${String(on.includes(name))}</${name}>`).join("")
  const root = "PublicAccessBlockConfiguration"
  return expect(200, "owner", "PUT /bucket?publicAccessBlock", documented(`<${root}>${switches}</${root}>`))
}
const canned = (name: string): With => ({ headers: ["x-amz-acl", name] })
const granting = (permission: string, grantees: string): With => ({
  headers: [`x-amz-grant-${permission}`, grantees],
})
const id = (account: { readonly id: string }) => `id="${account.id}"`
const writers = (...accounts: readonly { readonly id: string }[]) =>
  expect(200, "owner", "PUT /bucket?acl", granting("write", accounts.map(id).join(", ")))
const put = (name: string, key: string, more: With = {}, status = 200) =>
  expect(status, name, `PUT /bucket/${key}`, { body: "b", ...more })
const policy = (text: string) => expect(204, "owner", "PUT /bucket?policy", { body: text })

/** The status that each caller gets, by name. */
async function answers(line: string, ...names: readonly string[]): Promise<Record<string, number>> {
  const pairs = await Promise.all(names.map(async name => [name, (await people.send(name, line)).status] as const))
  return Object.fromEntries(pairs)
}
const WHO = ["owner", "member", "stranger", "unwilling", "third", "nobody"] as const
/** The statuses of all callers in `WHO`, in this order. */
const statuses = async (line: string): Promise<string> => Object.values(await answers(line, ...WHO)).join(" ")

const owners = (xml: string): string[] => [...xml.matchAll(/<Owner><ID>([abc])/g)].map(([, letter = ""]) => letter)

test("an object that everybody may read is readable by everybody, and allows nothing else", async () => {
  await put("owner", "open", canned("public-read"))
  assert.equal(await statuses("GET /bucket/open"), "200 200 200 403 200 200")
  assert.equal(await statuses("HEAD /bucket/open"), "200 200 200 403 200 200")
  assert.equal(await statuses("GET /bucket/private"), "200 403 403 403 403 403")
  for (const line of [
    "GET /bucket/open?acl",
    "GET /bucket/open?tagging",
    "GET /bucket/open?attributes",
    "PUT /bucket/open?acl",
    "PUT /bucket/open",
    "DELETE /bucket/open",
    "GET /bucket/absent",
    "GET /bucket",
    "GET /bucket?acl",
    "GET /",
  ]) {
    await expect(403, "nobody", line)
    if (line !== "GET /") await expect(403, "stranger", line)
  }
  await expect(400, "nobody", "GET /bucket/open?response-content-type=text/html")
  const wrong = await people.send("nobody", "GET /bucket/open", { headers: ["authorization", "AWS4-HMAC-SHA256 x"] })
  assert.ok(wrong.status >= 400, "a malformed signature is not treated as anonymous")
})

test("a bucket that everybody may read can be listed, and its objects stay closed", async () => {
  await expect(200, "owner", "PUT /bucket?acl", canned("public-read"))
  for (const query of ["", "list-type=2", "versions", "uploads"]) {
    assert.equal(await statuses(`GET /bucket?${query}`), "200 200 200 403 200 200", query)
  }
  assert.equal(await statuses("HEAD /bucket"), "200 200 200 403 200 200")
  assert.equal(await statuses("GET /bucket/private"), "200 403 403 403 403 403")
  // A caller who may list could have seen that the key does not exist.
  assert.equal(await statuses("GET /bucket/absent"), "404 404 404 403 404 404")
  await put("nobody", "new", {}, 403)
  await expect(403, "nobody", "DELETE /bucket/private")
})

test("a list grants access to accounts by id and by e-mail, and to groups by their address", async () => {
  await put("owner", "id", granting("read", id(strangerAccount)))
  await put("owner", "mail", granting("read", `emailAddress="${strangerAccount.email.toUpperCase()}"`))
  await put("owner", "signed", canned("authenticated-read"))
  await put("owner", "logs", granting("read", `uri="${GROUPS}s3/LogDelivery"`))
  await put("owner", "all", granting("full-control", ALL_USERS))
  assert.equal(await statuses("GET /bucket/id"), "200 403 200 403 403 403")
  assert.equal(await statuses("GET /bucket/mail"), "200 403 200 403 403 403")
  assert.equal(await statuses("GET /bucket/signed"), "200 200 200 403 200 403")
  assert.equal(await statuses("GET /bucket/logs"), "200 403 403 403 403 403")
  assert.equal(await statuses("GET /bucket/all"), "200 200 200 403 200 200")
  assert.deepEqual(await answers("GET /bucket/id", "willing"), { willing: 200 })
  await put("owner", "n", granting("read", 'emailAddress="nobody@nowhere.example"'), 400)
})

test("a list can be read and changed by those whom it permits, and always by the owner", async () => {
  await put("owner", "k", granting("read-acp", id(strangerAccount)))
  assert.equal(await statuses("GET /bucket/k?acl"), "200 403 200 403 403 403")
  await expect(403, "stranger", "GET /bucket/k")
  await expect(403, "stranger", "PUT /bucket/k?acl", canned("public-read"))
  await expect(200, "owner", "PUT /bucket/k?acl", granting("write-acp", id(strangerAccount)))
  await expect(403, "stranger", "GET /bucket/k?acl")
  await expect(403, "unwilling", "PUT /bucket/k?acl", canned("public-read"))
  await expect(200, "stranger", "PUT /bucket/k?acl", canned("public-read"))
  await expect(200, "nobody", "GET /bucket/k")
  await expect(403, "stranger", "PUT /bucket/k?acl", canned("private"))
  await expect(200, "owner", "PUT /bucket?acl", {
    headers: ["x-amz-grant-read-acp", id(strangerAccount), "x-amz-grant-write-acp", id(thirdAccount)],
  })
  assert.equal(await statuses("GET /bucket?acl"), "200 403 200 403 403 403")
  await expect(403, "stranger", "PUT /bucket?acl", canned("public-read"))
  await expect(200, "third", "PUT /bucket?acl", canned("public-read"))
  await expect(200, "nobody", "GET /bucket")
})

test("an account owns what it writes: the bucket's owner may list and delete it, and no more", async () => {
  await put("stranger", "theirs", {}, 403)
  await writers(strangerAccount)
  await put("unwilling", "theirs", {}, 403)
  await put("third", "theirs", {}, 403)
  await put("willing", "theirs")
  assert.equal(await statuses("GET /bucket/theirs"), "403 403 200 403 403 403")
  for (const line of ["?acl", "?tagging", "?attributes"].map(query => `GET /bucket/theirs${query}`)) {
    await expect(403, "owner", line, { headers: ["x-amz-object-attributes", "ETag"] })
    await expect(200, "stranger", line, { headers: ["x-amz-object-attributes", "ETag"] })
  }
  await expect(403, "owner", "PUT /bucket/theirs?acl", canned("public-read"))
  await expect(403, "owner", "PUT /bucket/copy", { headers: ["x-amz-copy-source", "/bucket/theirs"] })
  assert.deepEqual(owners((await expect(200, "stranger", "GET /bucket/theirs?acl")).text), ["b"])
  await expect(204, "owner", "DELETE /bucket/theirs")
  await put("stranger", "shared", canned("bucket-owner-full-control"))
  await expect(200, "owner", "GET /bucket/shared")
  await expect(200, "owner", "PUT /bucket/shared?acl", canned("public-read"))
  await expect(200, "nobody", "GET /bucket/shared")
  assert.deepEqual(owners((await expect(200, "stranger", "GET /bucket/shared?acl")).text), ["b"])
  // Once overwritten, the bucket's owner owns it.
  await put("owner", "shared", canned("private"))
  assert.equal(await statuses("GET /bucket/shared"), "200 403 403 403 403 403")
})

test("an object that is written between the check of a list and the opening is checked against its own list", async () => {
  for (const line of ["GET /bucket/k", "HEAD /bucket/k", "GET /bucket/k?acl"]) {
    const acl = { headers: ["x-amz-grant-full-control", `uri="${GROUPS}global/AllUsers"`] }
    await put("owner", "k", acl)
    await expect(200, "third", line)
    afterCheck = () => put("owner", "k", { body: "secret" })
    assert.equal((await people.send("third", line)).status, 403, line)
    assert.equal(afterCheck, undefined)
    afterCheck = () => put("owner", "k", acl)
    await expect(403, "third", line)
  }
})

test("an object that is written between the check of a list and a copy is not copied unless its own list allows it", async () => {
  await expect(200, "third", "PUT /copies")
  const copy = (status: number) =>
    expect(status, "third", "PUT /copies/k", { headers: ["x-amz-copy-source", "/bucket/k"] })
  await put("owner", "k", canned("public-read"))
  afterCheck = () => put("owner", "k", { body: "secret" })
  await copy(403)
  await expect(404, "third", "GET /copies/k")
  await put("owner", "k", canned("public-read"))
  afterCheck = () => put("owner", "k", { ...canned("public-read"), body: "newer" })
  await copy(200)
  assert.equal((await expect(200, "third", "GET /copies/k")).text, "newer")
})

test("WRITE permits any put, but deletes of one's own objects only", async () => {
  await writers(strangerAccount, thirdAccount)
  await put("owner", "mine")
  await put("stranger", "theirs")
  for (const [name, key] of [
    ["stranger", "mine"],
    ["stranger", "absent"],
    ["third", "theirs"],
    ["unwilling", "theirs"],
  ] as const)
    await expect(403, name, `DELETE /bucket/${key}`)
  const both = "<Delete><Object><Key>mine</Key></Object><Object><Key>theirs</Key></Object></Delete>"
  const { text } = await expect(200, "willing", "POST /bucket?delete", documented(both))
  assert.match(text, /<Deleted><Key>theirs<\/Key><\/Deleted>/)
  assert.match(text, /<Error><Key>mine<\/Key>.*AccessDenied/)
  await put("third", "mine")
  await expect(204, "third", "DELETE /bucket/mine")
})

test("listings report the owner of each object", async () => {
  await writers(strangerAccount)
  await put("stranger", "theirs")
  assert.deepEqual(owners((await expect(200, "owner", "GET /bucket")).text), ["a", "b"])
  assert.deepEqual(owners((await expect(200, "owner", "GET /bucket?list-type=2&fetch-owner=true")).text), ["a", "b"])
  assert.deepEqual(owners((await expect(200, "owner", "GET /bucket?list-type=2")).text), [])
  const { text } = await expect(200, "owner", "GET /bucket?versions")
  assert.deepEqual(owners(text), ["a", "b"])
  assert.match(text, /<DisplayName>stranger</)
  await expect(200, "owner", "PUT /bucket?acl", canned("private"))
  await owns("BucketOwnerEnforced")
  assert.deepEqual(owners((await expect(200, "owner", "GET /bucket")).text), ["a", "a"])
  assert.deepEqual(owners((await expect(200, "owner", "GET /bucket?versions")).text), ["a", "a"])
})

test("with BucketOwnerPreferred, an object handed over by its canned list belongs to the bucket's owner", async () => {
  await owns("BucketOwnerPreferred")
  await writers(strangerAccount)
  await put("stranger", "kept")
  await put("stranger", "handed", canned("bucket-owner-full-control"))
  assert.equal(await statuses("GET /bucket/kept"), "403 403 200 403 403 403")
  assert.equal(await statuses("GET /bucket/handed"), "200 403 403 403 403 403")
  assert.deepEqual(owners((await expect(200, "owner", "GET /bucket?prefix=handed")).text), ["a"])
})

test("the bucket's policy cannot open another account's object, but can close it", async () => {
  await writers(strangerAccount)
  await put("stranger", "theirs")
  await policy(policyOf(to("*", allow(["s3:GetObject", "s3:GetObjectAcl"], IN_BUCKET))))
  assert.equal(await statuses("GET /bucket/theirs"), "403 403 200 403 403 403")
  assert.equal(await statuses("GET /bucket/private"), "200 200 200 403 200 200")
  await policy(policyOf(to("*", deny("s3:GetObject", IN_BUCKET))))
  await expect(200, "stranger", "PUT /bucket/theirs?acl", canned("public-read"))
  assert.equal(await statuses("GET /bucket/theirs"), "403 403 403 403 403 403")
})

test("the bucket's owner may restore another account's object, and its writer may not", async () => {
  await writers(strangerAccount)
  await put("stranger", "theirs")
  const codeFor = async (name: string) => {
    const sent = documented("<RestoreRequest><Days>1</Days></RestoreRequest>")
    return /<Code>(\w+)</.exec((await people.send(name, "POST /bucket/theirs?restore", sent)).text)?.[1]
  }
  assert.equal(await codeFor("stranger"), "AccessDenied")
  // It is no archive: the request was admitted.
  assert.equal(await codeFor("owner"), "InvalidObjectState")
})

test("an unsigned upload belongs to the bucket's owner, also by a form", async () => {
  await put("nobody", "drop", {}, 403)
  await expect(200, "owner", "PUT /bucket?acl", canned("public-read-write"))
  await put("nobody", "drop", canned("bucket-owner-full-control"))
  const part = (name: string, value: string) =>
    `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const form = (acl: string, key: string): With => ({
    body: `${part("acl", acl)}${part("key", key)}--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nsent\r\n--x--\r\n`,
    headers: ["content-type", "multipart/form-data; boundary=x"],
  })
  await expect(204, "nobody", "POST /bucket", form("public-read", "form"))
  assert.equal(await statuses("GET /bucket/drop"), "200 403 403 403 403 403")
  assert.equal(await statuses("GET /bucket/form"), "200 200 200 403 200 200")
  await expect(403, "nobody", "DELETE /bucket/drop")
  await expect(403, "member", "DELETE /bucket/drop")
  await expect(403, "stranger", "DELETE /bucket/drop")
  await expect(204, "owner", "DELETE /bucket/drop")
  await block("BlockPublicAcls")
  await expect(403, "nobody", "POST /bucket", form("public-read", "blocked"))
  await expect(204, "nobody", "POST /bucket", form("private", "taken"))
})

test("each of the four blocks does what its name promises, and no more", async () => {
  await put("owner", "open", canned("public-read"))
  await put("owner", "given", granting("read", id(strangerAccount)))
  await block("BlockPublicAcls")
  assert.equal(await statuses("GET /bucket/open"), "200 200 200 403 200 200")
  for (const name of ["public-read", "authenticated-read"]) {
    await put("owner", "n", canned(name), 403)
    for (const line of ["PUT /bucket?acl", "PUT /bucket/private?acl", "POST /bucket/n?uploads"]) {
      await expect(403, "owner", line, canned(name))
    }
    await expect(403, "owner", "PUT /bucket/n", { headers: ["x-amz-copy-source", "/bucket/open", "x-amz-acl", name] })
  }
  await expect(404, "owner", "GET /bucket/n")
  await put("owner", "given", granting("read", id(strangerAccount)))
  await block("IgnorePublicAcls")
  assert.equal(await statuses("GET /bucket/open"), "200 403 403 403 403 403")
  assert.equal(await statuses("GET /bucket/given"), "200 403 200 403 403 403")
  await expect(200, "owner", "PUT /bucket?acl", canned("public-read"))
  await expect(403, "nobody", "GET /bucket")
  assert.match((await expect(200, "owner", "GET /bucket/open?acl")).text, /AllUsers/)
  await block("BlockPublicPolicy")
  assert.equal(await statuses("GET /bucket/open"), "200 200 200 403 200 200")
  await expect(403, "owner", "PUT /bucket?policy", { body: policyOf(to("*", allow("s3:GetObject", IN_BUCKET))) })
  await block()
  await policy(policyOf(to("*", allow("s3:GetObject", IN_BUCKET)), to("*", deny("s3:GetObject", `${IN_BUCKET}n`))))
  await block("RestrictPublicBuckets")
  assert.equal(await statuses("GET /bucket/private"), "200 200 403 403 403 403")
  assert.equal(await statuses("GET /bucket/given"), "403 403 403 403 403 403", "the policy's Deny still applies")
  await put("owner", "opened", canned("public-read"))
  await expect(200, "nobody", "GET /bucket/opened")
})

test("lists are ignored under BucketOwnerEnforced, and apply again afterwards", async () => {
  await put("owner", "open", canned("public-read"))
  await writers(strangerAccount)
  await put("stranger", "theirs", canned("public-read"))
  await expect(400, "owner", "PUT /bucket?ownershipControls", documented(ENFORCED))
  await expect(200, "owner", "PUT /bucket?acl", canned("private"))
  await owns("BucketOwnerEnforced")
  for (const key of ["open", "theirs"]) {
    assert.equal(await statuses(`GET /bucket/${key}`), "200 403 403 403 403 403")
    assert.deepEqual(owners((await expect(200, "owner", `GET /bucket/${key}?acl`)).text), ["a"])
    await expect(400, "owner", `PUT /bucket/${key}?acl`, canned("public-read"))
  }
  await expect(204, "owner", "DELETE /bucket?ownershipControls")
  assert.equal(await statuses("GET /bucket/open"), "200 200 200 403 200 200")
  // A public object of another account: its own users have their account's access.
  assert.equal(await statuses("GET /bucket/theirs"), "200 403 200 200 200 200")
})

const ENFORCED =
  "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>"

test("a copy does not inherit the list of its source, and belongs to the account that makes it", async () => {
  await put("owner", "open", canned("public-read"))
  const from = (source: string): With => ({ headers: ["x-amz-copy-source", source] })
  await expect(200, "owner", "PUT /bucket/copy", from("/bucket/open"))
  assert.equal(await statuses("GET /bucket/copy"), "200 403 403 403 403 403")
  await expect(200, "stranger", "PUT /theirs")
  await expect(200, "stranger", "PUT /theirs/copy", from("/bucket/open"))
  await expect(403, "stranger", "PUT /theirs/copy", from("/bucket/private"))
  await writers(strangerAccount)
  await expect(200, "stranger", "PUT /bucket/again", from("/theirs/copy"))
  assert.equal(await statuses("GET /bucket/again"), "403 403 200 403 403 403")
})

test("each version has an owner and a list of its own", async () => {
  const versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
  await expect(200, "owner", "PUT /bucket?versioning", documented(versioning))
  const open = (await put("owner", "k", canned("public-read"))).headers.get("x-amz-version-id") ?? ""
  await writers(strangerAccount)
  const theirs = (await put("stranger", "k")).headers.get("x-amz-version-id") ?? ""
  assert.equal(await statuses("GET /bucket/k"), "403 403 200 403 403 403")
  assert.equal(await statuses(`GET /bucket/k?versionId=${open}`), "200 200 200 403 200 200")
  assert.deepEqual(owners((await expect(200, "owner", "GET /bucket?versions&prefix=k")).text), ["b", "a"])
  await expect(403, "stranger", `DELETE /bucket/k?versionId=${open}`)
  await expect(403, "third", `DELETE /bucket/k?versionId=${theirs}`)
  await expect(204, "stranger", `DELETE /bucket/k?versionId=${theirs}`)
  assert.equal(await statuses("GET /bucket/k"), "200 200 200 403 200 200")
})

test("the initiator of an upload is shown, sees its parts and may abort it; the object is the initiator's", async () => {
  await writers(strangerAccount, thirdAccount)
  const begin = async () =>
    /<UploadId>([^<]+)/.exec((await expect(200, "stranger", "POST /bucket/k?uploads")).text)?.[1] ?? ""
  const [dropped, kept] = [await begin(), await begin()]
  const { text } = await expect(200, "owner", "GET /bucket?uploads")
  assert.equal(text.match(/<Initiator><ID>b+<\/ID><DisplayName>stranger</g)?.length, 2)
  assert.deepEqual(owners(text), ["b", "b"])
  const parts = `/bucket/k?uploadId=${kept}`
  assert.equal(await statuses(`GET ${parts}`), "200 403 200 403 403 403")
  const shown = (await expect(200, "owner", `GET ${parts}`)).text
  assert.ok(shown.includes(`<Initiator><ID>${strangerAccount.id}`) && owners(shown)[0] === "b", shown)
  await expect(403, "third", `DELETE /bucket/k?uploadId=${dropped}`)
  await expect(204, "stranger", `DELETE /bucket/k?uploadId=${dropped}`)
  await expect(404, "owner", `DELETE /bucket/k?uploadId=${dropped}`)
  const etag = (await expect(200, "stranger", `PUT ${parts}&partNumber=1`, { body: "p" })).headers.get("ETag") ?? ""
  const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
  await expect(200, "stranger", `POST ${parts}`, { body })
  assert.equal(await statuses("GET /bucket/k"), "403 403 200 403 403 403")
})

test("a list grants access to an account, whose policies decide which of its users get it", async () => {
  await writers(strangerAccount)
  await put("stranger", "theirs")
  await expect(200, "willing", "GET /bucket/theirs")
  await expect(403, "unwilling", "GET /bucket/theirs")
  await put("owner", "mine", granting("full-control", id(ownerAccount)))
  await expect(403, "member", "GET /bucket/mine")
  await expect(403, "member", "PUT /bucket/mine?acl", canned("public-read"))
})

test("a new bucket grants no other account access, and refuses lists that would", async () => {
  await expect(200, "owner", "PUT /usual")
  await expect(200, "owner", "PUT /usual/k", { body: "k", ...canned("bucket-owner-full-control") })
  for (const line of ["GET /usual/k", "GET /usual/absent", "GET /usual", "GET /usual?acl", "DELETE /usual/k"]) {
    assert.deepEqual(await answers(line, "stranger", "nobody", "member"), { stranger: 403, nobody: 403, member: 403 })
  }
  for (const line of ["PUT /usual?acl", "PUT /usual/k?acl", "PUT /usual/n", "POST /usual/n?uploads"]) {
    const { text } = await expect(400, "owner", line, canned("public-read"))
    assert.match(text, /AccessControlListNotSupported.*rclone: acl = private/s)
    await expect(400, "owner", line, granting("read", id(strangerAccount)))
  }
  const made = (headers: readonly string[]) => people.send("owner", "PUT /made", { headers })
  assert.match((await made(["x-amz-acl", "public-read"])).text, /InvalidBucketAclWithObjectOwnership/)
  const writersOwn = ["x-amz-object-ownership", "ObjectWriter"]
  assert.match(
    (await made([...writersOwn, "x-amz-acl", "public-read"])).text,
    /InvalidBucketAclWithBlockPublicAccessError/,
  )
  const given = await made([...writersOwn, "x-amz-grant-read", id(strangerAccount)])
  assert.equal(given.status, 200)
  await expect(200, "stranger", "GET /made")
  await expect(403, "third", "GET /made")
})
