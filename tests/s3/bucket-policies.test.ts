/**
 * Bucket policies: which callers of other accounts and which anonymous callers get access; which settings block
 * public access; and that answers reveal nothing about the data of others.
 */
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { NO_POLICIES } from "@hayloft/access/index.js"
import { OPERATIONS } from "@hayloft/protocols/s3/operations.js"
import { handleModel, ownerAccount, rootKeyOf, strangerAccount, userKeyOf } from "./over-model.js"
import { allow, deny, documented, keyOf, People, policyOf, to } from "./people.js"

const BUCKET = "arn:aws:s3:::bucket"
const IN_BUCKET = "arn:aws:s3:::bucket/*"
const OPEN = "arn:aws:s3:::bucket/open/*"
const STRANGER_ROOT = { AWS: `arn:aws:iam::${strangerAccount.number}:root` }
const everything = policyOf(allow("s3:*", "*"))

const { handler } = handleModel({
  keys: [
    userKeyOf(keyOf("willing"), "willing", [everything], {}, strangerAccount),
    userKeyOf(keyOf("unwilling"), "unwilling", [], {}, strangerAccount),
    userKeyOf(keyOf("member"), "member", []),
    userKeyOf(keyOf("barred"), "barred", [everything]),
  ],
})
const people = new People(handler)
const expect = people.expect.bind(people)

const BLOCK = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
const blockOf = (on: readonly string[]): string =>
  `<PublicAccessBlockConfiguration>${BLOCK.map(name => `<${name}>${on.includes(name) ? "true" : "false"}</${name}>`).join("")}</PublicAccessBlockConfiguration>`

const put = (policy: string, status = 204) => expect(status, "owner", "PUT /bucket?policy", { body: policy })
const block = (...on: string[]) => expect(200, "owner", "PUT /bucket?publicAccessBlock", documented(blockOf(on)))

before(async () => {
  await expect(200, "owner", "PUT /bucket")
  await expect(200, "stranger", "PUT /theirs")
  await expect(200, "owner", "PUT /bucket/open/a", { body: "a" })
  await expect(200, "owner", "PUT /bucket/secret", { body: "s" })
  await expect(200, "stranger", "PUT /theirs/key", { body: "t" })
})

test("a policy is returned as it was put, and can be deleted", async () => {
  await expect(404, "owner", "GET /bucket?policy")
  const text = policyOf(to(STRANGER_ROOT, allow("s3:GetObject", OPEN)))
  await put(text)
  const shown = await expect(200, "owner", "GET /bucket?policy")
  assert.equal(shown.text, text)
  assert.equal(shown.headers.get("Content-Type"), "application/json")
  assert.match((await expect(200, "owner", "GET /bucket?policyStatus")).text, /<IsPublic>false</)
  await expect(204, "owner", "DELETE /bucket?policy")
  const { text: missing } = await expect(404, "owner", "GET /bucket?policy")
  assert.match(missing, /NoSuchBucketPolicy/)
  assert.match((await expect(404, "owner", "GET /bucket?policyStatus")).text, /NoSuchBucketPolicy/)
  await expect(403, "stranger", "GET /bucket/open/a")
})

test("an invalid policy is refused with the place of the error, and the previous one stays", async () => {
  await put(policyOf(to("*", deny("s3:GetObject", IN_BUCKET))))
  for (const bad of [
    "",
    "{}",
    policyOf(allow("s3:GetObject", IN_BUCKET)),
    policyOf(to("*", allow("s3:Nonsense", IN_BUCKET))),
    policyOf(to("*", allow("s3:GetObject", "arn:aws:s3:::other/*"))),
    policyOf(to("*", allow("s3:GetObject", BUCKET))),
    policyOf(to("*", allow("s3:GetObject", IN_BUCKET, { StringEquals: { "s3:nonsense": "x" } }))),
  ]) {
    const { text } = await put(bad, 400)
    assert.match(text, /<Code>MalformedPolicy<\/Code>.*<Detail>/)
  }
  await expect(403, "owner", "GET /bucket/open/a")
  await expect(204, "owner", "DELETE /bucket?policy")
})

