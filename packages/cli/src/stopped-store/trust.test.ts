/** Commands and a store with its own certificate: trusted where it is known, refused elsewhere. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { createServer } from "node:https"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { TEST_CERTIFICATES } from "@hayloft/protocols/http/testing-certificates.js"
import { StoreProcess } from "@hayloft/client/testing-store-process.js"
import { runHayloft, runProcess } from "../testing-process.js"

/** The certificate is for 127.0.0.1 and localhost: the name of this address is not in it. */
const UNNAMED = "127.0.0.2:0"
let folder = ""
let data = ""
let store: StoreProcess | undefined

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-trust-"))
  data = join(folder, "data")
  await writeFile(join(folder, "cert.pem"), TEST_CERTIFICATES.first.cert)
  await writeFile(join(folder, "key.pem"), TEST_CERTIFICATES.first.key)
  const args = ["--tls-cert", join(folder, "cert.pem"), "--tls-key", join(folder, "key.pem")]
  store = await StoreProcess.start({ dataFolders: [data], listen: UNNAMED, args }, new RealClock())
})

after(async () => {
  await store?.stop()
  await rm(folder, { recursive: true, force: true })
})

const local = (args: readonly string[], nodeArgs: readonly string[] = []) =>
  runHayloft(args, { environment: { HAYLOFT_DATA: data }, workingFolder: folder, nodeArgs })

test("the store in the data folder is trusted by its certificate, whatever its address", async () => {
  const { code, error } = await local(["mb", "s3://secure"])
  assert.equal(code, 0, error)
  assert.equal((await local(["ls"])).out.toString("utf8").includes("secure"), true)
  const bench = await local([
    "bench",
    "--seconds",
    "0.1",
    "--sizes",
    "1KiB",
    "--concurrency",
    "1",
    "--keys",
    "2",
    "--ops",
    "put",
  ])
  assert.equal(bench.code, 0, bench.error)
})

test("env passes the certificate on; without it, the store is not trusted", async () => {
  const lines = (await local(["env"])).out.toString("utf8")
  const shell = await runProcess("sh", ["-c", `${lines}\nenv`])
  const environment: Record<string, string> = {}
  for (const line of shell.out.toString("utf8").split("\n")) {
    const [, name, value] = /^(AWS_\w+)=(.*)$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) environment[name] = value
  }
  assert.equal(environment["AWS_CA_BUNDLE"], join(folder, "cert.pem"))
  // Named by the environment, the certificate must also be one for the address.
  const endpoint = String(environment["AWS_ENDPOINT_URL"])
  const unnamed = await runHayloft(["ls"], { environment })
  assert.deepEqual(
    [unnamed.code, /127\.0\.0\.2 is not in the cert's list/.test(unnamed.error)],
    [5, true],
    unnamed.error,
  )
  const { AWS_CA_BUNDLE: _, ...without } = environment
  const refused = await runHayloft(["ls"], { environment: without })
  assert.equal(refused.code, 5)
  assert.match(refused.error, new RegExp(`cannot reach ${endpoint} \\(self.signed certificate; .*AWS_CA_BUNDLE`))
  const missing = await runHayloft(["ls"], { environment: { ...environment, AWS_CA_BUNDLE: join(folder, "none") } })
  assert.deepEqual([missing.code, /AWS_CA_BUNDLE: cannot read/.test(missing.error)], [2, true], missing.error)
})

test("a server at the store's address with another certificate is refused, before anything is sent", async () => {
  let requests = 0
  const { cert, key } = TEST_CERTIFICATES.second
  const impostor = createServer({ cert, key }, (_, response) => {
    requests += 1
    response.end()
  })
  await new Promise<void>(resolve => impostor.listen(0, "127.0.0.1", resolve))
  try {
    await store?.stop()
    const address = impostor.address()
    assert.ok(typeof address === "object" && address !== null)
    const path = join(data, "runtime")
    const runtime: unknown = JSON.parse(await readFile(path, "utf8"))
    assert.ok(typeof runtime === "object" && runtime !== null)
    await writeFile(path, JSON.stringify({ ...runtime, endpoint: `https://127.0.0.1:${address.port}` }))
    const { code, error } = await local(["ls"])
    assert.equal(code, 5, error)
    assert.match(error, /self.signed certificate/)
    assert.equal(requests, 0)
  } finally {
    await new Promise(resolve => impostor.close(resolve))
  }
})
