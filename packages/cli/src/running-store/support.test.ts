/** A support bundle of a real store that has every kind of secret: none is in any of its files, in any usual form. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { after, before, test } from "node:test"
import { promisify } from "node:util"
import { createHash } from "node:crypto"
import { gunzipSync } from "node:zlib"
import { signRequest, UNSIGNED_PAYLOAD } from "@hayloft/access/sigv4.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { ROOT_KEY, StoreProcess } from "@hayloft/client/testing-store-process.js"
import { withoutSecrets } from "./support-secrets.js"
import { runHayloft, type Outcome } from "../testing-process.js"

const clock = new RealClock()
let folder = ""
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-support-"))
})
after(() => rm(folder, { recursive: true, force: true }))

async function succeeds(args: readonly string[], environment: Record<string, string> = {}): Promise<string> {
  const { code, out, error }: Outcome = await runHayloft(args, { environment, workingFolder: folder })
  assert.equal(code, 0, `hayloft ${args.join(" ")}: ${error}`)
  return out.toString("utf8")
}

/** The files of a bundle, as any tar unpacks them. */
async function filesOf(bundle: string): Promise<Map<string, string>> {
  const into = join(folder, `unpacked-${basename(bundle)}`)
  await mkdir(into)
  await promisify(execFile)("tar", ["-xzf", bundle, "-C", into])
  const entries = await readdir(into, { recursive: true, withFileTypes: true })
  const files = entries.filter(entry => entry.isFile())
  return new Map(
    await Promise.all(
      files.map(async ({ name, parentPath }) => [name, await readFile(join(parentPath, name), "latin1")] as const),
    ),
  )
}

function hasNone(files: ReadonlyMap<string, string>, secrets: Readonly<Record<string, Buffer>>): void {
  for (const [what, secret] of Object.entries(secrets)) {
    const base64 = secret.toString("base64").replace(/=+$/, "")
    const forms = [secret.toString("latin1"), base64, secret.toString("base64url"), secret.toString("hex")]
    for (const [name, text] of files)
      for (const form of forms)
        assert.ok(!text.toLowerCase().includes(form.toLowerCase()), `${what} is in ${name} as ${form.slice(0, 8)}…`)
  }
}

test("the bundle of a running store has what a report needs, and none of its secrets", async () => {
  const data = join(folder, "data")
  const key = createHash("sha256").update("master").digest()
  const sseKey = createHash("sha256").update("customer").digest()
  const token = "hvs.THE-TOKEN-OF-VAULT-0123456789"
  const [keyFile, tokenFile] = [join(folder, "master.key"), join(folder, "vault.token")]
  await writeFile(keyFile, key.toString("hex"), { mode: 0o600 })
  await writeFile(tokenFile, token, { mode: 0o600 })
  const args = [
    "--master-key-file",
    keyFile,
    "--allow-sse-c-without-tls",
    "--kms-vault-url",
    "http://127.0.0.1:9",
    "--kms-vault-token-file",
    tokenFile,
  ]
  const store = await StoreProcess.start({ dataFolders: [data], args }, clock)
  try {
    const environment = {
      HAYLOFT_DATA: data,
      HAYLOFT_MASTER_KEY_FILE: keyFile,
      HAYLOFT_LISTEN: "127.0.0.1:0",
      HAYLOFT_KMS_VAULT_URL: "http://127.0.0.1:9",
      HAYLOFT_KMS_VAULT_TOKEN_FILE: tokenFile,
      HAYLOFT_ADMIN_LISTEN: "127.0.0.1:0",
    }
    const account: unknown = JSON.parse(await succeeds(["account", "create", "reader", "--json"], environment))
    assert.ok(typeof account === "object" && account !== null && "id" in account)
    const created = await succeeds(["key", "create", "--account", String(account.id), "--json"], environment)
    const [, accountSecret = ""] = /"secretAccessKey":"([^"]+)"/.exec(created) ?? []
    assert.ok(accountSecret.length > 8, created)
    await putSealed(store, sseKey)
    const [, adminToken = ""] =
      /HAYLOFT_ADMIN_TOKEN='([^']+)'/.exec(await succeeds(["env", "--admin"], environment)) ?? []
    assert.ok(adminToken.length > 8)

    const [, readToken = ""] =
      /"token":"([^"]+)"/.exec(
        await succeeds(["token", "create", "laptop", "--scope", "read", "--json"], environment),
      ) ?? []
    assert.ok(readToken.length > 8)

    const bundle = join(folder, "bundle.tar.gz")
    assert.match(await succeeds(["support", "bundle", bundle], environment), /^\/\S+bundle\.tar\.gz: [\d.]+ KiB\n$/)
    const files = await filesOf(bundle)
    assert.deepEqual([...files.keys()].sort(), [
      "README.txt",
      "devices.json",
      "doctor.json",
      "jobs.json",
      "layout.json",
      "metrics.txt",
      "redundancy.json",
      "repair.json",
      "scrub.json",
      "settings.json",
      "status.json",
      "versions.json",
    ])
    assert.match(files.get("metrics.txt") ?? "", /^# TYPE hayloft_/m)
    assert.match(files.get("status.json") ?? "", /"policy"/)
    assert.match(files.get("doctor.json") ?? "", /"check": "space"/)
    assert.match(files.get("settings.json") ?? "", /HAYLOFT_MASTER_KEY_FILE/)
    hasNone(files, {
      "the root key": Buffer.from(ROOT_KEY.secretAccessKey),
      "the admin token": Buffer.from(adminToken),
      "the key of an account": Buffer.from(accountSecret),
      "the token of Vault": Buffer.from(token),
      "the master key": key,
      "the text of the master key": Buffer.from(key.toString("hex")),
      "the key of a client": sseKey,
      "another token of the admin API": Buffer.from(readToken),
    })
    assert.equal((await stat(bundle)).mode & 0o777, 0o600)
    const again = await runHayloft(["support", "bundle", bundle], { environment })
    assert.equal(again.code, 6, "an existing file stays")
  } finally {
    await store.stop()
  }
})

