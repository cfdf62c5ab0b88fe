/** `hayloft config`: every problem of a file at once, and settings with their sources and without secrets. */
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { SETTING_NAMES, SETTINGS } from "@hayloft/node/config/index.js"
import { run } from "../program.js"
import { testIo } from "../testing-io.js"

let folder = ""
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-config-"))
})
after(() => rm(folder, { recursive: true, force: true }))

async function hayloft(args: readonly string[], environment: Record<string, string> = {}) {
  const { io, written } = testIo({ environment, workingFolder: folder })
  return { code: await run(args, io, new AbortController().signal), ...written }
}

test("validate names every problem with its line, and exits with 2", async () => {
  const text = `{\n  "listen": "9000",\n  "lisen": 1,\n  "tlsCert": "c.pem",\n  "cluster": "postgres://u:s3cr3t@db/x"\n}`
  await writeFile(join(folder, "bad.json"), text)
  const { code, out, error } = await hayloft(["config", "validate", "bad.json"])
  assert.equal(code, 2)
  assert.match(out, /^line 2: "listen" in bad\.json: "9000" is not HOST:PORT/)
  assert.match(out, /\nline 3: unknown key "lisen"\n/)
  assert.match(out, /\nline 4: --tls-cert is set without --tls-key; set both or neither\n/)
  assert.match(out, /\nline 5: --cluster needs --master-key-file/)
  assert.equal(out.split("\n").length, 5, out)
  assert.equal(error, "hayloft: bad.json: 4 problems\n")
  assert.doesNotMatch(out + error, /s3cr3t/)
  const json: unknown = JSON.parse((await hayloft(["config", "validate", "bad.json", "--json"])).out)
  assert.ok(typeof json === "object" && json !== null && "problems" in json && Array.isArray(json.problems))
  assert.deepEqual(json.problems[1], { kind: "unknown", line: 3, message: 'unknown key "lisen"' })
})

test("validate finds a wrong value behind a variable, and takes what is missing from the variables", async () => {
  await writeFile(join(folder, "half.json"), `{"scrubDays": 0, "tlsCert": "c.pem"}`)
  const environment = { HAYLOFT_SCRUB_DAYS: "7", HAYLOFT_TLS_KEY: "k.pem" }
  const { code, out } = await hayloft(["config", "validate"], {
    ...environment,
    HAYLOFT_CONFIG: "half.json",
  })
  assert.equal(code, 2)
  assert.match(out, /^line 1: "scrubDays" in half\.json: "0" is not a whole number from 1 to 3650\n$/)
  await writeFile(join(folder, "good.json"), `{"scrubDays": 9, "tlsCert": "c.pem"}`)
  const good = await hayloft(["config", "validate", "good.json"], environment)
  assert.deepEqual([good.code, good.out], [0, "good.json: no problems\n"])
  const none = await hayloft(["config", "validate"])
  assert.deepEqual([none.code, none.error], [2, "hayloft: name a config file, or set HAYLOFT_CONFIG\n"])
})

test("show has every setting with its value and source, and no secret", async () => {
  await writeFile(
    join(folder, "show.json"),
    `{"region": "home",\n"cluster": "postgres://u:s3cr3t@db:5432/x?password=s3cr3t"}`,
  )
  const environment = {
    HAYLOFT_MASTER_KEY_FILE: "m.key",
    HAYLOFT_ROOT_ACCESS_KEY: "AKIASHOWN",
    HAYLOFT_ROOT_SECRET_KEY: "s3cr3t-root",
  }
  const args = ["config", "show", "--config", "show.json", "--log-level", "warn"]
  const { code, out, error } = await hayloft(args, environment)
  assert.equal(code, 0, error)
  for (const name of SETTING_NAMES) assert.match(out, new RegExp(`^${name} `, "m"))
  assert.match(out, /^logLevel +warn +--log-level$/m)
  assert.match(out, /^region +home +"region" in show\.json, line 1$/m)
  assert.match(out, /^cluster +postgres:\/\/u:\*\*\*@db:5432\/x +"cluster" in show\.json, line 2$/m)
  assert.match(out, /^masterKeyFile +m\.key +HAYLOFT_MASTER_KEY_FILE$/m)
  assert.match(out, /^rootSecretKey +\*\*\* +HAYLOFT_ROOT_SECRET_KEY$/m)
  assert.match(out, /^scrubDays +30 +default$/m)
  assert.match(out, /^data +not set +default$/m, "a node has no default folder")
  const lines = (await hayloft([...args, "--json"], environment)).out
  assert.match(
    lines,
    /\{"setting":"domain","variable":"HAYLOFT_DOMAIN","source":"default","where":"default","value":null\}/,
  )
  assert.doesNotMatch(out + lines, /s3cr3t/)
})

test("show lists settings that cannot be used, hides what may be a secret in them, and exits with 2", async () => {
  const environment = { HAYLOFT_KMS_VAULT_URL: "https://user:s3cr3t@vault/v1", HAYLOFT_KMS_VAULT_TOKEN_FILE: "t" }
  const { code, out, error } = await hayloft(["config", "show", "--listen", "nowhere"], environment)
  assert.equal(code, 2)
  assert.match(out, /^listen +nowhere +--listen$/m)
  assert.match(out, /^kmsVaultUrl +https:\/\/vault +HAYLOFT_KMS_VAULT_URL$/m)
  assert.match(error, /--listen: "nowhere" is not HOST:PORT/)
  assert.match(error, /2 problems\n$/)
  assert.doesNotMatch(out + error, /s3cr3t/)
})

test("show hides users and passwords in every URL, and shows the path of one without them", async () => {
  const urls = SETTING_NAMES.filter(name => SETTINGS[name].value === "URL")
  const variables = (url: string) => Object.fromEntries(urls.map(name => [SETTINGS[name].environment, url]))
  for (const url of ["https://user:s3cr3t@host/v3", "ldaps://user:s3cr3t@host", "user:s3cr3t@host"]) {
    const { code, out, error } = await hayloft(["config", "show"], variables(url))
    assert.equal(code, 2)
    for (const name of urls) assert.match(out, new RegExp(`^${name} `, "m"))
    assert.doesNotMatch(out + error, /s3cr3t/)
  }
  const { out } = await hayloft(["config", "show"], { HAYLOFT_SWIFT_KEYSTONE: "https://keystone.example:5000/v3" })
  assert.match(out, /^swiftKeystone +https:\/\/keystone\.example:5000\/v3 /m)
})
