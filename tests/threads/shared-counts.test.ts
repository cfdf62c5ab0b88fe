/** Front threads count together what limits a client: attempts with a wrong secret, and what `hayloft status` shows of rates. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { z } from "zod"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { createOtherAccount } from "../harness/accounts.js"
import { withFolder } from "../harness/folders.js"
import { noNode24 } from "../harness/new-node.js"
import { CREDENTIALS, REGION, withServer, type ServerProcess } from "../harness/server.js"

/** Four threads that count alone would each allow five wrong secrets. */
const THREADS = 4
const ATTEMPTS = 80
const COMPARED_MAX = 14
const LOOK_MS = 50

const withThreads = (work: (server: ServerProcess) => Promise<void>): Promise<void> =>
  withFolder(folder => withServer({ folders: [join(folder, "data")], threads: THREADS }, work))

test("wrong secrets count for all front threads", { skip: noNode24 }, () =>
  withThreads(async server => {
    const wrong = new Client(parseEndpoint(server.endpoint), { ...CREDENTIALS, secretKey: "wrong" }, REGION)
    // Each has a connection of its own, which any of the threads gets.
    const statuses: number[] = []
    for (let i = 0; i < ATTEMPTS; i += 1) statuses.push((await wrong.call("GET", {})).status)
    const compared = statuses.filter(status => status === 403).length
    assert.ok(compared >= 5 && compared <= COMPARED_MAX, statuses.join(" "))
    assert.deepEqual(new Set(statuses), new Set([403, 503]))
  }),
)

const STATUS = z.object({ rates: z.array(z.object({ id: z.string(), refused: z.number() })).optional() })

test("the status shows whose limits of rates front threads have applied", { skip: noNode24 }, () =>
  withThreads(async server => {
    const limited = await createOtherAccount(server)
    const set = await server.hayloft(["key", "limit", limited.accessKey, "--requests", "4"])
    assert.equal(set.code, 0, set.stderr)
    const client = server.client(limited)
    let refused = 0
    while (refused < THREADS) refused += (await client.call("GET", {})).status === 503 ? 1 : 0
    const shown = async (): Promise<number> => {
      const { rates = [] } = STATUS.parse(await server.report("/v1/status"))
      return rates.find(({ id }) => id === limited.accessKey)?.refused ?? 0
    }
    while ((await shown()) < refused) await later(LOOK_MS)
    assert.equal(await shown(), refused)
  }),
)
