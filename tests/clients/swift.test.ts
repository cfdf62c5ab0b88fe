/**
 * Clients of Swift against a real server: python-swiftclient, rclone's swift backend, Duplicity, and what they leave behind
 * through S3. A client that is not installed is reported as skipped.
 */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findProgram, run, runOk } from "../harness/commands.js"
import { freePort } from "../harness/free-port.js"
import { CREDENTIALS, HAYLOFT, ROOT, ServerProcess } from "../harness/server.js"
import { KIB, MIB, bytesFor, treeOf, writeTree } from "./material.js"

let folder = ""
let server: ServerProcess
let authUrl = ""

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-swift-"))
  const port = await freePort()
  const second = join(folder, "second.cjs")
  await writeFile(second, SECOND_FILTER)
  const filters = ["--filter", `${ROOT}docs/guide/filters/add-header.cjs`, "--filter", second]
  const args = ["--swift-listen", `127.0.0.1:${port}`, ...filters]
  const env = { SITE_ENVIRONMENT: "a test" }
  server = await ServerProcess.start({ folders: [join(folder, "data")], args, env })
  authUrl = `http://127.0.0.1:${port}/auth/v1.0`
})

after(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

/** Only of Swift: it sees what the filter before it has let through. */
const SECOND_FILTER = `module.exports = ({ withHeaders }) => ({
  name: "second",
  ports: ["swift"],
  handle: (exchange, next) => next(withHeaders(exchange, ["X-Second", exchange.method])),
})
`

test("filters see requests of both protocols in their order, and may answer them", async () => {
  const swiftUrl = authUrl.replace("/auth/v1.0", "/info")
  const [ofS3, ofSwift] = [await fetch(server.endpoint), await fetch(swiftUrl)]
  assert.deepEqual([ofS3.headers.get("x-environment"), ofSwift.headers.get("x-environment")], ["a test", "a test"])
  assert.deepEqual([ofS3.headers.get("x-second"), ofSwift.headers.get("x-second")], [null, "GET"])
  const headers = { "User-Agent": "sqlmap/1" }
  for (const url of [server.endpoint, swiftUrl]) {
    const refused = await fetch(url, { headers })
    assert.deepEqual([refused.status, await refused.text()], [403, "This client is not served here.\n"])
    assert.equal(refused.headers.get("x-second"), null, "the second filter does not see it")
  }
})

test("recon and endpoints show the holder of the root key the devices of the store", async () => {
  const credentials = { "X-Auth-User": CREDENTIALS.accessKey, "X-Auth-Key": CREDENTIALS.secretKey }
  const signedIn = await fetch(authUrl, { headers: credentials })
  const [token, account] = [signedIn.headers.get("x-auth-token"), signedIn.headers.get("x-storage-url")]
  assert.ok(token !== null && account !== null)
  const ask = async (url: string, method = "GET", body?: Uint8Array) =>
    fetch(url, { method, headers: { "X-Auth-Token": token }, ...(body && { body: Buffer.from(body) }) })
  assert.equal((await ask(`${account}/endpoints-container`, "PUT")).status, 201)
  const { origin, pathname } = new URL(account)
  const [usage] = (await (await ask(`${origin}/recon/diskusage`)).json()) as readonly Record<string, unknown>[]
  assert.ok(Number(usage?.["size"]) > 0)
  for (const size of [1, 100 * KIB]) {
    const path = `endpoints-container/object-${size}`
    assert.equal((await ask(`${account}/${path}`, "PUT", bytesFor(path, size))).status, 201)
    const found = await ask(`${origin}/v1/endpoints${pathname.replace("/v1", "")}/${path}`)
    const [url = "", ...others] = (await found.json()) as readonly string[]
    assert.deepEqual(others, [], "there is one device")
    const [, host, device, , ...rest] = url.replace("http:/", "").split("/")
    assert.deepEqual([host, device], [new URL(account).host, usage?.["device"]])
    assert.equal(`/v1/${rest.join("/")}`, `${pathname}/${path}`)
  }
  for (const size of [1, 100 * KIB]) await ask(`${account}/endpoints-container/object-${size}`, "DELETE")
  assert.equal((await ask(`${account}/endpoints-container`, "DELETE")).status, 204)
})

const tool = (name: string) => {
  const path = findProgram(name)
  return { path: path ?? name, skip: path === undefined ? `${name} is not installed` : false } as const
}

const env = () => ({
  ...Object.fromEntries(
    Object.keys(process.env)
      .filter(name => /^(ST|OS|SWIFT|RCLONE)_/.test(name))
      .map(name => [name, undefined]),
  ),
  ST_AUTH: authUrl,
  ST_USER: CREDENTIALS.accessKey,
  ST_KEY: CREDENTIALS.secretKey,
  HOME: folder,
  LC_ALL: "C.UTF-8",
})

const swift = tool("swift")
const rclone = tool("rclone")
const duplicity = tool("duplicity")

async function own(name: string): Promise<string> {
  const path = join(folder, name)
  await mkdir(path, { recursive: true })
  return path
}

test("swift: containers, objects, metadata, listings, access lists, copies", { skip: swift.skip }, async () => {
  const home = await own("swift")
  const go = (...args: string[]): Promise<string> => runOk(swift.path, args, { env: env(), cwd: home })
  await go("post", "client-container", "-m", "Color:red")
  assert.match(await go("stat", "client-container"), /Meta Color: red/)
  for (const size of [0, 1, 5 * KIB, 4 * MIB + 1]) {
    const path = join(home, `file-${size}`)
    await writeFile(path, bytesFor(path, size))
    await go("upload", "client-container", `file-${size}`, "-H", "X-Object-Meta-Size-Of: known")
    await go("download", "client-container", `file-${size}`, "-o", `${path}.back`)
    assert.ok((await readFile(`${path}.back`)).equals(await readFile(path)), `${size} bytes`)
  }
  assert.equal(await go("list", "client-container"), "file-0\nfile-1\nfile-4194305\nfile-5120\n")
  assert.match(await go("list", "client-container", "--long"), /4194305 .* file-4194305/)
  assert.match(await go("list"), /^client-container$/m)
  assert.match(await go("stat"), /Containers: \d+/)
  assert.match(await go("stat", "client-container", "file-1"), /Meta Size-Of: known|Meta Size-of: known/)
  await go("post", "client-container", "file-1", "-m", "Color:blue")
  const stat = await go("stat", "client-container", "file-1")
  assert.match(stat, /Meta Color: blue/)
  assert.doesNotMatch(stat, /known/)
  await go("copy", "client-container", "file-5120", "-d", "/client-container/copied")
  assert.match(await go("stat", "client-container", "copied"), /Content Length: 5120/)
  await go("post", "client-container", "-r", ".r:*,.rlistings")
  assert.match(await go("stat", "client-container"), /Read ACL: \.r:\*,\.rlistings/)
  const url = /StorageURL: (\S+)/.exec(await go("stat", "-v"))?.[1] ?? ""
  assert.equal(
    await (await fetch(`${url}/client-container/file-1`)).text(),
    (await readFile(join(home, "file-1"))).toString(),
  )
  const s3 = await server.client().call("GET", { bucket: "client-container", key: "file-1" })
  assert.deepEqual([s3.status, s3.header("x-amz-meta-color")], [200, "blue"])
  await go("post", "client-container", "-m", "Temp-URL-Key:client-key")
  const [, path = ""] = /(\/v1\/.*)/.exec(url) ?? []
  const signed = ["tempurl", "GET", "3600", `${path}/client-container/file-1`, "client-key", "--digest", "sha256"]
  const query = (await go(...signed)).trim().split("?")[1] ?? ""
  await go("post", "client-container", "-r", "")
  assert.equal((await fetch(`${url}/client-container/file-1`)).status, 401)
  assert.equal((await fetch(`${url}/client-container/file-1?${query}`)).status, 200, "by its temporary URL")
  await go("upload", "client-container", "file-1", "--object-name", "short-lived", "-H", "X-Delete-After: 3600")
  assert.match(await go("stat", "client-container", "short-lived"), /X-Delete-At: \d{10}/)
  assert.match(await go("capabilities"), /bulk_delete/)
  // Objects are deleted in bulk, as the capabilities say.
  await go("delete", "client-container")
  assert.doesNotMatch(await go("list"), /^client-container$/m)
  const missing = await run(swift.path, ["stat", "client-container"], { env: env() })
  assert.notEqual(missing.code, 0)
  assert.match(missing.stderr, /not found/i)
})

/** Uploads in segments, looks, downloads, and deletes with the segments. */
async function inSegments(container: string, more: readonly string[]): Promise<void> {
  const home = await own(container)
  const go = (...args: string[]): Promise<string> => runOk(swift.path, args, { env: env(), cwd: home })
  const content = bytesFor(container, 3 * MIB + 1)
  await writeFile(join(home, "large"), content)
  await go("upload", container, "large", "-S", String(MIB), ...more)
  assert.match(await go("stat", container, "large"), /Content Length: 3145729/)
  assert.equal((await go("list", `${container}_segments`)).split("\n").length, 5, "four segments")
  await go("download", container, "large", "-o", "back")
  assert.ok((await readFile(join(home, "back"))).equals(content))
  if (more.length > 0) {
    const s3 = await server.client().call("GET", { bucket: container, key: "large" })
    assert.ok(Buffer.from(s3.body).equals(content), "S3 reads it too if it is static")
  }
  await go("delete", container, "large")
  assert.equal(await go("list", `${container}_segments`), "")
}

test("swift: a static large object is uploaded, read and deleted", { skip: swift.skip }, () =>
  inSegments("static-large", ["--use-slo"]),
)

test("swift: a dynamic large object is uploaded, read and deleted", { skip: swift.skip }, () =>
  inSegments("dynamic-large", []),
)

test(
  "rclone: a file beyond its chunk size is a large object, copied, read and deleted",
  { skip: rclone.skip },
  async () => {
    const home = await own("rclone-large")
    await mkdir(join(home, "from"), { recursive: true })
    await writeFile(join(home, "from", "large"), bytesFor("rclone-large", 3 * MIB + 1))
    const remote = `:swift,auth='${authUrl}',user='${CREDENTIALS.accessKey}',key='${CREDENTIALS.secretKey}',auth_version=1:`
    const go = (...args: string[]) =>
      runOk(rclone.path, [...args, "--config", join(home, "none.conf"), "--retries", "1", "--swift-chunk-size", "1M"], {
        env: env(),
      })
    await go("copy", join(home, "from"), `${remote}rclone-large`)
    await go("check", join(home, "from"), `${remote}rclone-large`, "--download")
    await go("copyto", `${remote}rclone-large/large`, `${remote}rclone-large/copy`)
    await go("copy", `${remote}rclone-large`, join(home, "back"))
    const back = await treeOf(join(home, "back"))
    assert.equal(back["copy"], back["large"])
    assert.deepEqual(back["large"], (await treeOf(join(home, "from")))["large"])
    await go("deletefile", `${remote}rclone-large/large`)
    await go("deletefile", `${remote}rclone-large/copy`)
    assert.equal((await server.client().call("GET", { bucket: "rclone-large", key: "large" })).status, 404)
  },
)

test("rclone: a tree through Swift is the same tree through S3", { skip: rclone.skip }, async () => {
  const home = await own("rclone")
  await writeTree(join(home, "from"), [0, 1, 4 * KIB, 4 * MIB + 1])
  const remote = `:swift,auth='${authUrl}',user='${CREDENTIALS.accessKey}',key='${CREDENTIALS.secretKey}',auth_version=1:`
  const go = (...args: string[]) =>
    runOk(rclone.path, [...args, "--config", join(home, "none.conf"), "--retries", "1", "--no-unicode-normalization"], {
      env: env(),
    })
  await go("mkdir", `${remote}rclone-container`)
  await go("copy", join(home, "from"), `${remote}rclone-container/tree`)
  await go("check", join(home, "from"), `${remote}rclone-container/tree`, "--download")
  await go("copy", `${remote}rclone-container/tree`, join(home, "back"))
  assert.deepEqual(await treeOf(join(home, "back")), await treeOf(join(home, "from")))
  await go("copyto", `${remote}rclone-container/tree`, `${remote}rclone-container/again`)
  await go("purge", `${remote}rclone-container`)
  assert.equal((await server.client().call("HEAD", { bucket: "rclone-container" })).status, 404)
})

test("duplicity: a backup is made, grows and is restored", { skip: duplicity.skip }, async () => {
  const home = await own("duplicity")
  const from = join(home, "from")
  await writeTree(from, [0, 1, 4 * KIB, MIB])
  const variables = {
    ...env(),
    SWIFT_AUTHURL: authUrl,
    SWIFT_USERNAME: CREDENTIALS.accessKey,
    SWIFT_PASSWORD: CREDENTIALS.secretKey,
    SWIFT_AUTHVERSION: "1",
  }
  const go = (...args: string[]) =>
    runOk(duplicity.path, [...args, "--no-encryption", "--archive-dir", join(home, "archive")], { env: variables })
  const target = "swift://duplicity-container"
  await go("full", from, target)
  await writeFile(join(from, "later"), "written after the first backup")
  await go("incremental", from, target)
  await go("restore", target, join(home, "back"))
  assert.deepEqual(await treeOf(join(home, "back")), await treeOf(from))
})

test("hayloft why explains a request of Swift that was denied, by its transaction", async () => {
  await server.client().call("PUT", { bucket: "why-container" })
  const number = /AUTH_(\d+)/.exec((await signedIn()).url)?.[1] ?? ""
  const denied = await fetch(`${authUrl.replace("/auth/v1.0", "")}/v1/AUTH_${number}/why-container/o`)
  assert.equal(denied.status, 401)
  const why = await runOk(HAYLOFT, ["why", denied.headers.get("x-trans-id") ?? ""], {
    env: { ...process.env, HAYLOFT_DATA: join(folder, "data") },
  })
  assert.match(why, /GetObject/)
  assert.match(why, /arn:aws:s3:::why-container\/o/)
})

async function signedIn(): Promise<{ readonly url: string; readonly token: string }> {
  const headers = { "X-Auth-User": CREDENTIALS.accessKey, "X-Auth-Key": CREDENTIALS.secretKey }
  const answer = await fetch(authUrl, { headers })
  return { url: answer.headers.get("x-storage-url") ?? "", token: answer.headers.get("x-auth-token") ?? "" }
}

test(
  "docs/guide/migrate/from-swift.md: its blocks copy a container from one store to another",
  { skip: swift.skip || rclone.skip },
  async () => {
    const { url, token } = await signedIn()
    const headers = { "X-Auth-Token": token, "X-Object-Meta-Color": "deep blue", "Content-Type": "a/b" }
    await fetch(`${url}/photos`, { method: "PUT", headers: { "X-Auth-Token": token } })
    for (const name of ["one", "dir/two%20words"])
      await fetch(`${url}/photos/${name}`, { method: "PUT", headers, body: name })
    const port = await freePort()
    const to = await ServerProcess.start({
      folders: [join(folder, "new")],
      args: ["--swift-listen", `127.0.0.1:${port}`],
    })
    try {
      const page = await readFile(`${ROOT}docs/guide/migrate/from-swift.md`, "utf8")
      const blocks = [...page.matchAll(/^```sh run\n([^]*?)^```$/gm)].map(([, text = ""]) => text)
      assert.equal(blocks.length, 2)
      const account = (name: string, auth: string) => ({
        [`RCLONE_CONFIG_${name}_TYPE`]: "swift",
        [`RCLONE_CONFIG_${name}_AUTH`]: auth,
        [`RCLONE_CONFIG_${name}_AUTH_VERSION`]: "1",
        [`RCLONE_CONFIG_${name}_USER`]: CREDENTIALS.accessKey,
        [`RCLONE_CONFIG_${name}_KEY`]: CREDENTIALS.secretKey,
        RCLONE_CONFIG: "/dev/null",
      })
      const { ST_AUTH: _auth, ST_USER: _user, ST_KEY: _key, ...plain } = env()
      const variables = {
        ...plain,
        ...account("OLD", authUrl),
        ...account("NEW", `http://127.0.0.1:${port}/auth/v1.0`),
      }
      await runOk("bash", ["-c", `set -euo pipefail\n${blocks.join("\n")}`], { env: variables })
      const copied = await to.client().call("GET", { bucket: "photos", key: "dir/two words" })
      assert.deepEqual(
        [copied.text, copied.header("x-amz-meta-color"), copied.header("content-type")],
        ["dir/two%20words", "deep blue", "a/b"],
      )
    } finally {
      await to.kill()
    }
  },
)
