/** The first requests of applications that use MinIO, as their clients send them. */
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import type { Client } from "../../conformance/client.js"
import type { RawResponse } from "../../conformance/raw-client.js"
import { md5Base64 } from "../../conformance/checksums.js"
import { amzDate, deriveSigningKey } from "../../conformance/sign-v4.js"
import { REGION } from "../harness/server.js"
import type { Use } from "./public-projects.js"

type Work = (client: Client, bucket: string) => Promise<void>

async function ok(answer: Promise<RawResponse>, status = 200): Promise<RawResponse> {
  const found = await answer
  assert.equal(found.status, status, found.text)
  return found
}

const tagIn = (text: string, tag: string): string => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(text)?.[1] ?? ""
const keysIn = (text: string): readonly string[] => [...text.matchAll(/<Key>([^<]+)</g)].map(([, key]) => key ?? "")
const bodyOf = (parts: readonly string[]): string =>
  `<CompleteMultipartUpload>${parts.map((etag, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>${etag}</ETag></Part>`).join("")}</CompleteMultipartUpload>`

export const publicReadPolicy = (bucket: string, prefix = ""): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Principal: { AWS: ["*"] },
        Action: ["s3:GetBucketLocation", "s3:ListBucket"],
        Resource: [`arn:aws:s3:::${bucket}`],
      },
      {
        Effect: "Allow",
        Principal: { AWS: ["*"] },
        Action: ["s3:GetObject"],
        Resource: [`arn:aws:s3:::${bucket}/${prefix}*`],
      },
    ],
  })

/** The object ends with a part that is copied from another object, as registries do it. */
async function upload(client: Client, bucket: string, isCopied: boolean): Promise<void> {
  const object = { bucket, key: "parts/large.bin" }
  await ok(client.call("PUT", { bucket, key: "parts/small", body: "small" }))
  const id = tagIn((await ok(client.call("POST", { ...object, query: "uploads=" }))).text, "UploadId")
  const part = { ...object, query: `partNumber=1&uploadId=${id}` }
  const headers = isCopied ? { "x-amz-copy-source": `/${bucket}/parts/small` } : {}
  const put = await ok(client.call("PUT", { ...part, headers, ...(isCopied ? {} : { body: "small" }) }))
  const etag = isCopied ? tagIn(put.text, "ETag").replaceAll("&quot;", '"') : (put.header("etag") ?? "")
  assert.match((await ok(client.call("GET", { ...object, query: `uploadId=${id}` }))).text, /<PartNumber>1</)
  await ok(client.call("POST", { ...object, query: `uploadId=${id}`, body: bodyOf([etag]) }))
  assert.equal((await ok(client.call("GET", object))).text, "small")
}

/** A form as SDKs make it (presigned POST); `acl` is one of its fields where applications say that files are public. */
function formOf({ credentials: { accessKey, secretKey } }: Client, bucket: string, key: string) {
  const nowMs = Date.now()
  const date = amzDate(nowMs)
  const day = date.slice(0, 8)
  const fields = {
    key,
    acl: "public-read",
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-credential": `${accessKey}/${day}/${REGION}/s3/aws4_request`,
    "x-amz-date": date,
  }
  const conditions = [
    { bucket },
    ...Object.entries(fields).map(([name, value]) => ({ [name]: value })),
    ["content-length-range", 0, 1_000],
  ]
  const policy = Buffer.from(
    JSON.stringify({ expiration: new Date(nowMs + 600_000).toISOString(), conditions }),
  ).toString("base64")
  const signature = createHmac("sha256", deriveSigningKey(secretKey, day, REGION, "s3"))
    .update(policy)
    .digest("hex")
  const all = { ...fields, policy, "x-amz-signature": signature }
  const parts = Object.entries(all).map(
    ([name, value]) => `--edge\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  )
  return `${parts.join("")}--edge\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nfrom a form\r\n--edge--\r\n`
}

const IDENTITY = "Action=GetCallerIdentity&Version=2011-06-15"

