/** The conformance suite against a server of this checkout: each row is a test. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { Client } from "../../conformance/client.js"
import { KeptConnections, parseEndpoint } from "../../conformance/raw-client.js"
import { ROWS, ROWS_OF_REQUESTS } from "../../conformance/rows/index.js"
import type { Row } from "../../conformance/row.js"
import { ROWS_AT_ONCE, runRow } from "../../conformance/suite.js"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { runningStore } from "./cluster.js"
import { CREDENTIALS, REGION, ServerProcess, type ServerOptions } from "./server.js"
import { createOtherAccount } from "./accounts.js"
import { quietParent } from "./folders.js"

/** A failure shows the end of what the server has logged. */
const LOG_SHOWN = 2_000
/** The seed draws one of so many rows. */
const ROWS_PER_DRAWN = 8

const isDrawn = (_: Row, at: number): boolean => (at + TEST_SEED) % ROWS_PER_DRAWN < runsOf(1)

/** A request of a store of several nodes costs several times as much. */
const drawnRows = () => (runningStore() === undefined ? ROWS : ROWS.filter(isDrawn))

/** All rows but those that `tests/conformance.test.ts` settles for any metadata, of which a few are drawn. */
export const rowsOnMetadata = (): readonly Row[] =>
  ROWS.filter((row, at) => !ROWS_OF_REQUESTS.has(row) || isDrawn(row, at))

/** `environment`: of a server whose folders are in this folder. Resolves with the server once it runs. */
export function conformanceSuite(
  name: string,
  environment: (folder: string) => Promise<Readonly<Record<string, string>>> = () => Promise.resolve({}),
  due = drawnRows(),
  options: Pick<ServerOptions, "threads"> = {},
): Promise<ServerProcess> {
  let folder = ""
  let server: ServerProcess | undefined
  let client: Client | undefined
  let other: Client | undefined
  let kept: KeptConnections | undefined
  let onRunning: (server: ServerProcess) => void = () => undefined
  const running = new Promise<ServerProcess>(resolve => (onRunning = resolve))

  before(async () => {
    folder = await mkdtemp(join(quietParent(), "hayloft-conformance-"))
    const env = { HAYLOFT_ALLOW_SSE_C_WITHOUT_TLS: "yes", ...(await environment(folder)) }
    server = await ServerProcess.start({ folders: [join(folder, "data")], env, ...options })
    const endpoint = parseEndpoint(server.endpoint)
    // The front of a store of several nodes chooses a node for each connection.
    kept = runningStore() === undefined ? new KeptConnections(endpoint) : undefined
    client = new Client(endpoint, CREDENTIALS, REGION, kept)
    other = new Client(endpoint, await createOtherAccount(server), REGION, kept)
    onRunning(server)
  })

  after(async () => {
    kept?.close()
    await server?.kill()
    await rm(folder, { recursive: true, force: true })
  })

  test(name, { concurrency: ROWS_AT_ONCE }, async suite => {
    const rows = due.map(row =>
      suite.test(`${row.id} ${row.title}`, async () => {
        assert.ok(client)
        const { result, message } = await runRow(row, client, { domain: "localhost", other })
        assert.ok(result === "passed", `${result}: ${message}\n${server?.log.slice(-LOG_SHOWN) ?? ""}`)
      }),
    )
    await Promise.all(rows)
  })

  return running
}
