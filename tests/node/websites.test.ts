/** Websites on their own listener, of a real server: pages, redirects, errors, ranges, CORS, and certificates by name. */
import assert from "node:assert/strict"
import { mkdir, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { connect } from "node:tls"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import {
  CreateBucketCommand,
  PutBucketCorsCommand,
  PutBucketPolicyCommand,
  PutBucketWebsiteCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
  type WebsiteConfiguration,
} from "@aws-sdk/client-s3"
import { exchange, type RawResponse } from "../../conformance/raw-client.js"
import { TEST_CERTIFICATES } from "@hayloft/protocols/http/testing-certificates.js"
import { freePort } from "../harness/free-port.js"
import { forTestsOfFile, withFolder } from "../harness/folders.js"
import { withClient } from "../harness/sdk-client.js"
import { ServerProcess } from "../harness/server.js"

const SITE = "site"
const HOST = "site.web.test"
/** A bucket that has the name of a host. */
const OWN_HOST = "www.example.test"

const policyOf = (bucket: string, actions: readonly string[]): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: actions.map(action => ({
      Effect: "Allow",
      Principal: "*",
      Action: action,
      Resource: action === "s3:ListBucket" ? `arn:aws:s3:::${bucket}` : `arn:aws:s3:::${bucket}/*`,
    })),
  })

async function makeSite(
  client: S3Client,
  bucket: string,
  configuration: WebsiteConfiguration,
  actions: readonly string[] = ["s3:GetObject", "s3:ListBucket"],
): Promise<void> {
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  if (actions.length > 0) {
    await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: policyOf(bucket, actions) }))
  }
  await client.send(new PutBucketWebsiteCommand({ Bucket: bucket, WebsiteConfiguration: configuration }))
}

const page = (Bucket: string, Key: string, Body: string, more: Partial<PutObjectCommandInput> = {}) =>
  new PutObjectCommand({ Bucket, Key, Body, ContentType: "text/html", ...more })

const index = { IndexDocument: { Suffix: "index.html" } }

async function fill(client: S3Client): Promise<void> {
  await makeSite(client, SITE, {
    ...index,
    ErrorDocument: { Key: "error.html" },
    RoutingRules: [
      { Condition: { KeyPrefixEquals: "old/" }, Redirect: { ReplaceKeyPrefixWith: "new/" } },
      {
        Condition: { KeyPrefixEquals: "maybe/", HttpErrorCodeReturnedEquals: "404" },
        Redirect: { HostName: "other.test", Protocol: "https", HttpRedirectCode: "307" },
      },
    ],
  })
  await client.send(page(SITE, "index.html", "<h1>home</h1>"))
  await client.send(page(SITE, "docs/index.html", "<h1>docs</h1>"))
  await client.send(page(SITE, "maybe/there", "there"))
  await client.send(page(SITE, "error.html", "<h1>lost</h1>"))
  await client.send(page(SITE, "moved", "", { WebsiteRedirectLocation: "/docs/" }))
  await client.send(page(SITE, "sealed.html", "<h1>sealed</h1>", { ServerSideEncryption: "AES256" }))
  const CORSRules = [{ AllowedMethods: ["GET"], AllowedOrigins: ["https://page.test"], ExposeHeaders: ["ETag"] }]
  await client.send(new PutBucketCorsCommand({ Bucket: SITE, CORSConfiguration: { CORSRules } }))
  await makeSite(client, OWN_HOST, index)
  await client.send(page(OWN_HOST, "index.html", "own"))
  await makeSite(client, "closed", index, [])
  await client.send(page("closed", "index.html", "secret"))
  await makeSite(client, "unlisted", { ...index, ErrorDocument: { Key: "missing.html" } }, ["s3:GetObject"])
  await makeSite(client, "elsewhere", { RedirectAllRequestsTo: { HostName: "new.test", Protocol: "https" } }, [])
  await client.send(new CreateBucketCommand({ Bucket: "no-site" }))
}

interface World {
  readonly port: number
  readonly server: ServerProcess
}

async function serve(folder: string, args: readonly string[] = []): Promise<World> {
  const port = await freePort()
  const own = ["--website-listen", `127.0.0.1:${port}`, "--website-domain", "web.test", "--allow-public-buckets"]
  const server = await ServerProcess.start({ folders: [join(folder, "data")], args: [...own, ...args] })
  return { port, server }
}

let world: World

forTestsOfFile(async folder => {
  world = await serve(folder)
  await withClient(world.server, fill)
  return () => world.server.kill()
})

