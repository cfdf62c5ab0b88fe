/** Forms that browsers send, over HTTP: the stored object, the answer, and the error code of each refusal. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { checksumBase64 } from "../../conformance/checksums.js"
import { Client } from "../../conformance/client.js"
import {
  fieldPart,
  filePart,
  FORM_BOUNDARY,
  FORM_END,
  formBody,
  post,
  signForm,
  signOldForm,
} from "../../conformance/forms.js"
import type { Fields, FormFile, Post } from "../../conformance/forms.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import type { RawResponse } from "../../conformance/raw-client.js"
import { text } from "../../conformance/xml.js"
import { OWNER, serveModel, STRANGER } from "./over-model.js"
import type { Key, Served } from "./over-model.js"

const BUCKET = "bucket"
let served: Served
let client: Client

const credentialsOf = ({ id, secret }: Key) => ({ accessKey: id, secretKey: secret })
const [OWNING, STRANGE] = [credentialsOf(OWNER), credentialsOf(STRANGER)]

before(async () => {
  served = await serveModel()
  client = new Client(parseEndpoint(served.endpoint), OWNING, "us-east-1")
  assert.equal((await client.call("PUT", { bucket: BUCKET })).status, 200)
})
after(() => served.stop())

/** A policy that matches every field exactly. */
const covering = (fields: Fields) => fields.map(([name]) => ["starts-with", `$${name}`, ""])

interface Sent extends Partial<Omit<Post, "body">> {
  readonly fields?: Fields
  readonly file?: FormFile
  readonly conditions?: readonly unknown[]
  readonly expiresMs?: number
  readonly signer?: typeof OWNING
}

const send = ({ fields = [], file = { bytes: "bytes" }, ...rest }: Sent): Promise<RawResponse> => {
  const { conditions = covering(fields), expiresMs, signer = OWNING, bucket = BUCKET } = rest
  const signed = signForm(signer, { bucket, conditions, ...(expiresMs !== undefined && { expiresMs }) })
  return post({ endpoint: served.endpoint, bucket, ...rest, body: formBody([...fields, ...signed], file) })
}

const sendBody = (body: Buffer | string, headers: Readonly<Record<string, string>> = {}): Promise<RawResponse> =>
  post({ endpoint: served.endpoint, bucket: BUCKET, body: Buffer.from(body), headers })

const read = (key: string) => client.call("GET", { bucket: BUCKET, key })

async function refused(
  answer: Promise<RawResponse>,
  status: number,
  code: string,
  message?: RegExp,
): Promise<RawResponse> {
  const response = await answer
  assert.equal(`${response.status} ${text(response.text, "Code")}`, `${status} ${code}`, response.text)
  if (message !== undefined) assert.match(text(response.text, "Message") ?? "", message)
  return response
}

async function assertAbsent(key: string): Promise<void> {
  assert.equal((await read(key)).status, 404, `${key} must not exist`)
}

test("a form is stored with its fields, and answered 204 with ETag and Location", async () => {
  const fields: Fields = [
    ["key", "a/b c"],
    ["Content-Type", "image/x-test"],
    ["Cache-Control", "max-age=1"],
    ["x-amz-meta-Note", "día"],
    ["acl", "bucket-owner-full-control"],
    ["tagging", "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"],
  ]
  const response = await send({ fields, file: { name: "x.txt", bytes: "hello" } })
  assert.equal(response.status, 204, response.text)
  assert.equal(response.header("etag"), `"${createHash("md5").update("hello").digest("hex")}"`)
  assert.equal(response.header("location"), `${served.endpoint}/${BUCKET}/a%2Fb%20c`)
  assert.equal(response.header("content-type"), undefined)
  const stored = await read("a/b c")
  assert.equal(stored.text, "hello")
  assert.equal(stored.header("content-type"), "image/x-test")
  assert.equal(stored.header("cache-control"), "max-age=1")
  assert.equal(stored.header("x-amz-meta-note"), "=?UTF-8?Q?d=C3=ADa?=")
  assert.equal(stored.header("x-amz-tagging-count"), "1")
})

