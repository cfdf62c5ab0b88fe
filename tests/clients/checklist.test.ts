/**
 * The checklist of OpenStack Swift's API against a real server: each line of `swift_checklist.json` has cases in Python, which
 * python-swiftclient drives. The server encrypts its disks, asks a stand-in of Keystone about tokens, and is the one cluster of the
 * realm in which it synchronizes containers.
 */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { createServer, type Server } from "node:http"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createKey, createOtherAccount } from "../harness/accounts.js"
import { findProgram, run } from "../harness/commands.js"
import { freePort } from "../harness/free-port.js"
import { CREDENTIALS, ROOT, ServerProcess } from "../harness/server.js"

const PROGRAM = `${ROOT}tests/clients/swift_checklist.py`
const LINES = `${ROOT}tests/clients/swift_checklist.json`

const INFO_KEY = "key-of-administrators"
const REALM_KEYS = ["key of the realm", "next key of the realm"] as const

interface Result {
  readonly line: string
  readonly about: string
  readonly error: string | null
}

let folder = ""
let server: ServerProcess | undefined
let keystone: Server | undefined

/** Tokens of Keystone by name: the project, and the role in it. */
const tokens = new Map<string, { readonly project: string; readonly role: string }>()

const python = findProgram("python3")
let skip: string | false = "python-swiftclient is not installed"

const portOf = (listening: Server): number => {
  const address = listening.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

/** Returns a server that answers `GET /v3/auth/tokens` like Keystone. */
const serveKeystone = (): Server =>
  createServer((request, response) => {
    const known = tokens.get(String(request.headers["x-subject-token"]))
    if (known === undefined) return void response.writeHead(404).end()
    const { project, role } = known
    const user = { id: `id-of-${role}`, name: `name-of-${role}`, domain: { id: "default" } }
    const token = { expires_at: "2099-01-01T00:00:00.000000Z", user, roles: [{ name: role }], project: { id: project } }
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ token }))
  })

before(async () => {
  const found = python && (await run(python, ["-c", "import swiftclient"]))
  if (found && found.code === 0) skip = false
  folder = await mkdtemp(join(tmpdir(), "hayloft-checklist-"))
})

after(async () => {
  await server?.kill()
  keystone?.close()
  await rm(folder, { recursive: true, force: true })
})

/** Creates the key of an account that may send few requests a second. */
async function createLimitedKey(of: ServerProcess): Promise<typeof CREDENTIALS> {
  for (const args of [
    ["create", "--id", "limited", "limited"],
    ["limit", "limited", "--requests", "1", "--burst", "5"],
  ]) {
    const { code, stderr } = await of.hayloft(["account", ...args])
    assert.equal(code, 0, stderr)
  }
  return createKey(of, "limited")
}

/** Starts the store. Returns what the cases are told of it. */
async function start(): Promise<object> {
  keystone = serveKeystone()
  const listening = keystone
  await new Promise<void>(resolve => listening.listen(0, "127.0.0.1", resolve))
  const keyFile = join(folder, "master.key")
  await writeFile(keyFile, "0".repeat(64))
  const port = await freePort()
  const realms = join(folder, "container-sync-realms.conf")
  const [key1, key2] = REALM_KEYS
  const realm = ["[checklist]", `key = ${key1}`, `key2 = ${key2}`, `cluster_own = http://127.0.0.1:${port}/v1/`]
  await writeFile(realms, realm.join("\n"))
  const data = join(folder, "data")
  const args = [
    "--encrypt-at-rest",
    "--swift-keystone",
    `http://127.0.0.1:${portOf(keystone)}/v3`,
    "--allow-local-identity-providers",
    "--swift-service-accounts",
    "--swift-sync-realms",
    realms,

    "--filter",
    "crossdomain=*.example.com",
    "--filter",
    "domain-remap=storage.example",
    "--swift-hide-info",
    "staticweb",
  ]
  const env = {
    HAYLOFT_MASTER_KEY_FILE: keyFile,
    HAYLOFT_SWIFT_INFO_KEY: INFO_KEY,
    HAYLOFT_SWIFT_LISTEN: `127.0.0.1:${port}`,
    // Jobs rest less: containers are synchronized sooner.
    HAYLOFT_TEST_HASTE: "8",
  }
  server = await ServerProcess.start({ folders: [data], args, env })
  const project = "3f1c9d2e5b7a4c8e9d0f1a2b3c4d5e6f"
  const made = await server.hayloft(["account", "create", "--id", project, "project"])
  assert.equal(made.code, 0, made.stderr)
  for (const role of ["admin", "reader", "other"]) tokens.set(`token-of-${role}`, { project, role })
  tokens.set("token-of-service", { project: "services", role: "service" })
  const [owner, stranger] = [await createOtherAccount(server), await createOtherAccount(server)]
  const limited = await createLimitedKey(server)
  const key = ({ accessKey, secretKey }: typeof CREDENTIALS) => ({ id: accessKey, secret: secretKey })
  return {
    auth: `http://127.0.0.1:${port}/auth/v1.0`,
    s3: server.endpoint,
    project,
    data,
    folder,
    info_key: INFO_KEY,
    realm_keys: REALM_KEYS,
    reseller: key(CREDENTIALS),
    owner: key(owner),
    stranger: key(stranger),
    limited: key(limited),
  }
}

const parseResult = (text: string): Result => JSON.parse(text) as Result

test("every line of the checklist", { timeout: 600_000 }, async context => {
  if (skip !== false || python === undefined) return void context.skip(skip || "python3 is not installed")
  const env = {
    CHECKLIST_STORE: JSON.stringify(await start()),
    PYTHONDONTWRITEBYTECODE: "1",
    LC_ALL: "C.UTF-8",
    HOME: folder,
  }
  const { code, stdout, stderr } = await run(python, [PROGRAM], { env, cwd: folder, timeoutMs: 500_000 })
  assert.equal(code, 0, stderr)
  const results = stdout.trim().split("\n").map(parseResult)
  for (const { line, about, error } of results)
    await context.test(`${line}: ${about}`, () => {
      if (error !== null) assert.fail(error)
    })
  const lines = JSON.parse(await readFile(LINES, "utf8")) as readonly { readonly line: string }[]
  const driven = new Set(results.map(({ line }) => line))
  assert.deepEqual(
    [...driven].filter(line => !lines.some(known => known.line === line)),
    [],
    "cases name lines of the checklist",
  )
  assert.deepEqual(
    lines.map(({ line }) => line).filter(line => !driven.has(line)),
    [],
    "every line has a case",
  )
})