test("every principal that a policy names must exist", async () => {
  const own = ownerAccount.number
  const read = allow("s3:GetObject", IN_BUCKET)
  for (const principal of [
    { AWS: `arn:aws:iam::${own}:user/nobody` },
    { AWS: [`arn:aws:iam::${own}:user/member`, `arn:aws:iam::${own}:role/none`] },
    { AWS: "arn:aws:iam::000000000000:root" },
    { AWS: "000000000000" },
    { CanonicalUser: "c".repeat(64) },
  ]) {
    const { text } = await put(policyOf(to("*", deny("s3:GetObject", OPEN)), to(principal, read)), 400)
    assert.match(text, /MalformedPolicy<.*Invalid principal in policy<.*\$\.Statement\[1\]\.Principal</)
  }
  const not = {
    Effect: "Deny",
    NotPrincipal: { AWS: `arn:aws:iam::${own}:user/nobody` },
    Action: "s3:*",
    Resource: OPEN,
  }
  assert.match((await put(policyOf(not), 400)).text, /\$\.Statement\[0\]\.NotPrincipal</)
  await expect(404, "owner", "GET /bucket?policy")
  for (const principal of [
    "*",
    { AWS: own },
    { AWS: `arn:aws:iam::${own}:user/member` },
    { CanonicalUser: ownerAccount.id },
  ]) {
    await put(policyOf(to(principal, deny("s3:GetObject", OPEN))))
  }
  await expect(204, "owner", "DELETE /bucket?policy")
})

test("another account gets access only if both sides allow it", async () => {
  await put(policyOf(to(STRANGER_ROOT, allow(["s3:GetObject", "s3:PutObject"], OPEN))))
  await expect(200, "stranger", "GET /bucket/open/a")
  await expect(200, "willing", "GET /bucket/open/a")
  await expect(403, "unwilling", "GET /bucket/open/a")
  await expect(403, "member", "GET /bucket/open/a")
  await expect(403, "nobody", "GET /bucket/open/a")
  for (const line of [
    "GET /bucket/secret",
    "GET /bucket/open/absent",
    "GET /bucket",
    "HEAD /bucket",
    "GET /bucket?policy",
    "PUT /bucket?policy",
    "DELETE /bucket/open/a",
    "DELETE /bucket",
    "GET /bucket/open/a?tagging",
    "GET /bucket?uploads",
  ]) {
    await expect(403, "stranger", line)
  }
  await expect(200, "stranger", "PUT /bucket/open/b", { body: "b" })
  const { text } = await expect(200, "owner", "GET /bucket?prefix=open/b")
  assert.ok(text.includes(ownerAccount.id) && !text.includes(strangerAccount.id), text)
  const copy = (source: string) => ({ headers: ["x-amz-copy-source", source] })
  await expect(200, "stranger", "PUT /theirs/copy", copy("/bucket/open/a"))
  await expect(403, "stranger", "PUT /theirs/copy", copy("/bucket/secret"))
  await expect(403, "stranger", "PUT /theirs/copy", copy("/bucket/open/absent"))
  await expect(403, "owner", "PUT /bucket/copy", copy("/theirs/key"))
  const { text: list } = await expect(200, "stranger", "GET /")
  assert.ok(!list.includes("<Name>bucket</Name>") && list.includes("<Name>theirs</Name>"))
})

test("only the owner's account may read or change the policy, whatever the policy states", async () => {
  await put(policyOf(to(STRANGER_ROOT, allow("s3:*", [BUCKET, IN_BUCKET]))))
  await expect(200, "willing", "GET /bucket?acl")
  for (const name of ["stranger", "willing"]) {
    for (const method of ["GET", "PUT", "DELETE"]) await expect(403, name, `${method} /bucket?policy`)
  }
  await expect(204, "owner", "DELETE /bucket?policy")
})