test("a large file streams through, in pieces of any size, with boundaries inside", async () => {
  const line = `\r\n--${FORM_BOUNDARY.slice(0, -1)}\r\n--\n--${FORM_BOUNDARY}--\r`
  const bytes = Buffer.alloc(3 * 1024 * 1024, line)
  for (const pieceBytes of [bytes.length, 65_537, 4_099]) {
    const key = `large-${pieceBytes}`
    assert.equal((await send({ fields: [["key", key]], file: { bytes }, pieceBytes })).status, 204)
    assert.ok((await read(key)).body.equals(bytes), key)
  }
  assert.equal((await send({ fields: [["key", "empty"]], file: { bytes: "" } })).status, 204)
  assert.equal((await read("empty")).text, "")
})

test("success: 200, 201 with a document, 204 for anything else", async () => {
  const status = (value: string) =>
    send({
      fields: [
        ["key", `status-\${filename}`],
        ["success_action_status", value],
      ],
      file: { name: "dir/é", bytes: "x" },
    })
  const made = await status("201")
  assert.equal(made.status, 201)
  assert.equal(made.header("content-type"), "application/xml")
  const location = `${served.endpoint}/${BUCKET}/status-%C3%A9`
  assert.equal(made.header("location"), location)
  const etag = createHash("md5").update("x").digest("hex")
  assert.equal(
    made.text.split("\n")[1],
    `<PostResponse><Location>${location}</Location><Bucket>${BUCKET}</Bucket><Key>status-é</Key><ETag>&quot;${etag}&quot;</ETag></PostResponse>`,
  )
  assert.equal((await read("status-é")).text, "x")
  const plain = await status("200")
  assert.deepEqual([plain.status, plain.text], [200, ""])
  assert.equal((await status("404")).status, 204)
})

test("a redirect adds bucket, key and etag to its address; an unreadable address is ignored", async () => {
  const redirected = async (name: string, url: string): Promise<RawResponse> =>
    send({
      fields: [
        ["key", "re direct/é"],
        [name, url],
      ],
      file: { bytes: "x" },
    })
  const etag = createHash("md5").update("x").digest("hex")
  const stored = `bucket=${BUCKET}&key=re+direct%2F%C3%A9&etag=%22${etag}%22`
  const response = await redirected("success_action_redirect", "http://example.com/done?a=b c#top")
  assert.equal(response.status, 303)
  assert.equal(response.header("location"), `http://example.com/done?a=b%20c&${stored}#top`)
  assert.equal(
    (await redirected("redirect", "https://example.com")).header("location"),
    `https://example.com/?${stored}`,
  )
  for (const none of ["/relative", "javascript:alert(1)", "http://", "x"]) {
    assert.equal((await redirected("success_action_redirect", none)).status, 204, none)
  }
  const split = await redirected("success_action_redirect", "http://example.com/\r\nSet-Cookie: a=b")
  assert.equal(split.header("set-cookie"), undefined)
})

test("the file's name: without folders, empty if it is empty, unchanged if there is none", async () => {
  const named = async (file: FormFile, key: string): Promise<void> => {
    assert.equal((await send({ fields: [["key", `u/\${filename}`]], file })).status, 204)
    assert.equal((await read(key)).status, 200, key)
  }
  await named({ name: "C:\\\\dir\\\\ä 🎉.txt", bytes: "" }, "u/ä 🎉.txt")
  await named({ name: "$&$1", bytes: "" }, "u/$&$1")
  await named({ name: "", bytes: "" }, "u/")
  await named({ bytes: "" }, `u/\${filename}`)
})

