/**
 * An existing store that is started with `--encrypt-at-rest`: afterwards nothing that was in its files before is
 * readable in any of them, and every object is as it was: also if the process is killed in each phase, and if a device is
 * away at first. Commands on a stopped store, and a rescue, open it in between.
 */
import assert from "node:assert/strict"
import { rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { run, type CommandResult } from "../harness/commands.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { readable } from "../harness/readable.js"
import { withClient } from "../harness/sdk-client.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { ALL_MARKS, check, fill, MASTER_KEY, used } from "./marked-objects.js"

const ROUNDS = ["first", "second"]
const BACKUPS = ["--metadata-backup-every", "1s"]

const statusOf = async (server: ServerProcess): Promise<string> => JSON.stringify(await server.report("/v1/status"))
const OVER = '"isEncryptedAtRest":true'
const isOver = async (server: ServerProcess): Promise<boolean> => (await statusOf(server)).includes(OVER)

/** Waits until the status has this text, or the store is encrypted. */
async function untilShown(server: ServerProcess, text: RegExp): Promise<void> {
  const isSo = async () => {
    const status = await statusOf(server)
    return text.test(status) || status.includes(OVER)
  }
  await until(async () => `it says ${text}: ${await stuckOf(server)}`, isSo)
}

/** The reason why it is stuck: bytes of a device that was offline for a moment, for example, wait for a day. */
async function stuckOf(server: ServerProcess): Promise<string> {
  const pending = JSON.stringify(await server.report("/v1/pending"))
  const warnings = server.log.split("\n").filter(line => / (?:warn|error) /.test(line))
  return [await statusOf(server), pending, ...warnings].join("\n")
}

const untilConverted = (server: ServerProcess): Promise<void> => untilShown(server, new RegExp(OVER))

interface PlainStore {
  readonly at: (name: string) => string
  readonly folders: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly hayloft: (...args: string[]) => Promise<CommandResult>
}

/** A store of four devices, with its log as a crash leaves it, and all marks readable. */
const withPlainStore = (isBackedUp: boolean, use: (store: PlainStore) => Promise<void>): Promise<void> =>
  withFolder(async folder => {
    const keyFile = join(folder, "master.key")
    await writeFile(keyFile, MASTER_KEY)
    const env = { HAYLOFT_MASTER_KEY_FILE: keyFile }
    const folders = ["d1", "d2", "d3", "d4"].map(name => join(folder, name))
    // The process that is killed makes no backup: killed during one, it would leave plain blocks for a day.
    await used(folder, [], env, async () => {
      if (!isBackedUp) return
      const plain = await ServerProcess.start({ folders, args: BACKUPS, env })
      await plain.backUp()
      await plain.stop()
    })
    const before = await readable(folders, ALL_MARKS)
    for (const mark of ALL_MARKS)
      assert.ok(
        [...before.values()].some(marks => marks.includes(mark)),
        mark,
      )
    const hayloft = (...args: string[]) => run(process.execPath, [HAYLOFT, ...args], { env })
    await use({ at: name => join(folder, name), folders, env, hayloft })
  }, quietParent())

const begin = ({ env }: PlainStore, folders: readonly string[]): Promise<ServerProcess> =>
  ServerProcess.start({ folders, args: [...BACKUPS, "--encrypt-at-rest"], env })

/** The switch is stored; plain files are damage from now on. */
async function checkConverted({ folders, env }: PlainStore, rounds: readonly string[]): Promise<void> {
  assert.deepEqual([...(await readable(folders, ALL_MARKS))], [])
  const again = await ServerProcess.start({ folders, args: BACKUPS, env })
  assert.equal(await isOver(again), true)
  await withClient(again, client => check(client, rounds))
  await again.stop()
  assert.deepEqual([...(await readable(folders, ALL_MARKS))], [])
}

/** Commands on a stopped store work in the middle of the conversion. */
async function checkStopped({ folders, at, env, hayloft }: PlainStore, rounds: readonly string[]): Promise<void> {
  const [folder = ""] = folders
  const checked = await hayloft("volume", "fsck", folder)
  assert.equal(checked.code, 0, `${checked.stdout}${checked.stderr}`)
  const base = await hayloft("volume", "inspect", join(folder, "base"))
  assert.equal(base.code, 0, base.stderr)
  const to = at("rescued")
  const from = folders.flatMap(folder => ["--from", folder])
  const { code, stdout, stderr } = await hayloft("rescue", ...from, "--to", to)
  assert.equal(code, 0, `${stdout}${stderr}`)
  assert.deepEqual([...(await readable([to], ALL_MARKS))], [], "what is rescued is encrypted at once")
  const rescued = await ServerProcess.start({ folders: [to], env })
  assert.equal(await isOver(rescued), true)
  await withClient(rescued, client => check(client, rounds))
  await rescued.stop()
}

test(
  "an existing store is encrypted, also if it is killed in each phase, and checked, inspected and rescued in between",
  { timeout: 400_000 },
  () =>
    withPlainStore(true, async store => {
      const { folders, hayloft } = store
      const rounds = [...ROUNDS, "third"]
      const server = await begin(store, folders)
      assert.equal(await isOver(server), false)
      const status = await hayloft("status", "--data", folders[0] ?? "")
      assert.match(status.stdout, /encryption +being encrypted: \d+ % of the objects/)
      await withClient(server, async client => {
        await fill(client, "third")
        await server.backUp()
      })
      await untilShown(server, /"percent":[1-9]/)
      await server.kill()
      assert.ok((await readable(folders, ALL_MARKS)).size > 0, "it is half done")
      await checkStopped(store, rounds)
      await server.launch()
      for (const phase of [/waits for backups/, /waits (for checkpoints|until released)/, /are left/]) {
        await untilShown(server, phase)
        await server.kill()
        await server.launch()
        await withClient(server, client => check(client, rounds))
      }
      await untilConverted(server)
      assert.deepEqual([...(await readable(folders, ALL_MARKS))], [], "while it runs")
      await server.stop()
      await checkConverted(store, rounds)
    }),
)

test("a device that is away keeps the conversion open until it has returned", { timeout: 400_000 }, () =>
  // A backup that is removed while the device is away stays on it for a day after its return.
  withPlainStore(false, async store => {
    const { folders, at } = store
    await rename(at("d4"), at("away"))
    const present = folders.slice(0, 3)
    const server = await begin(store, present)
    await untilShown(server, /"isOffline":true,"left":"the device is offline"/)
    // Objects with shards on it wait for it; inline ones do not.
    const waits = async () => /could not be encrypted yet/.test(JSON.stringify(await server.report("/v1/jobs")))
    await until("objects with shards on it wait", waits)
    assert.equal(await isOver(server), false)
    await withClient(server, client => check(client, ROUNDS))
    await server.stop()
    assert.ok((await readable([at("away")], ALL_MARKS)).size > 0)
    await rename(at("away"), at("d4"))
    const whole = await ServerProcess.start({ folders, args: BACKUPS, env: store.env })
    await untilConverted(whole)
    await withClient(whole, client => check(client, ROUNDS))
    await whole.stop()
    assert.deepEqual([...(await readable(folders, ALL_MARKS))], [])
  }),
)
