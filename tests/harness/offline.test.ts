/** Programs that tests start can connect only to this machine. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { withFolder } from "./folders.js"
import { awsEnvironment } from "./aws-environment.js"
import { findProgram, run } from "./commands.js"

const NAMES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]

test("every proxy is a closed port of this machine, and requests to this machine use no proxy", async () => {
  for (const name of NAMES) {
    const proxy = new URL(process.env[name] ?? "http://not-set")
    assert.equal(proxy.hostname, "127.0.0.1", `${name}: run the tests with npm test, which sets it`)
    await assert.rejects(fetch(proxy), `${name}: a process listens at ${proxy.host}`)
  }
  for (const name of ["NO_PROXY", "no_proxy"]) {
    assert.deepEqual(process.env[name]?.split(","), ["127.0.0.1", "::1", "localhost", ".localhost"], name)
  }
})

const curl = findProgram("curl")
test("curl reaches no other machine", { skip: curl === undefined ? "curl is not installed" : false }, async () => {
  for (const url of ["http://example.invalid/", "https://example.invalid/"]) {
    const { code, stderr } = await run(curl ?? "", ["-sS", url])
    assert.equal(code, 7, stderr)
    assert.match(stderr, /127\.0\.0\.1/)
  }
})

const aws = findProgram("aws")
test(
  "an AWS CLI without an endpoint does not reach Amazon",
  { skip: aws === undefined ? "aws is not installed" : false },
  () =>
    withFolder(async home => {
      const env = { ...awsEnvironment({ endpoint: "", home }), AWS_ENDPOINT_URL: undefined, AWS_MAX_ATTEMPTS: "1" }
      const { code, stderr } = await run(aws ?? "", ["s3api", "list-buckets"], { env })
      assert.notEqual(code, 0)
      assert.match(stderr, /[Pp]roxy/)
    }),
)