test("checksums and MD5 of the file are verified", async () => {
  const md5 = (bytes: string) => createHash("md5").update(bytes).digest("base64")
  const sha256 = (bytes: string) => createHash("sha256").update(bytes).digest("base64")
  assert.equal(
    (
      await send({
        fields: [
          ["key", "sum"],
          ["Content-MD5", md5("bytes")],
        ],
      })
    ).status,
    204,
  )
  const kept = await send({
    fields: [
      ["key", "sum"],
      ["x-amz-checksum-sha256", sha256("bytes")],
    ],
  })
  assert.equal(kept.header("x-amz-checksum-sha256"), sha256("bytes"))
  const byDefault = await send({ fields: [["key", "default"]] })
  assert.equal(byDefault.header("x-amz-checksum-crc64nvme"), checksumBase64("CRC64NVME", Buffer.from("bytes")))
  await refused(
    send({
      fields: [
        ["key", "bad"],
        ["Content-MD5", md5("other")],
      ],
    }),
    400,
    "BadDigest",
  )
  await refused(
    send({
      fields: [
        ["key", "bad"],
        ["x-amz-checksum-sha256", sha256("other")],
      ],
    }),
    400,
    "BadDigest",
  )
  await refused(
    send({
      fields: [
        ["key", "bad"],
        ["x-amz-checksum-crc32", "sailorjerry"],
      ],
    }),
    400,
    "InvalidRequest",
  )
  await refused(
    send({
      fields: [
        ["key", "bad"],
        ["x-amz-checksum-algorithm", "CRC32"],
      ],
    }),
    400,
    "InvalidRequest",
  )
  await assertAbsent("bad")
})

test("a form that its policy forbids is refused, and nothing is stored", async () => {
  const key: Fields = [["key", "forbidden"]]
  await refused(send({ fields: key, expiresMs: Date.now() - 1_000 }), 403, "AccessDenied", /: Policy expired\.$/)
  await refused(
    send({ fields: key, conditions: [["starts-with", "$key", "user/"]] }),
    403,
    "AccessDenied",
    /^Invalid according to Policy: Policy Condition failed: \["starts-with", "\$key", "user\/"\]$/,
  )
  await refused(
    send({ fields: [...key, ["x-amz-meta-a", "b"]], conditions: [{ key: "forbidden" }] }),
    403,
    "AccessDenied",
    /Extra input fields: x-amz-meta-a$/,
  )
  await refused(send({ fields: key, conditions: [{}] }), 400, "InvalidPolicyDocument")
  assert.equal((await client.call("PUT", { bucket: "other-bucket" })).status, 200)
  const signed = signForm(OWNING, { bucket: BUCKET, conditions: covering(key) })
  const elsewhere = {
    endpoint: served.endpoint,
    bucket: "other-bucket",
    body: formBody([...key, ...signed], { bytes: "x" }),
  }
  await refused(post(elsewhere), 403, "AccessDenied", /\["eq", "\$bucket", "bucket"\]/)
  await refused(
    post({ ...elsewhere, body: formBody([["bucket", BUCKET], ...key, ...signed], { bytes: "x" }) }),
    403,
    "AccessDenied",
  )
  await assertAbsent("forbidden")
  // The policy applies to the expanded key.
  const named = await send({
    fields: [["key", `\${filename}`]],
    file: { name: "user/a", bytes: "x" },
    conditions: [["eq", "$key", "a"]],
  })
  assert.equal(named.status, 204)
})

test("both limits of a policy's size range are exact", async () => {
  const sized = (bytes: string) =>
    send({
      fields: [["key", "sized"]],
      file: { bytes },
      conditions: [{ key: "sized" }, ["content-length-range", 5, 10]],
    })
  const large = await refused(sized("x".repeat(11)), 400, "EntityTooLarge")
  assert.equal(text(large.text, "MaxSizeAllowed"), "10")
  const small = await refused(sized("x".repeat(4)), 400, "EntityTooSmall")
  assert.deepEqual([text(small.text, "ProposedSize"), text(small.text, "MinSizeAllowed")], ["4", "5"])
  await assertAbsent("sized")
  assert.equal((await sized("x".repeat(5))).status, 204)
  assert.equal((await sized("x".repeat(10))).status, 204)
  const unbounded = "x".repeat(6 * 1024 * 1024)
  await refused(sized(unbounded), 400, "EntityTooLarge")
})