test("a user of the owner's account needs an Allow on one side, and no Deny on either", async () => {
  const { arn } = userKeyOf(keyOf("member"), "member", []).principal
  const barred = userKeyOf(keyOf("barred"), "barred", []).principal.arn
  await put(policyOf(to({ AWS: arn }, allow("s3:GetObject", OPEN)), to({ AWS: barred }, deny("s3:GetObject", OPEN))))
  await expect(200, "member", "GET /bucket/open/a")
  await expect(403, "member", "GET /bucket/secret")
  await expect(403, "barred", "GET /bucket/open/a")
  await expect(200, "barred", "GET /bucket/secret")
})

test("the owner can close the bucket for everybody, but not the policy itself", async () => {
  await put(policyOf(to("*", deny("s3:*", [BUCKET, IN_BUCKET]))))
  await expect(403, "owner", "GET /bucket/open/a")
  await expect(403, "owner", "GET /bucket")
  await expect(403, "barred", "DELETE /bucket?policy")
  await expect(200, "owner", "GET /bucket?policy")
  await expect(204, "owner", "DELETE /bucket?policy")
  await expect(200, "owner", "GET /bucket/open/a")
})

test("the public gets access only if no block forbids the policy or its effect", async () => {
  const open = policyOf(to("*", allow("s3:GetObject", OPEN)))
  const { text } = await put(open, 403)
  assert.match(text, /BlockPublicPolicy/)
  await expect(404, "owner", "GET /bucket?policy")
  await block()
  await put(open)
  assert.match((await expect(200, "owner", "GET /bucket?policyStatus")).text, /<IsPublic>true</)
  await expect(200, "nobody", "GET /bucket/open/a")
  await expect(200, "nobody", "HEAD /bucket/open/a")
  await expect(200, "stranger", "GET /bucket/open/a")
  await expect(403, "unwilling", "GET /bucket/open/a")
  const overriding = await expect(400, "nobody", "GET /bucket/open/a?response-content-type=text/html")
  assert.match(overriding.text, /anonymous/)
  for (const line of [
    "GET /",
    "GET /bucket/secret",
    "GET /bucket/open/absent",
    "GET /bucket",
    "PUT /bucket/open/a",
    "GET /theirs/key",
  ]) {
    await expect(403, "nobody", line)
  }
  await expect(404, "nobody", "PUT /new")
  // A request with a wrong signature is not anonymous.
  const wrong = { headers: ["authorization", "AWS4-HMAC-SHA256 Credential=x"] }
  assert.ok((await people.send("nobody", "GET /bucket/open/a", wrong)).status >= 400)
  await expect(403, "wrongly", "GET /bucket/open/a")
  await block("RestrictPublicBuckets")
  await expect(403, "nobody", "GET /bucket/open/a")
  await expect(403, "stranger", "GET /bucket/open/a")
  await expect(200, "member", "GET /bucket/open/a")
  await block()
  await expect(200, "nobody", "GET /bucket/open/a")
  await expect(204, "owner", "DELETE /bucket?policy")
  await expect(403, "nobody", "GET /bucket/open/a")
})

test("a policy can admit a web page by its referer: conditions also apply to the public", async () => {
  await put(policyOf(to("*", allow("s3:GetObject", OPEN, { StringLike: { "aws:Referer": "https://ours.example/*" } }))))
  await expect(200, "nobody", "GET /bucket/open/a", { headers: ["referer", "https://ours.example/page"] })
  await expect(403, "nobody", "GET /bucket/open/a", { headers: ["referer", "https://others.example/"] })
  await expect(403, "nobody", "GET /bucket/open/a")
})

test("an unsigned request matches no condition on the type or version of a signature", async () => {
  const terms = { StringEquals: { "s3:authType": "REST-HEADER", "s3:signatureversion": "AWS4-HMAC-SHA256" } }
  await put(policyOf(to("*", allow("s3:GetObject", OPEN, terms))))
  await expect(200, "stranger", "GET /bucket/open/a")
  await expect(403, "nobody", "GET /bucket/open/a")
})

