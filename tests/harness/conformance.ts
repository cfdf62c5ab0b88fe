/** The conformance suite against a server of this checkout: each row is a test. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { ROWS } from "../../conformance/rows/index.js"
import { ROWS_AT_ONCE, runRow } from "../../conformance/suite.js"
import { runsOf, TEST_SEED } from "../../src/base/testing-seed.js"
import { runningStore } from "./cluster.js"
import { CREDENTIALS, REGION, ServerProcess } from "./server.js"
import { createOtherAccount } from "./accounts.js"

/** A request of a store of several nodes costs several times as much: of so many rows the seed draws one. */
const ROWS_PER_DRAWN = 20
/** With eight times the runs of a landing all of them are drawn. */
const DRAWN = runsOf(3) - 2

const drawnRows = () =>
  runningStore() === undefined ? ROWS : ROWS.filter((_, at) => (at + TEST_SEED) % ROWS_PER_DRAWN < DRAWN)

/** `environment`: of a server whose folders are in this folder. */
export function conformanceSuite(
  name: string,
  environment: (folder: string) => Promise<Readonly<Record<string, string>>> = () => Promise.resolve({}),
): void {
  let folder = ""
  let server: ServerProcess | undefined
  let client: Client | undefined
  let other: Client | undefined

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "hayloft-conformance-"))
    const env = { HAYLOFT_ALLOW_SSE_C_WITHOUT_TLS: "yes", ...(await environment(folder)) }
    server = await ServerProcess.start({ folders: [join(folder, "data")], env })
    const endpoint = parseEndpoint(server.endpoint)
    client = new Client(endpoint, CREDENTIALS, REGION)
    other = new Client(endpoint, await createOtherAccount(server), REGION)
  })

  after(async () => {
    await server?.kill()
    await rm(folder, { recursive: true, force: true })
  })

  test(name, { concurrency: ROWS_AT_ONCE }, async suite => {
    const rows = drawnRows().map(row =>
      suite.test(`${row.id} ${row.title}`, async () => {
        assert.ok(client)
        const { result, message } = await runRow(row, client, { domain: "localhost", other })
        assert.ok(result === "passed", `${result}: ${message}`)
      }),
    )
    await Promise.all(rows)
  })
}