test("an unsigned, wrongly signed or foreign form gets nothing", async () => {
  const key: Fields = [["key", "secret"]]
  await refused(sendBody(formBody(key, { bytes: "x" })), 403, "AccessDenied")
  const gone = { endpoint: served.endpoint, bucket: "no-such-bucket", body: formBody(key, { bytes: "x" }) }
  await refused(post(gone), 404, "NoSuchBucket")
  await refused(send({ fields: key, signer: STRANGE }), 403, "AccessDenied")
  await refused(
    send({ fields: key, signer: { ...OWNING, accessKey: "AKIANOBODYNOBODYNOBO" } }),
    403,
    "InvalidAccessKeyId",
  )
  const wrong = await refused(
    send({ fields: key, signer: { ...OWNING, secretKey: "wrong" } }),
    403,
    "SignatureDoesNotMatch",
  )
  assert.ok(text(wrong.text, "StringToSign"))
  await refused(send({ fields: [...key, ["x-amz-security-token", "token"]] }), 400, "InvalidToken")
  const unsigned = signForm(OWNING, { bucket: BUCKET }).filter(([name]) => name !== "x-amz-signature")
  await refused(sendBody(formBody([...key, ...unsigned], { bytes: "x" })), 400, "InvalidArgument", /'x-amz-signature'/)
  await assertAbsent("secret")
})

test("no byte of the file is read before the signature is verified", async () => {
  // The file never arrives; only a refused request gets an answer.
  const signed = signForm({ ...OWNING, secretKey: "wrong" }, { bucket: BUCKET, conditions: [{ key: "k" }] })
  const fields = [["key", "k"] as const, ...signed].map(([name, value]) => fieldPart(name, value)).join("")
  const head = filePart({ bytes: "" }).subarray(0, -2)
  const body = Buffer.concat([Buffer.from(fields), head])
  await refused(sendBody(body, { "Content-Length": String(1024 * 1024 * 1024) }), 403, "SignatureDoesNotMatch")
})

test("forms signed with version 2: accepted, and refused by name if the operator disables them", async () => {
  const key: Fields = [["key", "old"]]
  const body = formBody([...key, ...signOldForm(OWNING, { bucket: BUCKET, conditions: covering(key) })], {
    bytes: "old",
  })
  const answer = await sendBody(body)
  assert.equal(answer.status, 204, answer.text)
  assert.equal((await client.call("GET", { bucket: BUCKET, key: "old" })).text, "old")
  const wrong = formBody([...key, ...signOldForm({ ...OWNING, secretKey: "wrong" }, { bucket: BUCKET })], {
    bytes: "x",
  })
  await refused(sendBody(wrong), 403, "SignatureDoesNotMatch")
  const refusing = await serveModel({ refuseSignatureV2: true })
  try {
    const sent = post({ endpoint: refusing.endpoint, bucket: BUCKET, body })
    await refused(sent, 400, "InvalidRequest", /AWS4-HMAC-SHA256/)
  } finally {
    await refusing.stop()
  }
})