const ask = (
  target: string,
  {
    host = HOST,
    method = "GET",
    headers = {},
  }: { host?: string; method?: string; headers?: Record<string, string> } = {},
): Promise<RawResponse> =>
  exchange(
    { host: "127.0.0.1", port: world.port },
    { method, target, headers: [["Host", host], ...Object.entries(headers)] },
  )

const locationOf = (response: RawResponse): readonly [number, string | undefined] => [
  response.status,
  response.header("location"),
]

test("a folder shows its index document, without credentials", async () => {
  for (const [target, body] of [
    ["/", "<h1>home</h1>"],
    ["/docs/", "<h1>docs</h1>"],
    ["/docs/index.html?x=1", "<h1>docs</h1>"],
    ["/sealed.html", "<h1>sealed</h1>"],
  ] as const) {
    const response = await ask(target)
    assert.deepEqual([response.status, response.header("content-type"), response.text], [200, "text/html", body])
  }
  assert.equal((await ask("/", { host: `${OWN_HOST}:80` })).text, "own")
})

test("a folder without its slash is redirected to it, with its query", async () => {
  assert.deepEqual(locationOf(await ask("/docs")), [302, "/docs/"])
  assert.deepEqual(locationOf(await ask("/docs?a=b")), [302, "/docs/?a=b"])
})

test("rules, objects and whole buckets redirect", async () => {
  assert.deepEqual(locationOf(await ask("/old/a b".replace(" ", "%20"))), [301, `http://${HOST}/new/a%20b`])
  assert.deepEqual(locationOf(await ask("/maybe/gone")), [307, "https://other.test/maybe/gone"])
  assert.equal((await ask("/maybe/there")).text, "there")
  assert.deepEqual(locationOf(await ask("/moved")), [301, "/docs/"])
  for (const headers of [{ Range: "bytes=0-" }, { "If-None-Match": "*" }, { "If-Match": '"x"' }]) {
    assert.deepEqual(locationOf(await ask("/moved", { headers })), [301, "/docs/"])
  }
  assert.deepEqual(locationOf(await ask("/a?b", { host: "elsewhere.web.test" })), [301, "https://new.test/a?b"])
})

test("a missing page has the site's own error document, and its status", async () => {
  const missing = await ask("/nothing")
  assert.deepEqual([missing.status, missing.text], [404, "<h1>lost</h1>"])
  const head = await ask("/nothing", { method: "HEAD" })
  assert.deepEqual([head.status, head.text, head.header("content-length")], [404, "", "13"])
})

test("only what anonymous users may read is shown", async () => {
  const closedPage = await ask("/index.html", { host: "closed.web.test" })
  assert.equal(closedPage.status, 403)
  assert.match(closedPage.text, /<h1>403 Forbidden<\/h1>/)
  assert.doesNotMatch(closedPage.text, /secret/)
  // A caller that may not list a bucket does not learn what is missing.
  const unlisted = await ask("/nothing", { host: "unlisted.web.test" })
  assert.equal(unlisted.status, 403)
  assert.match(unlisted.text, /error document of this website cannot be shown/)
})

test("hosts that are no website say so", async () => {
  for (const [host, code] of [
    ["no-site.web.test", "NoSuchWebsiteConfiguration"],
    ["nothing.web.test", "NoSuchBucket"],
    ["web.test", "NoSuchBucket"],
    ["Not%A%Name", "NoSuchBucket"],
    ["", "NoSuchBucket"],
  ] as const) {
    const response = await ask("/", { host })
    assert.deepEqual([response.status, response.header("x-amz-error-code")], [404, code], host)
    assert.equal(response.header("content-type"), "text/html; charset=utf-8")
  }
})

test("HEAD, ranges and conditions work as for objects, and other methods are refused", async () => {
  const whole = await ask("/")
  const etag = whole.header("etag") ?? ""
  const head = await ask("/", { method: "HEAD" })
  assert.deepEqual([head.status, head.text, head.header("content-length"), head.header("etag")], [200, "", "13", etag])
  const part = await ask("/", { headers: { Range: "bytes=4-7" } })
  assert.deepEqual([part.status, part.text, part.header("content-range")], [206, "home", "bytes 4-7/13"])
  assert.equal((await ask("/", { headers: { "If-None-Match": etag } })).status, 304)
  assert.equal((await ask("/", { headers: { "If-Match": '"x"' } })).status, 412)
  assert.equal((await ask("/", { headers: { Range: "bytes=99-" } })).status, 416)
  for (const method of ["PUT", "POST", "DELETE"]) {
    const refused = await ask("/", { method, headers: { "Content-Length": "0" } })
    assert.deepEqual([refused.status, refused.header("allow")], [405, "GET, HEAD, OPTIONS"])
  }
  // Nothing else of a request has an effect.
  const signed = await ask("/?versionId=x&response-content-type=a/b&acl", { headers: { Authorization: "AWS a:b" } })
  assert.deepEqual([signed.status, signed.header("content-type")], [200, "text/html"])
})