export const USES: Readonly<Record<Use, Work>> = {
  async creates(client, bucket) {
    assert.equal((await client.call("HEAD", { bucket })).status, 404)
    await ok(client.call("PUT", { bucket }))
    // Replicas that start together all make it.
    await ok(client.call("PUT", { bucket }))
    await ok(client.call("HEAD", { bucket }))
    assert.match((await ok(client.call("GET", { bucket, query: "location=" }))).text, /LocationConstraint/)
  },
  async stores(client, bucket) {
    const object = { bucket, key: "stored/äöü and spaces.txt" }
    const headers = { "content-type": "text/plain", "x-amz-meta-owner": "me", "x-amz-tagging": "kind=first" }
    await ok(client.call("PUT", { ...object, headers, body: "0123456789" }))
    const head = await ok(client.call("HEAD", object))
    assert.deepEqual(
      ["content-type", "x-amz-meta-owner", "content-length"].map(name => head.header(name)),
      ["text/plain", "me", "10"],
    )
    assert.equal((await ok(client.call("GET", { ...object, headers: { range: "bytes=2-4" } }), 206)).text, "234")
    await ok(client.call("DELETE", object), 204)
    await ok(client.call("DELETE", object), 204)
    await ok(client.call("GET", object), 404)
  },
  async lists(client, bucket) {
    for (const key of ["listed/a/1", "listed/a/2", "listed/b"]) await ok(client.call("PUT", { bucket, key, body: key }))
    const page = await ok(client.call("GET", { bucket, query: "delimiter=%2F&list-type=2&prefix=listed%2F" }))
    assert.deepEqual([keysIn(page.text), /<CommonPrefixes><Prefix>listed\/a\//.test(page.text)], [["listed/b"], true])
    const first = await ok(client.call("GET", { bucket, query: "list-type=2&max-keys=1&prefix=listed%2F" }))
    const token = encodeURIComponent(tagIn(first.text, "NextContinuationToken"))
    const rest = await ok(
      client.call("GET", { bucket, query: `continuation-token=${token}&list-type=2&prefix=listed%2F` }),
    )
    assert.deepEqual(keysIn(rest.text), ["listed/a/2", "listed/b"])
  },
  async "lists as in 2006"(client, bucket) {
    for (const key of ["old/1", "old/2", "old/3"]) await ok(client.call("PUT", { bucket, key, body: key }))
    const page = await ok(client.call("GET", { bucket, query: "marker=old%2F1&prefix=old%2F" }))
    assert.deepEqual(keysIn(page.text), ["old/2", "old/3"])
  },
  "uploads parts": (client, bucket) => upload(client, bucket, false),
  "copies parts": (client, bucket) => upload(client, bucket, true),
  async copies(client, bucket) {
    await ok(client.call("PUT", { bucket, key: "copied/from", body: "bytes", headers: { "x-amz-meta-mtime": "1" } }))
    const replaced = { "x-amz-metadata-directive": "REPLACE", "x-amz-meta-mtime": "2" }
    const headers = { "x-amz-copy-source": `${bucket}/copied/from`, ...replaced }
    await ok(client.call("PUT", { bucket, key: "copied/to", headers }))
    assert.equal((await ok(client.call("HEAD", { bucket, key: "copied/to" }))).header("x-amz-meta-mtime"), "2")
  },
  async "removes many"(client, bucket) {
    for (const key of ["gone/1", "gone/2"]) await ok(client.call("PUT", { bucket, key, body: key }))
    const body = `<Delete><Quiet>true</Quiet>${["gone/1", "gone/2", "gone/never"].map(key => `<Object><Key>${key}</Key></Object>`).join("")}</Delete>`
    const headers = { "content-md5": md5Base64(Buffer.from(body)) }
    assert.doesNotMatch((await ok(client.call("POST", { bucket, query: "delete=", headers, body }))).text, /<Error>/)
    assert.deepEqual(keysIn((await ok(client.call("GET", { bucket, query: "list-type=2&prefix=gone%2F" }))).text), [])
  },
  async "writes once"(client, bucket) {
    const object = { bucket, key: "once/metadata.json", body: "{}", headers: { "if-none-match": "*" } }
    await ok(client.call("PUT", object))
    await ok(client.call("PUT", object), 412)
  },
  async "lets browsers put"(client, bucket) {
    const object = { bucket, key: "browsers/put.png" }
    const headers = { Origin: "https://app.example.org" }
    const put = await ok(client.send("PUT", client.presign("PUT", object), { headers, body: "from a browser" }))
    assert.equal(put.header("access-control-allow-origin"), "*")
    const query = "response-content-disposition=inline"
    const got = await ok(client.send("GET", client.presign("GET", { ...object, query })))
    assert.deepEqual([got.text, got.header("content-disposition")], ["from a browser", "inline"])
  },
  async "lets browsers post"(client, bucket) {
    const key = "browsers/post.png"
    const headers = { "content-type": "multipart/form-data; boundary=edge", Origin: "https://app.example.org" }
    await ok(client.send("POST", `/${bucket}`, { headers, body: formOf(client, bucket, key) }), 204)
    assert.equal((await ok(client.call("GET", { bucket, key }))).text, "from a form")
  },
  async "sends public-read"(client, bucket) {
    const object = { bucket, key: "acl/public.png" }
    const headers = { "x-amz-acl": "public-read" }
    await ok(client.call("PUT", { ...object, headers, body: "x" }))
    await ok(client.call("POST", { ...object, query: "uploads=", headers }))
    // The policy of the bucket decides, as with MinIO, and not the list.
    await ok(client.call("PUT", { bucket: `${bucket}-closed`, headers }))
    await ok(client.call("PUT", { ...object, bucket: `${bucket}-closed`, headers, body: "x" }))
    await ok(client.call("GET", { ...object, bucket: `${bucket}-closed`, anonymous: true }), 403)
  },
  async "sets a policy"(client, bucket) {
    await ok(client.call("PUT", { bucket, query: "policy=", body: publicReadPolicy(bucket) }), 204)
    await ok(client.call("PUT", { bucket, key: "public.txt", body: "x" }))
    await ok(client.call("GET", { bucket, key: "public.txt", anonymous: true }))
  },
  async "keeps versions"(client, bucket) {
    const body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    await ok(client.call("PUT", { bucket, query: "versioning=", body }))
    for (const text of ["one", "two"]) await ok(client.call("PUT", { bucket, key: "versioned", body: text }))
    const { text } = await ok(client.call("GET", { bucket, query: "prefix=versioned&versions=" }))
    assert.equal(text.split("<Version>").length, 3)
  },
  async "asks for temporary keys"(client, bucket) {
    const headers = { "content-type": "application/x-www-form-urlencoded" }
    const ask = (more: string, status?: number) => {
      const body = `Action=AssumeRole&Version=2011-06-15&DurationSeconds=900${more}`
      return ok(client.call("POST", { path: "/", headers, body, sign: { service: "sts" } }), status)
    }
    const keysOf = async (more: string) => {
      const { text } = await ask(more)
      const [accessKey, secretKey, sessionToken] = ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(tag =>
        tagIn(text, tag),
      )
      return { accessKey: accessKey ?? "", secretKey: secretKey ?? "", sessionToken: sessionToken ?? "" }
    }
    await ok(client.call("PUT", { bucket, key: "temporary", body: "x", credentials: await keysOf("") }))
    // SDKs of Amazon require a role, and get any text: the first two are in MinIO's documents.
    for (const arn of [
      "arn:x:ignored:by:minio:",
      "arn:xxx:xxx:xxx:xxxx",
      "arn:aws:iam::123456789012:role/any",
      "any",
    ]) {
      const credentials = await keysOf(`&RoleSessionName=any&RoleArn=${arn}`)
      assert.equal((await ok(client.call("GET", { bucket, key: "temporary", credentials }))).text, "x")
    }
    // Somebody has made a role of this account, or means to.
    const { text } = await ok(client.call("POST", { path: "/", headers, body: IDENTITY, sign: { service: "sts" } }))
    await ask(`&RoleSessionName=any&RoleArn=arn:aws:iam::${tagIn(text, "Account") ?? ""}:role/any`, 403)
    const reads = { Effect: "Allow", Action: ["s3:GetObject"], Resource: [`arn:aws:s3:::${bucket}/*`] }
    const policy = JSON.stringify({ Version: "2012-10-17", Statement: [reads] })
    const credentials = await keysOf(`&Policy=${encodeURIComponent(policy)}`)
    assert.equal((await ok(client.call("GET", { bucket, key: "temporary", credentials }))).text, "x")
    await ok(client.call("PUT", { bucket, key: "temporary", body: "y", credentials }), 403)
    await ask("&Policy=%7B%7D", 400)
    // Nothing would tag the keys.
    await ask("&Tags.member.1.Key=a&Tags.member.1.Value=b", 501)
  },
  async "names the bucket in the host"(client, bucket) {
    const host = `${bucket}.minio:${client.endpoint.port}`
    await ok(client.call("PUT", { path: "/hosted/a", host, body: "x" }))
    assert.equal((await ok(client.call("GET", { bucket, key: "hosted/a" }))).text, "x")
  },
}