test("in a requester-pays bucket other accounts must acknowledge it, also for a copy's source", async () => {
  await put(policyOf(to(STRANGER_ROOT, allow("s3:GetObject", OPEN))))
  const payer = "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>"
  await expect(200, "owner", "PUT /bucket?requestPayment", documented(payer))
  await expect(403, "stranger", "GET /bucket/open/a")
  const pays = ["x-amz-request-payer", "requester"]
  const { headers } = await expect(200, "stranger", "GET /bucket/open/a", { headers: pays })
  assert.equal(headers.get("x-amz-request-charged"), "requester")
  const source = ["x-amz-copy-source", "/bucket/open/a"]
  await expect(403, "stranger", "PUT /theirs/copy", { headers: source })
  const copied = await expect(200, "stranger", "PUT /theirs/copy", { headers: [...source, ...pays] })
  assert.equal(copied.headers.get("x-amz-request-charged"), "requester")
  await expect(200, "owner", "GET /bucket/open/a")
})

test("the expected bucket owner is given by account number or canonical id", async () => {
  for (const [owner, status] of [
    [ownerAccount.number, 200],
    [ownerAccount.id, 200],
    [strangerAccount.number, 403],
  ] as const) {
    await expect(status, "owner", "GET /bucket/open/a", { headers: ["x-amz-expected-bucket-owner", owner] })
  }
})

test("an anonymous form is stored only where the public may write", async () => {
  await block()
  const form = (key: string) => {
    const part = (name: string, value: string) =>
      `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
    const body = `${part("key", key)}--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nsent\r\n--x--\r\n`
    return { body, headers: ["content-type", "multipart/form-data; boundary=x"] }
  }
  await expect(204, "owner", "DELETE /bucket?policy")
  const billed = "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>"
  await expect(200, "owner", "PUT /bucket?requestPayment", documented(billed))
  await expect(403, "nobody", "POST /bucket", form("drop/a"))
  await put(policyOf(to("*", allow("s3:PutObject", "arn:aws:s3:::bucket/drop/*"))))
  await expect(204, "nobody", "POST /bucket", form("drop/a"))
  await expect(403, "nobody", "POST /bucket", form("secret"))
  const { text } = await expect(200, "owner", "GET /bucket?prefix=secret")
  assert.match(text, /<Size>1</)
})

test("a policy that grants a stranger nothing changes no answer to the stranger", async () => {
  await put(policyOf(to(STRANGER_ROOT, allow("s3:GetObject", "arn:aws:s3:::bucket/none"))))
  const places = { service: "", bucket: "/bucket", object: "/bucket/secret" } as const
  for (const { answer, resource, method, when, name } of OPERATIONS) {
    if (["alias", "preflight", "refused", "service", "including", "newBucket", "form"].includes(answer.kind)) continue
    if (name === "DeleteObjects") continue
    const values = when.map(one => (one === "partNumber" ? "partNumber=1" : one)).join("&")
    await expect(403, "stranger", `${method} ${places[resource]}${values === "" ? "" : `?${values}`}`)
    await expect(403, "nobody", `${method} ${places[resource]}${values === "" ? "" : `?${values}`}`)
  }
})

test("a limited key of the owner's root cannot pass its limits by the bucket's policy", async () => {
  const limited = {
    ...rootKeyOf(userKeyOf(keyOf("limitedroot"), "x", []).id, keyOf("limitedroot").secret, ownerAccount),
    policies: { ...NO_POLICIES, session: [] },
    isWholeRoot: false,
  }
  const own = handleModel({ keys: [limited] })
  const others = new People(own.handler)
  await others.expect(200, "owner", "PUT /bucket")
  await others.expect(403, "limitedroot", "GET /bucket?policy")
  await others.expect(403, "limitedroot", "DELETE /bucket?policy")
})