test("pages of other origins may read what the CORS rules allow, errors and redirects too", async () => {
  const headers = { Origin: "https://page.test" }
  for (const target of ["/", "/nothing", "/docs"]) {
    const response = await ask(target, { headers })
    assert.equal(response.header("access-control-allow-origin"), "https://page.test", target)
    assert.match(response.header("vary") ?? "", /Origin/)
  }
  assert.match((await ask("/")).header("vary") ?? "", /Origin/, "a cache keeps answers to other origins apart")
  const other = await ask("/", { headers: { Origin: "https://evil.test" } })
  assert.equal(other.header("access-control-allow-origin"), undefined)
  assert.match(other.header("vary") ?? "", /Origin/)
  const asked = { ...headers, "Access-Control-Request-Method": "GET" }
  assert.equal((await ask("/", { method: "OPTIONS", headers: asked })).status, 200)
  const refused = { ...asked, "Access-Control-Request-Method": "PUT" }
  assert.equal((await ask("/", { method: "OPTIONS", headers: refused })).status, 403)
})

test("what is asked for is shown escaped, and hostile paths are answered", async () => {
  for (const target of [
    "/%",
    "/%00",
    "/..%2f..%2fetc/passwd",
    `/${"a".repeat(2_000)}`,
    "//",
    "/%ff%fe",
    "/a%0d%0aX:%20y",
  ]) {
    const response = await ask(target)
    assert.ok([302, 400, 404].includes(response.status), `${target}: ${response.status}`)
    assert.equal(response.header("x"), undefined)
  }
  assert.equal((await ask("http://other.test/")).status, 400, "a cache would keep the page for the other host")
  assert.equal((await ask(`http://${HOST}/`)).status, 200)
  const script = await ask("/", { host: "<script>.web.test" })
  assert.doesNotMatch(script.text, /<script>/)
})

/** The name in the certificate that a client gets that asks for this name; undefined: no handshake. */
const certificateFor = (port: number, servername: string): Promise<string | undefined> =>
  new Promise(resolve => {
    const socket = connect({ host: "127.0.0.1", port, servername, rejectUnauthorized: false }, () => {
      const { subject } = socket.getPeerCertificate()
      resolve(typeof subject.CN === "string" ? subject.CN : undefined)
      socket.destroy()
    })
    socket.on("error", () => resolve(undefined))
  })

test("each name has its certificate, also one that is added while the server runs", { timeout: 300_000 }, () =>
  withFolder(async folder => {
    const certificates = join(folder, "certificates")
    await mkdir(certificates)
    const put = async (name: string, pair: "first" | "second"): Promise<void> => {
      const { cert, key } = TEST_CERTIFICATES[pair]
      await writeFile(join(certificates, `${name}.key`), key)
      await writeFile(join(certificates, `${name}.new`), cert)
      await rename(join(certificates, `${name}.new`), join(certificates, `${name}.pem`))
    }
    await put("site.web.test", "first")
    const { port, server } = await serve(folder, ["--website-certificates", certificates])
    try {
      const [first, second] = [TEST_CERTIFICATES.first.commonName, TEST_CERTIFICATES.second.commonName]
      assert.equal(await certificateFor(port, "site.web.test"), first)
      assert.equal(await certificateFor(port, "other.web.test"), undefined, "there is no default")
      const untilSecond = (name: string): Promise<void> =>
        until(`"${name}" has the second`, async () => (await certificateFor(port, name)) === second)
      await put("_.web.test", "second")
      await untilSecond("other.web.test")
      assert.equal(await certificateFor(port, "site.web.test"), first, "an exact name comes first")
      assert.equal(await certificateFor(port, "a.b.web.test"), undefined, "a wildcard is for one level")
      await put("default", "second")
      await untilSecond("anything.test")
      // A client that names no server has the default, too.
      await untilSecond("")
      await rm(join(certificates, "site.web.test.pem"))
      await untilSecond("site.web.test")
      await rm(join(certificates, "default.pem"))
      const gone = async (name: string): Promise<boolean> => (await certificateFor(port, name)) === undefined
      await until("the default is gone", async () => (await gone("anything.test")) && (await gone("")))
    } finally {
      await server.stop()
    }
  }),
)
