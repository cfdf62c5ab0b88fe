/** Tests of what a start warns of. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { resolveConfig, type Environment } from "@hayloft/node/config/index.js"
import { SimDisk } from "@hayloft/base/seams/disk/sim.js"
import { warningsOf } from "./banner.js"
import { isLoopback } from "../ports/ports.js"

async function warnings(environment: Environment, files: readonly string[] = ["/token"]): Promise<string[]> {
  const disk = new SimDisk().boot()
  for (const path of files) await (await disk.open(path, "create")).close()
  const config = resolveConfig({ flags: {}, environment, file: undefined, workingFolder: "/", hostName: "host" })
  return warningsOf(disk, config, { notes: [], record: { devices: [] }, devices: [] }, isLoopback)
}

test("a key service without TLS on another machine is warned of", async () => {
  const vault = (url: string) => ({ HAYLOFT_KMS_VAULT_URL: url, HAYLOFT_KMS_VAULT_TOKEN_FILE: "/token" })
  const [warning, ...more] = await warnings(vault("http://vault.example.org:8200"))
  assert.match(warning ?? "", /key service http:\/\/vault.example.org:8200 is called without TLS/)
  assert.deepEqual(more, [])
  for (const url of ["https://vault.example.org", "http://127.0.0.1:8200", "http://localhost", "http://[::1]:1"])
    assert.deepEqual(await warnings(vault(url)), [], url)
})

test("keys of clients that are accepted without TLS are warned of", async () => {
  const [warning, ...more] = await warnings({ HAYLOFT_ALLOW_SSE_C_WITHOUT_TLS: "yes" })
  assert.match(warning ?? "", /SSE-C.*without TLS/)
  assert.deepEqual(more, [])
  const tls = { HAYLOFT_TLS_CERT: "/cert.pem", HAYLOFT_TLS_KEY: "/key.pem" }
  assert.deepEqual(await warnings({ HAYLOFT_ALLOW_SSE_C_WITHOUT_TLS: "yes", ...tls }), [])
})

test("files for key services that do not exist are warned of", async () => {
  const services = {
    HAYLOFT_KMS_VAULT_URL: "https://v",
    HAYLOFT_KMS_VAULT_TOKEN_FILE: "/token",
    HAYLOFT_KMS_AWS_REGION: "eu-north-1",
    HAYLOFT_KMS_AWS_CREDENTIALS_FILE: "/aws",
  }
  assert.deepEqual(await warnings(services, ["/token", "/aws"]), [])
  const [token, aws, ...more] = await warnings(services, [])
  assert.match(`${token} ${aws}`, /^\/token does not exist.* \/aws does not exist/)
  assert.deepEqual(more, [])
})
