/**
 * A row that is too long for the metadata store of a real server, as an earlier release could write it: a message of a queue,
 * in a copy of the program whose metadata store takes less than its services. Checkpoints go on, also after kills.
 */
import assert from "node:assert/strict"
import { join } from "node:path"
import { after, test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { freePort } from "../harness/free-port.js"
import { withFolder } from "../harness/folders.js"
import { PlantedCopies } from "../harness/planted-copies.js"
import { QueueClient } from "../harness/queue-client.js"
import { CREDENTIALS, withServer, type ServerProcess } from "../harness/server.js"

const LOOK_MS = 200
const KILLS = runsOf(3)
/** More than the copy of the program keeps in one row, and less than a queue takes. */
const MESSAGE = "m".repeat(1_000_000)
const SMALL = "s".repeat(3_000)
const NAMED = /1 metadata row set aside, too long for the metadata store: queueContents \\?"/

const copies = new PlantedCopies()
after(() => copies.remove())

/** The folder of a program whose metadata store takes shorter values. */
const narrowProgram = (): string =>
  copies.bundled(
    [
      {
        file: "packages/base/src/seams/store/contract.ts",
        find: "VALUE_BYTES_MAX = ENTRY_BYTES_MAX + STORED_VALUE_OVERHEAD_BYTES_MAX",
        put: "VALUE_BYTES_MAX = ENTRY_BYTES_MAX / 2 + STORED_VALUE_OVERHEAD_BYTES_MAX",
      },
    ],
    "0.1.0",
  )

const readiness = async (server: ServerProcess): Promise<string> => (await server.admin("GET", "/health/ready")).text

const asideRows = async (server: ServerProcess): Promise<string | undefined> =>
  /^hayloft_metadata_rows_set_aside\{.*\} (\d+)$/m.exec(await server.metrics())?.[1]

async function untilAside(server: ServerProcess, rows: string): Promise<void> {
  const areAside = async (): Promise<boolean> => {
    assert.doesNotMatch(server.log, /checkpoint_failed/)
    return (await asideRows(server)) === rows
  }
  await until(`${rows} rows are set aside`, areAside, LOOK_MS)
}

test("a message that the metadata store cannot take stops no checkpoint, and is delivered after kills", () =>
  withFolder(async folder => {
    const host = `127.0.0.1:${await freePort()}`
    const data = join(folder, "data")
    const options = { folders: [data], args: ["--queue-listen", host], root: narrowProgram() }
    await withServer(options, async server => {
      const queues = new QueueClient({ host, ...CREDENTIALS })
      const put = async (key: string) =>
        assert.equal(
          (await server.client().call("PUT", { bucket: "bucket", key, body: Buffer.from(SMALL) })).status,
          200,
        )
      try {
        assert.equal((await server.client().call("PUT", { bucket: "bucket" })).status, 200)
        const id = await queues.add("work", MESSAGE, "?retry=0&ttl=3600")
        await put("before")
        await untilAside(server, "1")
        for (let kill = 0; kill < KILLS; kill += 1) {
          await server.kill()
          await server.launch()
          await put(`after kill ${kill}`)
          await untilAside(server, "1")
        }
        assert.match(await readiness(server), NAMED)
        const status = await server.hayloft(["status"])
        assert.match(status.stdout, NAMED)
        assert.match(server.log, /metadata_row_set_aside/)

        assert.equal(await server.stop(), 0)
        const inspected = await server.hayloft(["volume", "inspect", join(data, "base")])
        assert.match(inspected.stdout, /row family=queueContents row=[0-9a-f]+ setAside=true valueBytes=1000\d\d\d/)
        const checked = await server.hayloft(["volume", "fsck", data])
        assert.deepEqual([checked.code, /^aside row=queueContents "/m.test(checked.stdout)], [0, true], checked.stderr)

        await server.launch()
        const [job] = await queues.get("work")
        assert.deepEqual([job?.id, job?.body], [id, MESSAGE])
        assert.equal(await queues.ack([id]), 1)
        await untilAside(server, "0")
        assert.doesNotMatch(await readiness(server), /set aside/)
        for (const key of ["before", `after kill ${KILLS - 1}`])
          assert.equal((await server.client().call("GET", { bucket: "bucket", key })).text, SMALL)
      } finally {
        queues.close()
      }
    })
  }))
