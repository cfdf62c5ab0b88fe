/**
 * The AWS SDK through nginx, Caddy and HAProxy, each configured as docs/guide/install.md shows (with other ports, names and
 * certificates): signatures stay valid, keys arrive unchanged over HTTP/1.1 and HTTP/2, bodies stream both ways.
 */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2"
import { Agent, type AgentOptions } from "node:https"
import { connect, type LookupFunction } from "node:net"
import { join } from "node:path"
import { Readable } from "node:stream"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import {
  CreateBucketCommand,
  GetObjectCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { getSignedUrl } from "@aws-sdk/s3-request-presigner"
import { bytesFor, KEYS, MIB } from "../clients/material.js"
import { bindChild, findProgram, run } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"
import { CREDENTIALS, REGION, ROOT, selfSigned, withServer } from "../harness/server.js"
import { adapted, installBlock } from "./install-blocks.js"

const START_MS_MAX = 120_000
const POLL_MS = 25
const BUCKET = "behind"
const LARGE_BYTES = 20 * MIB

interface Setting {
  readonly folder: string
  readonly port: number
  readonly backendPort: number
  readonly adminPort: number
  readonly tls: { readonly cert: string; readonly key: string }
}

/** Writes the program's configuration into `folder`; returns the arguments that select it. */
type Configure = (setting: Setting) => readonly string[]

const nginx: Configure = ({ folder, port, backendPort, tls }) => {
  const server = adapted(installBlock(/proxy_pass/), [
    ["listen 443 ssl http2", `listen 127.0.0.1:${port} ssl http2`],
    ["/etc/ssl/s3.example.org.pem", tls.cert],
    ["/etc/ssl/s3.example.org.key", tls.key],
    ["s3.example.org", "localhost"],
    ["127.0.0.1:9000", `127.0.0.1:${backendPort}`],
  ])
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    name => `${name}_temp_path ${folder}/${name};`,
  )
  const user = process.getuid?.() === 0 ? "user root;\n" : ""
  const process_ = `${user}daemon off;\nmaster_process off;\npid ${folder}/nginx.pid;\nerror_log stderr;\nevents {}\n`
  const path = join(folder, "nginx.conf")
  writeFileSync(path, `${process_}http {\naccess_log off;\n${temporary.join("\n")}\n${server}}\n`)
  return ["-p", folder, "-c", path, "-e", "stderr"]
}

const caddy: Configure = ({ folder, port, backendPort, tls }) => {
  const site = adapted(installBlock(/reverse_proxy/), [
    [
      "s3.example.org, *.s3.example.org {",
      `https://localhost:${port}, https://*.localhost:${port} {\n  tls ${tls.cert} ${tls.key}`,
    ],
    ["127.0.0.1:9000", `127.0.0.1:${backendPort}`],
  ])
  const path = join(folder, "Caddyfile")
  writeFileSync(path, `{\n  admin off\n  auto_https disable_redirects\n}\n${site}`)
  return ["run", "--config", path, "--adapter", "caddyfile"]
}

const haproxy: Configure = ({ folder, port, backendPort, adminPort, tls }) => {
  const pem = join(folder, "both.pem")
  writeFileSync(pem, readFileSync(tls.cert, "utf8") + readFileSync(tls.key, "utf8"), { mode: 0o600 })
  const path = join(folder, "haproxy.cfg")
  writeFileSync(
    path,
    adapted(readFileSync(join(ROOT, "deploy", "proxies", "haproxy.cfg"), "utf8"), [
      ["bind :443", `bind 127.0.0.1:${port}`],
      ["/etc/haproxy/s3.example.org.pem", pem],
      ["port 9001", `port ${adminPort}`],
      ["127.0.0.1:9000", `127.0.0.1:${backendPort}`],
    ]),
  )
  return ["-db", "-f", path]
}

/** Starts the program, runs the work while the program listens on the port, and ends it. */
async function withProxy(
  program: string,
  args: readonly string[],
  setting: Setting,
  work: () => Promise<void>,
): Promise<void> {
  const env = { ...process.env, HOME: setting.folder, XDG_DATA_HOME: setting.folder, XDG_CONFIG_HOME: setting.folder }
  const child = spawn(program, args, { env, stdio: ["ignore", "ignore", "pipe"] })
  bindChild(child)
  let log = ""
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (log += chunk))
  const exited = new Promise<void>(resolve => void child.once("exit", () => resolve()))
  try {
    for (const deadline = performance.now() + START_MS_MAX; !(await listens(setting.port)); await later(POLL_MS)) {
      assert.ok(child.exitCode === null && performance.now() < deadline, `${program} did not start:\n${log}`)
    }
    await work()
  } catch (error) {
    throw new Error(`${String(error)}\nlog of ${program}:\n${log.slice(-4000)}`, { cause: error })
  } finally {
    child.kill("SIGKILL")
    await exited
  }
}

const listens = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(port, "127.0.0.1")
    socket.once("error", () => resolve(false))
    socket.once("connect", () => {
      socket.destroy()
      resolve(true)
    })
  })

/** Resolves every name to loopback, as systems that support *.localhost do. */
const lookup: LookupFunction = (_name, options, done) =>
  options.all === true ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4)

function clientOf(port: number, agent: AgentOptions, forcePathStyle: boolean): S3Client {
  return new S3Client({
    endpoint: `https://localhost:${port}`,
    region: REGION,
    credentials: { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey },
    maxAttempts: 1,
    forcePathStyle,
    requestHandler: { httpsAgent: new Agent(agent) },
  })
}

