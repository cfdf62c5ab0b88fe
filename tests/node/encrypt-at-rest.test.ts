/**
 * A store with `--encrypt-at-rest`: no name, body, metadata or tag of an object is in any file of any of its folders.
 * The same search in a store without the switch finds them (`encrypt-existing.test.ts`).
 */
import assert from "node:assert/strict"
import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { run } from "../harness/commands.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { readable } from "../harness/readable.js"
import { withClient } from "../harness/sdk-client.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { ALL_MARKS, check, fill, MASTER_KEY, used } from "./marked-objects.js"

async function volumeBytesIn(device: string): Promise<number> {
  const folder = join(device, "volumes")
  const names = await readdir(folder)
  const sizes = await Promise.all(names.map(async name => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

test("nothing of an object is readable in the folders of a store with --encrypt-at-rest", { timeout: 240_000 }, () =>
  withFolder(async folder => {
    const keyFile = join(folder, "master.key")
    await writeFile(keyFile, MASTER_KEY)
    const [args, env] = [["--metadata-backup-every", "1s"], { HAYLOFT_MASTER_KEY_FILE: keyFile }]
    const folders = ["d1", "d2", "d3", "d4"].map(name => join(folder, name))
    const server = await used(folder, [...args, "--encrypt-at-rest"], env)
    await server.launch()
    await withClient(server, client => fill(client, "third"))
    assert.deepEqual([...(await readable(folders, ALL_MARKS))], [], "while it runs")
    const status = await run(process.execPath, [HAYLOFT, "status", "--data", folders[0] ?? ""], { env })
    assert.match(status.stdout, /encryption +everything on the devices, at rest/)
    await server.backUp()
    await server.stop()
    assert.deepEqual([...(await readable(folders, ALL_MARKS))], [], "after a stop")
    // The switch is stored: a start without it goes on, here with an emptied folder.
    await rm(join(folder, "d2"), { recursive: true })
    await mkdir(join(folder, "d2"))
    const repaired = await ServerProcess.start({ folders, args, env })
    await withClient(repaired, async client => {
      await check(client, ["first", "second", "third"])
      await fill(client, "fourth")
    })
    await until("the folder is repaired", async () => (await volumeBytesIn(join(folder, "d2"))) >= 1_000_000)
    await repaired.stop()
    assert.deepEqual([...(await readable(folders, ALL_MARKS))], [], "after a repair")
  }, quietParent()),
)

test("--encrypt-at-rest is refused without a key file, and while the master key is on the devices", () =>
  withFolder(async folder => {
    const data = join(folder, "d")
    const keyFile = join(folder, "master.key")
    await writeFile(keyFile, MASTER_KEY)
    const refusal = async (...args: string[]): Promise<string> => {
      const ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
      const { code, stderr } = await run(process.execPath, [HAYLOFT, "serve", "--data", data, ...ports, ...args])
      assert.notEqual(code, 0)
      return stderr
    }
    assert.match(await refusal("--encrypt-at-rest"), /--master-key-file.*hayloft key move-out/)
    const server = await ServerProcess.start({ folders: [data] })
    await server.stop()
    assert.match(
      await refusal("--encrypt-at-rest", "--master-key-file", keyFile),
      /on its devices.*hayloft key move-out/,
    )
  }, quietParent()))
