/**
 * Line 33, presigned requests, with signature version 2 as boto3 and AWS CLI 1 make them by default in us-east-1; and
 * requests with a signature of version 2 in their header, as older clients send them.
 */
import { check, expectBody, expectError, expectHeader, expectStatus, same } from "../expect.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import { headerList } from "../client.js"
import { inSeconds, presignV2, signedV2 } from "../sign-v2.js"
import type { Scene } from "../scene.js"

const WEEK_SECONDS = 604_800

type Options = Parameters<typeof presignV2>[3]
type Request = Parameters<typeof presignV2>[2]

const presign = ({ client, bucket }: Scene, method: string, call: Request, options?: Options): string =>
  presignV2(client, method, { bucket, ...call }, options)

const get = (scene: Scene, options?: Options) => presign(scene, "GET", { key: "k" }, options)

/** Sends a request whose header is signed. */
const send = (
  { client, bucket }: Scene,
  method: string,
  call: Parameters<typeof signedV2>[2],
  options?: Parameters<typeof signedV2>[3],
) => client.call(method, signedV2(client, method, { bucket, ...call }, options))

export const signatureV2Rows: readonly Row[] = [
  row("33.60", "version 2: presigned GET, PUT, HEAD and DELETE work", async scene => {
    const key = "a b+é"
    const headers = { "Content-Type": "text/x-own" }
    const put = presign(scene, "PUT", { key, headers })
    expectStatus(await scene.client.send("PUT", put, { headers, body: "body" }), 200)
    const read = await scene.client.send("GET", presign(scene, "GET", { key }))
    expectBody(expectStatus(read, 200), "body")
    expectHeader(read, "content-type", "text/x-own")
    expectStatus(await scene.client.send("HEAD", presign(scene, "HEAD", { key })), 200)
    expectStatus(await scene.client.send("DELETE", presign(scene, "DELETE", { key })), 204)
    same(await scene.keys(), [], "keys")
  }),
  row("33.61", "version 2: the method, the key and the content type are bound", async scene => {
    await scene.stored("k", "kept")
    await scene.stored("other", "other")
    expectError(await scene.client.send("PUT", get(scene), { body: "x" }), 403, "SignatureDoesNotMatch")
    expectError(await scene.client.send("GET", get(scene).replace("/k?", "/other?")), 403, "SignatureDoesNotMatch")
    const put = presign(scene, "PUT", { key: "k", headers: { "Content-Type": "text/plain" } })
    const headers = { "Content-Type": "text/html" }
    expectError(await scene.client.send("PUT", put, { headers, body: "x" }), 403, "SignatureDoesNotMatch")
    expectBody(await scene.get("k"), "kept")
  }),
  row("33.62", "version 2: sub-resources and overrides are bound", async scene => {
    await scene.stored("k", "kept")
    for (const added of ["tagging", "versionId=null", "attributes", "acl", "response-content-type=text%2Fhtml"]) {
      expectError(await scene.client.send("GET", `${get(scene)}&${added}`), 403, "SignatureDoesNotMatch")
    }
    const query = "response-content-type=text%2Fx%3B%20a%3D1"
    const answer = await scene.client.send("GET", presign(scene, "GET", { key: "k", query }))
    expectHeader(expectStatus(answer, 200), "content-type", "text/x; a=1")
    expectStatus(await scene.client.send("GET", presign(scene, "GET", { key: "k", query: "tagging" })), 200)
  }),
  row("33.63", "version 2: x-amz-* headers are bound, and count where the URL carries them", async scene => {
    const sneaked = { headers: { "x-amz-meta-note": "n" }, body: "x" }
    const put = presign(scene, "PUT", { key: "k" })
    expectError(await scene.client.send("PUT", put, sneaked), 403, "SignatureDoesNotMatch")
    expectError(await scene.client.send("PUT", `${put}&x-amz-meta-note=n`, { body: "x" }), 403, "SignatureDoesNotMatch")
    const carrying = presign(scene, "PUT", { key: "k" }, { carried: [["x-amz-meta-note", "two  words"]] })
    expectStatus(await scene.client.send("PUT", carrying, { body: "body" }), 200)
    expectHeader(await scene.head("k"), "x-amz-meta-note", "two  words")
    expectStatus(await scene.client.send("PUT", presign(scene, "PUT", { ...sneaked, key: "k" }), sneaked), 200)
    expectHeader(await scene.head("k"), "x-amz-meta-note", "n")
  }),
  row("33.64", "version 2: an upload in parts works", async scene => {
    const uploadId = await scene.createUpload("k")
    const query = `partNumber=1&uploadId=${encodeURIComponent(uploadId)}`
    const part = await scene.client.send("PUT", presign(scene, "PUT", { key: "k", query }), { body: "part" })
    const etag = expectStatus(part, 200).header("etag") ?? ""
    expectStatus(await scene.complete("k", uploadId, [[1, etag]]), 200)
    expectBody(await scene.get("k"), "part")
  }),
  row(
    "33.65",
    "version 2: an expired one is refused, and so is one that expires in more than seven days",
    async scene => {
      await scene.stored("k", "body")
      const until = (expires: string) => scene.client.send("GET", get(scene, { expires }))
      expectError(await until(inSeconds(-1)), 403, "AccessDenied")
      expectError(await until(inSeconds(WEEK_SECONDS + 60)), 403, "AccessDenied")
      expectError(await until("tomorrow"), 403, "AccessDenied")
      expectStatus(await until(inSeconds(WEEK_SECONDS - 60)), 200)
    },
  ),
  row("33.66", "version 2: a wrong secret, an unknown key and an unknown token are told apart", async scene => {
    await scene.stored("k", "body")
    const { credentials } = scene.client
    const by = (changed: Partial<typeof credentials>) =>
      scene.client.send("GET", get(scene, { credentials: { ...credentials, ...changed } }))
    expectError(await by({ secretKey: "wrong" }), 403, "SignatureDoesNotMatch")
    expectError(await by({ accessKey: "AKIANOSUCHKEYATALL00" }), 403, "InvalidAccessKeyId")
    expectError(await by({ sessionToken: "no-such-token" }), 400, "InvalidToken")
  }),
  row("33.67", "version 2: a part of a signature is no anonymous request", async scene => {
    for (const query of ["AWSAccessKeyId=a", "Signature=a", `AWSAccessKeyId=a&Signature=b`]) {
      expectError(await scene.call("GET", { key: "k", query, anonymous: true }), 403, "AccessDenied")
    }
  }),
  row("33.68", "version 2: it works by virtual host", async scene => {
    await scene.stored("k", "body")
    const host = `${scene.bucket}.${scene.surroundings.domain}:${scene.client.endpoint.port}`
    const target = get(scene).replace(`/${scene.bucket}/`, "/")
    check(target.startsWith("/k?"), "the bucket is in the host only")
    expectBody(expectStatus(await scene.client.send("GET", target, { host }), 200), "body")
  }),
  row("33.69", "version 2: a listing is refused, since its parameters would not be signed", async scene => {
    const target = presign(scene, "GET", { query: "list-type=2" })
    expectError(await scene.client.send("GET", target), 400, "InvalidRequest")
  }),
  row("33.70", "version 2 in the header: PUT, GET, HEAD and DELETE work, with either date header", async scene => {
    const key = "a b+é"
    for (const dateHeader of ["Date", "x-amz-date"] as const) {
      const headers = { "Content-Type": "text/x-own", "x-amz-meta-note": "two  words" }
      expectStatus(await send(scene, "PUT", { key, headers, body: "body" }, { dateHeader }), 200)
      const read = await send(scene, "GET", { key }, { dateHeader })
      expectBody(expectStatus(read, 200), "body")
      expectHeader(read, "content-type", "text/x-own")
      expectHeader(read, "x-amz-meta-note", "two  words")
      expectStatus(await send(scene, "HEAD", { key }, { dateHeader }), 200)
      expectStatus(await send(scene, "DELETE", { key }, { dateHeader }), 204)
    }
    same(await scene.keys(), [], "keys")
  }),
  row("33.71", "version 2 in the header: buckets are listed, read, changed, made and removed", async scene => {
    await scene.stored("k", "body")
    check(
      (await send(scene, "GET", { query: "prefix=k&max-keys=1" })).text.includes("<Key>k</Key>"),
      "the key is listed",
    )
    expectStatus(await send(scene, "GET", { query: "list-type=2&prefix=k" }), 200)
    check((await send(scene, "GET", { path: "/" })).text.includes(scene.bucket), "the bucket is listed")
    const slashed = { signedTarget: `/${scene.bucket}/` }
    expectStatus(await send(scene, "GET", {}, slashed), 200)
    const other = `${scene.bucket}-other`
    for (const [method, query, status] of [
      ["PUT", "", 200],
      ["HEAD", "", 200],
      ["GET", "location", 200],
      ["GET", "versioning", 200],
      ["DELETE", "", 204],
    ] as const) {
      expectStatus(await send(scene, method, { bucket: other, query }), status)
    }
  }),
  row("33.72", "version 2 in the header: an upload in parts works", async scene => {
    const created = expectStatus(await send(scene, "POST", { key: "k", query: "uploads" }), 200)
    const uploadId = /<UploadId>(.+)<\/UploadId>/.exec(created.text)?.[1] ?? ""
    const query = `partNumber=1&uploadId=${encodeURIComponent(uploadId)}`
    const etag = expectStatus(await send(scene, "PUT", { key: "k", query, body: "part" }), 200).header("etag") ?? ""
    expectStatus(await scene.complete("k", uploadId, [[1, etag]]), 200)
    expectBody(await scene.get("k"), "part")
  }),
  row("33.73", "version 2 in the header: everything that it names is bound", async scene => {
    await scene.stored("k", "kept")
    const { client, bucket } = scene
    const changed = async (method: string, call: object, sent: object) => {
      const { headers = [] } = signedV2(client, method, { bucket, key: "k", ...call })
      const answer = await client.call(method, { bucket, key: "k", anonymous: true, headers, ...sent })
      expectError(answer, 403, "SignatureDoesNotMatch")
    }
    await changed("PUT", {}, { key: "other", body: "x" })
    for (const query of ["tagging", "versionId=null", "attributes", "acl", "response-content-type=text%2Fhtml"]) {
      await changed("GET", {}, { query })
    }
    const { headers = [] } = signedV2(client, "PUT", { bucket, key: "k" })
    for (const added of ["x-amz-meta-note", "Content-Type"]) {
      await changed("PUT", {}, { body: "x", headers: [...headerList(headers), [added, "text/html"]] })
    }
    expectBody(await scene.get("k"), "kept")
  }),
  row("33.74", "version 2 in the header: a wrong date, secret, key and token are told apart", async scene => {
    await scene.stored("k", "body")
    const { credentials } = scene.client
    const by = (changed: Partial<typeof credentials>) =>
      send(scene, "GET", { key: "k" }, { credentials: { ...credentials, ...changed } })
    expectError(await by({ secretKey: "wrong" }), 403, "SignatureDoesNotMatch")
    expectError(await by({ accessKey: "AKIANOSUCHKEYATALL00" }), 403, "InvalidAccessKeyId")
    expectError(await by({ sessionToken: "no-such-token" }), 400, "InvalidToken")
    for (const dateHeader of ["Date", "x-amz-date"] as const) {
      const at = (date: string) => send(scene, "GET", { key: "k" }, { dateHeader, date })
      expectError(await at(new Date(Date.now() - 16 * 60_000).toUTCString()), 403, "RequestTimeTooSkewed")
      expectError(await at(new Date(Date.now() + 16 * 60_000).toUTCString()), 403, "RequestTimeTooSkewed")
      expectError(await at("yesterday"), 403, "AccessDenied")
    }
  }),
  row("33.75", "version 2 in the header: it works by virtual host, for objects and for the bucket", async scene => {
    await scene.stored("k", "body")
    const host = `${scene.bucket}.${scene.surroundings.domain}:${scene.client.endpoint.port}`
    const read = await send(scene, "GET", { path: "/k", host }, { signedTarget: `/${scene.bucket}/k` })
    expectBody(expectStatus(read, 200), "body")
    const listed = await send(scene, "GET", { path: "/", host }, { signedTarget: `/${scene.bucket}/` })
    check(expectStatus(listed, 200).text.includes("<Key>k</Key>"), "the key is listed")
    const other = await send(scene, "GET", { path: "/k", host }, { signedTarget: "/k" })
    expectError(other, 403, "SignatureDoesNotMatch")
  }),
]