async function bytesOf(client: S3Client, Key: string): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key }))
  assert.ok(Body)
  return Buffer.from(await Body.transformToByteArray())
}

/** Keys that leave the root of a virtual-host address: nginx answers 400 by itself, as the document states. */
const CLIMBING = KEYS.filter(key => key.startsWith("../"))

async function keysArrive(client: S3Client, keys: readonly string[]): Promise<void> {
  for (const Key of keys) await client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: `body of ${Key}` }))
  for (const Key of keys) assert.equal((await bytesOf(client, Key)).toString(), `body of ${Key}`)
  const listed: string[] = []
  for await (const page of paginateListObjectsV2({ client, pageSize: 5 }, { Bucket: BUCKET })) {
    listed.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ""))
  }
  assert.deepEqual(listed.sort(), [...KEYS].sort())
}

/** Presigned URLs cover the host and the path, which HTTP/2 sends as pseudo-headers. */
async function keysArriveOverHttp2(client: S3Client, port: number, ca: string): Promise<void> {
  const session = connectHttp2(`https://localhost:${port}`, { ca: readFileSync(ca, "utf8") })
  try {
    for (const Key of KEYS) {
      const put = await getSignedUrl(client, new PutObjectCommand({ Bucket: BUCKET, Key }), { expiresIn: 60 })
      assert.equal((await sendOverHttp2(session, "PUT", put, `http2 ${Key}`)).status, 200, Key)
      const get = await getSignedUrl(client, new GetObjectCommand({ Bucket: BUCKET, Key }), { expiresIn: 60 })
      assert.deepEqual(await sendOverHttp2(session, "GET", get), { status: 200, body: `http2 ${Key}` })
    }
  } finally {
    session.close()
  }
}

function sendOverHttp2(
  session: ClientHttp2Session,
  method: string,
  url: string,
  body = "",
): Promise<{ readonly status: unknown; readonly body: string }> {
  const { host } = new URL(url)
  // The path is sent in the form in which it was signed: the parser of URLs would resolve dots in it.
  const path = url.slice(url.indexOf(host) + host.length)
  const length = method === "PUT" ? { "content-length": Buffer.byteLength(body) } : {}
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":method": method, ":path": path, ":authority": host, ...length })
    let [status, answer]: [unknown, string] = [undefined, ""]
    stream.setEncoding("utf8")
    stream.on("response", headers => (status = headers[":status"]))
    stream.on("data", (chunk: string) => (answer += chunk))
    stream.on("error", reject)
    stream.on("end", () => resolve({ status, body: answer }))
    if (method === "PUT") stream.end(body)
  })
}

async function largeBodiesStream(client: S3Client, folder: string, ca: string): Promise<void> {
  const body = Buffer.from(bytesFor("large", LARGE_BYTES))
  const Bucket = BUCKET
  await client.send(new PutObjectCommand({ Bucket, Key: "large", Body: body }))
  assert.ok((await bytesOf(client, "large")).equals(body), "the large body was read back with other bytes")
  // The SDK does not sign the body of a stream, but sends it in chunks followed by a checksum.
  const stream = Readable.from([body.subarray(0, 7 * MIB), body.subarray(7 * MIB)])
  await client.send(new PutObjectCommand({ Bucket, Key: "streamed", Body: stream, ContentLength: body.length }))
  assert.ok((await bytesOf(client, "streamed")).equals(body), "as a stream")
  const url = await getSignedUrl(client, new GetObjectCommand({ Bucket, Key: "large" }), { expiresIn: 60 })
  const path = join(folder, "by-link")
  const { code, stderr } = await run("curl", ["-sSf", "--cacert", ca, "-o", path, url])
  assert.equal(code, 0, stderr)
  assert.ok(readFileSync(path).equals(body), "the presigned URL returned other bytes")
}

for (const [name, configure] of Object.entries({ nginx, caddy, haproxy })) {
  test(`behind ${name} as docs/guide/install.md sets it up`, async t => {
    const [program, openssl, curl] = [name, "openssl", "curl"].map(findProgram)
    if (program === undefined) return t.skip(`${name} is not installed`)
    if (openssl === undefined || curl === undefined) return t.skip("openssl or curl is not installed")
    await withFolder(async folder => {
      const tls = await selfSigned(openssl, folder, [BUCKET])
      await withServer({ folders: [join(folder, "data")] }, async server => {
        const { port: backendPort, adminPort } = server
        const setting = { folder, port: await freePort(), backendPort, adminPort, tls }
        await withProxy(program, configure(setting), setting, async () => {
          const agent = { keepAlive: true, ca: readFileSync(tls.ca, "utf8"), lookup }
          const [path, virtual] = [clientOf(setting.port, agent, true), clientOf(setting.port, agent, false)]
          await path.send(new CreateBucketCommand({ Bucket: BUCKET }))
          await keysArrive(path, KEYS)
          await keysArrive(
            virtual,
            KEYS.filter(key => name !== "nginx" || !CLIMBING.includes(key)),
          )
          await keysArriveOverHttp2(path, setting.port, tls.ca)
          await largeBodiesStream(path, folder, tls.ca)
          for (const client of [path, virtual]) client.destroy()
        })
      })
    })
  })
}