test("a malformed form returns an error, and nothing is stored", async () => {
  const key: Fields = [["key", "odd"]]
  const signed = signForm(OWNING, { bucket: BUCKET, conditions: covering(key) })
  const fields = [...key, ...signed].map(([name, value]) => fieldPart(name, value)).join("")
  const file = filePart({ bytes: "bytes" }).toString()
  const malformed = (body: string) => refused(sendBody(body), 400, "MalformedPOSTRequest")
  await malformed(fields + file)
  await malformed(fields + file + FORM_END.slice(0, -4))
  await malformed((fields + file + FORM_END).replaceAll("\r\n", "\n"))
  await malformed(fields + file.replace("text/plain", "text/plain\r\nContent-Transfer-Encoding: base64") + FORM_END)
  await malformed(
    fields + Array.from({ length: 100 }, (_, at) => fieldPart(`x-ignore-${at}`, "")).join("") + file + FORM_END,
  )
  const large = await refused(
    sendBody(`${"preamble".repeat(4_000)}\r\n${fields}${file}${FORM_END}`),
    400,
    "MaxPostPreDataLengthExceeded",
  )
  assert.equal(text(large.text, "MaxPostPreDataLengthBytes"), "20480")
  await refused(
    sendBody(fields + fieldPart("x-ignore-a", "x".repeat(20_480)) + file + FORM_END),
    400,
    "MaxPostPreDataLengthExceeded",
  )
  await refused(
    sendBody(fields + file + fieldPart("after", "x".repeat(20_480)) + FORM_END),
    400,
    "MaxPostPreDataLengthExceeded",
  )
  await refused(sendBody(fields + file + file + FORM_END), 400, "InvalidArgument", /exactly one file/)
  await refused(sendBody(fields + FORM_END), 400, "InvalidArgument", /exactly one file/)
  await refused(sendBody(file + fields + FORM_END), 403, "AccessDenied")
  await refused(sendBody(fields.replace('name="key"', 'name="x-ignore-key"') + file + FORM_END), 403, "AccessDenied")
  await refused(send({ conditions: [] }), 400, "InvalidArgument", /'key'/)
  await refused(sendBody("", { "Content-Type": "multipart/form-data" }), 400, "MalformedPOSTRequest")
  await assertAbsent("odd")
  assert.equal(
    (await sendBody(`preamble\r\n${fields}${file}${fieldPart("submit", "go")}${FORM_END}epilogue`)).status,
    204,
  )
})

test("a body that is not a form, and a form signed in its header, are refused after their signature is checked", async () => {
  const plain = await client.call("POST", { bucket: BUCKET, body: "a=b", headers: { "Content-Type": "text/html" } })
  await refused(Promise.resolve(plain), 412, "PreconditionFailed")
  assert.equal(text(plain.text, "Condition"), "Bucket POST must be of the enclosure-type multipart/form-data")
  const type = { "Content-Type": `multipart/form-data; boundary=${FORM_BOUNDARY}` }
  const signed = signForm(OWNING, { bucket: BUCKET, conditions: [{ key: "head" }] })
  const call = { bucket: BUCKET, body: formBody([["key", "head"], ...signed], { bytes: "x" }), headers: type }
  await refused(client.call("POST", call), 400, "InvalidRequest")
  const wrong = { ...OWNING, secretKey: "wrong" }
  await refused(client.call("POST", { ...call, credentials: wrong }), 403, "SignatureDoesNotMatch")
  await assertAbsent("head")
})

test("fields of the same name are joined by commas; names are compared without case", async () => {
  const fields: Fields = [
    ["KEY", "joined"],
    ["x-amz-meta-tag", "Ninja"],
    ["X-Amz-Meta-Tag", "Stallman"],
  ]
  const conditions = [{ key: "joined" }, { "x-amz-meta-tag": "Ninja,Stallman" }]
  assert.equal((await send({ fields, conditions })).status, 204)
  assert.equal((await read("joined")).header("x-amz-meta-tag"), "Ninja,Stallman")
  // A second key does not bypass the policy.
  await refused(
    send({
      fields: [
        ["key", "a"],
        ["Key", "b"],
      ],
      conditions: [{ key: "a" }],
    }),
    403,
    "AccessDenied",
  )
})