test("without a store there is a bundle too, and the password of the database is not in it", async () => {
  const password = "p%40ss-of-the-database"
  const config = { cluster: `postgres://hay:${password}@127.0.0.1:9/x`, masterKeyFile: "absent.key" }
  await writeFile(join(folder, "cluster.json"), JSON.stringify(config))
  const bundle = join(folder, "stopped.tar.gz")
  const environment = {
    HAYLOFT_ROOT_ACCESS_KEY: "AKIAROOT",
    HAYLOFT_ROOT_SECRET_KEY: "root-secret-in-environment",
    HAYLOFT_LISTEN: "127.0.0.1:0",
    HAYLOFT_ADMIN_LISTEN: "127.0.0.1:0",
    HAYLOFT_NODE_LISTEN: "127.0.0.1:0",
  }
  const out = await succeeds(["support", "bundle", bundle, "--config", "cluster.json"], environment)
  assert.match(out, /^missing: what the running store says: /)
  const files = await filesOf(bundle)
  assert.match(files.get("README.txt") ?? "", /\nMissing: what the running store says/)
  assert.match(files.get("doctor.json") ?? "", /"check": "database"/)
  assert.match(files.get("settings.json") ?? "", /postgres:\/\/hay:\*\*\*@127\.0\.0\.1:9\/x/)
  hasNone(files, {
    "the password": Buffer.from(password),
    "the decoded password": Buffer.from(decodeURIComponent(password)),
    "the root key": Buffer.from(environment.HAYLOFT_ROOT_SECRET_KEY),
  })
  assert.ok(gunzipSync(await readFile(bundle)).length % 512 === 0)
})

test("known secrets are hidden in every usual form, and short words are not", () => {
  const hex = "0123456789abcdef".repeat(4)
  const bytes = Buffer.from(hex, "hex")
  const text = [hex, bytes.toString("base64"), Buffer.from("se/cr+et").toString("base64"), "se/cr+et", "se%2Fcr%2Bet"]
  const hidden = withoutSecrets(`${text.join(" ")} yes`, [hex, "se/cr+et", "yes"])
  assert.match(hidden, /^\*\*\* \*\*\*=? \*\*\*=? \*\*\* \*\*\* yes$/)
})

/** An object that is encrypted with a key of the client. */
async function putSealed(store: StoreProcess, key: Buffer): Promise<void> {
  const { endpoint, region, accessKeyId, secretAccessKey: secret } = await store.access()
  const { host } = new URL(endpoint)
  const md5 = createHash("md5").update(key).digest("base64")
  const sealed = [
    "x-amz-server-side-encryption-customer-algorithm",
    "AES256",
    "x-amz-server-side-encryption-customer-key",
    key.toString("base64"),
    "x-amz-server-side-encryption-customer-key-md5",
    md5,
  ]
  for (const [rawTarget, extra] of [
    ["/sealed", []],
    ["/sealed/object", sealed],
  ] as const) {
    const request = { method: "PUT", rawTarget, rawHeaders: ["host", host, ...extra] }
    const terms = { accessKeyId, secret, region, service: "s3" }
    const { rawHeaders } = signRequest(request, UNSIGNED_PAYLOAD, terms, clock.wallMs())
    const headers = new Headers()
    for (let at = 2; at < rawHeaders.length; at += 2) headers.set(rawHeaders[at] ?? "", rawHeaders[at + 1] ?? "")
    const answer = await fetch(`${endpoint}${rawTarget}`, {
      method: "PUT",
      headers,
      body: extra.length > 0 ? "text" : "",
    })
    assert.equal(answer.status, 200, await answer.text())
  }
}
