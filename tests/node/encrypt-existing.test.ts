/**
 * An existing store that is started with `--encrypt-at-rest`: afterwards nothing that was in its files before is
 * readable in any of them, and every object is as it was, also if the process is killed in between.
 */
import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { run } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { readable } from "../harness/readable.js"
import { withClient } from "../harness/sdk-client.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"
import { ALL_MARKS, check, fill, LOOK_MS, MASTER_KEY, untilBackedUp, used } from "./marked-objects.js"

const ROUNDS = ["first", "second", "third"]

const isOver = async (server: ServerProcess): Promise<boolean> =>
  /"isEncryptedAtRest":true/.test(JSON.stringify(await server.report("/v1/status")))

async function untilConverted(server: ServerProcess): Promise<void> {
  while (!(await isOver(server))) await wait(LOOK_MS)
}

test("an existing store is encrypted, also if it is killed in between", { timeout: 400_000 }, () =>
  withFolder(async folder => {
    const keyFile = join(folder, "master.key")
    await writeFile(keyFile, MASTER_KEY)
    const [args, env] = [["--metadata-backup-every", "1s"], { HAYLOFT_MASTER_KEY_FILE: keyFile }]
    const folders = ["d1", "d2", "d3", "d4"].map(name => join(folder, name))
    const plain = await used(folder, args, env)
    await untilBackedUp(plain)
    await plain.kill()
    const before = await readable(folders, ALL_MARKS)
    for (const mark of ALL_MARKS)
      assert.ok(
        [...before.values()].some(marks => marks.includes(mark)),
        mark,
      )

    const server = await ServerProcess.start({ folders, args: [...args, "--encrypt-at-rest"], env })
    assert.equal(await isOver(server), false)
    const status = await run(process.execPath, [HAYLOFT, "status", "--data", folders[0] ?? ""], { env })
    assert.match(status.stdout, /encryption +being encrypted: \d+ % of the objects/)
    await withClient(server, async client => {
      await check(client, ROUNDS)
      await fill(client, "fourth")
    })
    for (const pauseMs of [500, 4_000]) {
      await wait(pauseMs)
      await server.kill()
      await server.launch()
      await withClient(server, client => check(client, [...ROUNDS, "fourth"]))
    }
    await untilConverted(server)
    assert.deepEqual([...(await readable(folders, ALL_MARKS))], [], "while it runs")
    await withClient(server, client => check(client, [...ROUNDS, "fourth"]))
    await server.stop()
    assert.deepEqual([...(await readable(folders, ALL_MARKS))], [], "after a stop")
    // The switch is stored; plain files are damage from now on.
    const again = await ServerProcess.start({ folders, args, env })
    assert.equal(await isOver(again), true)
    await withClient(again, client => check(client, [...ROUNDS, "fourth"]))
    await again.stop()
  }),
)