test("fields that request unsupported features are refused by name", async () => {
  const asks = (name: string, value: string) =>
    send({
      fields: [
        ["key", "asks"],
        [name, value],
      ],
    })
  await refused(asks("acl", "public-read"), 400, "AccessControlListNotSupported")
  await refused(asks("x-amz-grant-read", "id=a"), 400, "AccessControlListNotSupported")
  await refused(asks("x-amz-storage-class", "SNOW"), 400, "InvalidStorageClass")
  await refused(asks("x-amz-server-side-encryption", "aws:kms:dsse"), 501, "NotImplemented")
  await refused(asks("x-amz-website-redirect-location", "x"), 400, "InvalidRedirectLocation")
  await refused(asks("x-amz-copy-source", "/bucket/key"), 501, "NotImplemented")
  await refused(asks("x-amz-tagging", "a=b"), 501, "NotImplemented")
  await refused(asks("tagging", "not xml"), 400, "MalformedXML")
  await refused(asks("tagging", "<Other/>"), 400, "MalformedXML")
  await refused(asks("x-amz-meta-a", "line\r\nbreak"), 400, "InvalidArgument")
  await refused(asks("x-amz-meta-a b", "x"), 400, "InvalidArgument")
  await refused(asks("x-amz-meta-a", "x".repeat(2_100)), 400, "MetadataTooLarge")
  await refused(send({ fields: [["key", "x".repeat(1_025)]] }), 400, "KeyTooLongError")
  await assertAbsent("asks")
})

test("conditions of the request hold for forms too", async () => {
  const once = () => send({ fields: [["key", "once"]], headers: { "If-None-Match": "*" } })
  assert.equal((await once()).status, 204)
  await refused(once(), 412, "PreconditionFailed")
})

test("a form announces when its object expires, by the tags that it carries", async () => {
  const bucket = "expiring"
  const body =
    "<LifecycleConfiguration><Rule><ID>r</ID><Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
  const headers = { "Content-MD5": createHash("md5").update(body).digest("base64") }
  assert.equal((await client.call("PUT", { bucket })).status, 200)
  assert.equal((await client.call("PUT", { bucket, query: "lifecycle", body, headers })).status, 200)
  const tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
  const tagged = await send({
    bucket,
    fields: [
      ["key", "k"],
      ["tagging", tagging],
    ],
  })
  assert.match(tagged.header("x-amz-expiration") ?? "", /^expiry-date="[A-Z][^"]+ 00:00:00 GMT", rule-id="r"$/)
  const head = await client.call("HEAD", { bucket, key: "k" })
  assert.equal(head.header("x-amz-expiration"), tagged.header("x-amz-expiration"))
  assert.equal((await send({ bucket, fields: [["key", "plain"]] })).header("x-amz-expiration"), undefined)
})

test("a form locks the object that it stores, if it carries a digest of the file", async () => {
  const bucket = "locked"
  const headers = { "x-amz-bucket-object-lock-enabled": "true" }
  assert.equal((await client.call("PUT", { bucket, headers })).status, 200)
  const asked: Fields = [
    ["key", "k"],
    ["x-amz-object-lock-mode", "GOVERNANCE"],
    ["x-amz-object-lock-retain-until-date", "2140-01-01T00:00:00Z"],
    ["x-amz-object-lock-legal-hold", "ON"],
  ]
  const digest = ["Content-MD5", createHash("md5").update("bytes").digest("base64")] as const
  await refused(send({ bucket, fields: asked }), 400, "InvalidRequest", /Content-MD5 OR x-amz-checksum-/)
  const stored = await send({ bucket, fields: [...asked, digest] })
  assert.equal(stored.status, 204, stored.text)
  const head = await client.call("HEAD", { bucket, key: "k" })
  assert.equal(head.header("x-amz-object-lock-mode"), "GOVERNANCE")
  assert.equal(head.header("x-amz-object-lock-retain-until-date"), "2140-01-01T00:00:00.000Z")
  assert.equal(head.header("x-amz-object-lock-legal-hold"), "ON")
  await refused(send({ fields: [...asked, digest] }), 400, "InvalidRequest", /missing ObjectLockConfiguration/)
  await refused(send({ bucket, fields: [...asked.slice(0, 2), digest] }), 400, "InvalidArgument", /both be supplied/)
})
