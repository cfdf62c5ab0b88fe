/**
 * A start that fails touches nothing, whatever the reason: the data folders of a store have the same files with the same
 * bytes as before, and folders of a store that was to be made do not exist.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { Readable } from "node:stream"
import type { CliIo } from "@hayloft/cli/io.js"
import { run } from "@hayloft/cli/program.js"
import { serve } from "@hayloft/server/serve.js"
import { StopSignals } from "@hayloft/server/process/stop-signals.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealLocks } from "@hayloft/base/seams/folder-lock/index.js"
import { withFolder } from "../harness/folders.js"

const ANY_PORTS = { HAYLOFT_LISTEN: "127.0.0.1:0", HAYLOFT_ADMIN_LISTEN: "127.0.0.1:0" }
const clock = new RealClock()
const taken = createServer()
let takenPort = 0
/** Folders of a stopped store. */
let known = ""
before(async () => {
  await new Promise<void>(resolve => taken.listen(0, "127.0.0.1", resolve))
  takenPort = (taken.address() as AddressInfo).port
  known = await mkdtemp(join(tmpdir(), "hayloft-known-"))
  await writeFile(join(known, "key"), KEY, { mode: 0o600 })
  const made = await start([
    ...dataOf(known).flatMap(path => ["--data", path]),
    "--master-key-file",
    join(known, "key"),
  ])
  assert.deepEqual(made, { code: 0, error: "" })
})
after(async () => {
  await new Promise(resolve => taken.close(resolve))
  await rm(known, { recursive: true, force: true })
})

interface Outcome {
  readonly code: number
  readonly error: string
}

const KEY = "cd".repeat(32)
const dataOf = (folder: string): readonly string[] => ["a", "b", "c"].map(name => join(folder, name))

/** Runs `hayloft serve` in this process; a start that succeeds is stopped. */
async function start(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  let error = ""
  const signals = new StopSignals(clock, () => assert.fail("one signal ends it"))
  const io: CliIo = {
    programs: {
      serve: (config, given) => serve(config, given, signals),
      launch: () => assert.fail("not launched here"),
      run: () => assert.fail("not run here"),
      rescue: () => Promise.reject(new Error("not needed")),
    },
    environment: { ...ANY_PORTS, ...environment },
    workingFolder: "/",
    hostName: "host",
    clock,
    out: () => Promise.resolve(signals.take()),
    error: text => void (error += text),
    input: Readable.from([]),
    inputIsTerminal: false,
    outIsTerminal: false,
    errorIsTerminal: false,
  }
  const code = await run(["serve", "--log-level", "error", ...args], io, signals.stop)
  return { code, error }
}

/** Every file and folder below a folder, files with a hash of their bytes. */
async function contentsOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const lines = entries.map(async entry => {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile()) return `${path} ${entry.isDirectory() ? "folder" : "other"}`
    return `${path} ${createHash("sha256")
      .update(await readFile(path))
      .digest("hex")}`
  })
  return (await Promise.all(lines)).sort()
}

interface Scene {
  /** Data folders of a stopped store with a master key in a file, or folders that do not exist. */
  readonly data: readonly string[]
  readonly isNew: boolean
  /** A place for other files. */
  readonly other: string
  readonly key: string
}

interface Reason {
  readonly args?: (scene: Scene) => readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** Only for new stores, or only for known ones; default: for both. */
  readonly only?: "new" | "known"
  /** Replaces the data folders. */
  readonly data?: (scene: Scene) => readonly string[]
  readonly key?: (scene: Scene) => readonly string[]
  readonly lock?: (scene: Scene) => string
  readonly code: number
  readonly says: RegExp
}

const portTaken = (flag: string, ...others: readonly string[]): Reason => ({
  args: () => [flag, `127.0.0.1:${takenPort}`, ...others],
  code: 6,
  says: new RegExp(`is in use by another process; choose another with ${flag}`),
})
const WEBSITES = ["--website-domain", "web.test"]
const NO_DATABASE = ["--cluster", "postgres://hayloft@127.0.0.1:9/none"]

const REASONS: Readonly<Record<string, Reason>> = {
  "an unknown flag": { args: () => ["--lisen", "x"], code: 2, says: /unknown option/ },
  "a bad value": { args: () => ["--scrub-days", "0"], code: 2, says: /--scrub-days/ },
  "an unknown variable": { environment: { HAYLOFT_LISTNE: "x" }, code: 2, says: /HAYLOFT_LISTNE/ },
  "a missing config file": { args: () => ["--config", "/none.json"], code: 2, says: /none\.json/ },
  "the S3 port is taken": portTaken("--listen"),
  "the admin port is taken": portTaken("--admin-listen"),
  "the website port is taken": portTaken("--website-listen", ...WEBSITES),
  "the node port is taken": portTaken("--node-listen", ...NO_DATABASE),
  "two ports are the same": {
    args: () => ["--listen", "127.0.0.1:20871", "--website-listen", "0.0.0.0:20871", ...WEBSITES],
    code: 2,
    says: /0\.0\.0\.0:20871 is also the address of --listen; choose another with --website-listen/,
  },
  "a port of the node is another port too": {
    args: () => ["--admin-listen", "127.0.0.1:20872", "--node-listen", "127.0.0.1:20872", ...NO_DATABASE],
    code: 2,
    says: /127\.0\.0\.1:20872 is also the address of --admin-listen/,
  },
  "an address of another machine": { args: () => ["--listen", "192.0.2.1:0"], code: 1, says: /192\.0\.2\.1/ },
  "a missing certificate": {
    args: ({ other }) => ["--tls-cert", join(other, "none.pem"), "--tls-key", join(other, "none.key")],
    code: 1,
    says: /none\.pem/,
  },
  "a bad certificate": {
    args: ({ other }) => ["--tls-cert", join(other, "junk"), "--tls-key", join(other, "junk")],
    code: 2,
    says: /cannot be used/,
  },
  "no folder of certificates": {
    args: ({ other }) => [
      "--website-listen",
      "127.0.0.1:0",
      ...WEBSITES,
      "--website-certificates",
      join(other, "none"),
    ],
    code: 2,
    says: /the folder of certificates .*none does not exist/,
  },
  "a missing master key file": {
    key: ({ other }) => ["--master-key-file", join(other, "none.key")],
    code: 2,
    says: /none\.key does not exist; a new store gets one .* a store that exists needs the file that it had$/m,
  },
  "the former master key file is removed while both are named": {
    key: ({ other }) => [
      "--master-key-file",
      join(other, "none.key"),
      "--next-master-key-file",
      join(other, "other.key"),
    ],
    code: 2,
    says: /none\.key does not exist; .*, or after a rotation .*other\.key as --master-key-file/,
  },
  "a malformed master key file": {
    key: ({ other }) => ["--master-key-file", join(other, "junk")],
    code: 2,
    says: /junk/,
  },
  "a wrong master key": {
    key: ({ other }) => ["--master-key-file", join(other, "other.key")],
    only: "known",
    code: 4,
    says: /master key/,
  },
  "no master key": { key: () => [], only: "known", code: 4, says: /--master-key-file/ },
  "a database that does not answer": { args: () => NO_DATABASE, code: 1, says: /postgres:.* cannot be reached/ },
  "one of several folders is locked": {
    lock: ({ data }) => data[2] ?? "",
    code: 6,
    says: /c is in use by/,
  },
  "a folder with other files": {
    data: ({ data, other }) => [...data, other],
    code: 6,
    says: /holds other files/,
  },
  "a folder that is a file": {
    data: ({ data, other }) => [...data, join(other, "junk")],
    only: "new",
    code: 1,
    says: /junk/,
  },
  "a folder below a file": {
    data: ({ data, other }) => [...data, join(other, "junk", "data")],
    only: "new",
    code: 1,
    says: /junk/,
  },
  "too few folders of a store": {
    data: ({ data }) => data.slice(0, 1),
    only: "known",
    code: 1,
    says: /devices of this store are missing/,
  },
  "too few folders for the redundancy": {
    args: () => ["--redundancy", "ec:4+2"],
    only: "new",
    code: 2,
    says: /needs 6 data folders/,
  },
  "another block size": { args: () => ["--block-size", "8MiB"], only: "known", code: 2, says: /--block-size/ },
  "no store, although one exists": { args: () => ["--existing-store"], only: "new", code: 3, says: /--existing-store/ },
}

for (const [what, reason] of Object.entries(REASONS)) {
  for (const isNew of [true, false].filter(each => reason.only === undefined || each === (reason.only === "new"))) {
    test(`${what}: refused in one line, and the folders of a ${isNew ? "new" : "known"} store stay as they are`, () =>
      withFolder(async folder => {
        const scene = await sceneIn(folder, isNew)
        const lock = reason.lock && (await lockedFolder(reason.lock(scene)))
        const seen = await contentsOf(folder)
        const data = (reason.data ?? (({ data }) => data))(scene)
        const key = (reason.key ?? (({ key }) => ["--master-key-file", key]))(scene)
        const args = [...data.flatMap(path => ["--data", path]), ...key, ...(reason.args?.(scene) ?? [])]
        const { code, error } = await start(args, reason.environment)
        assert.match(error, reason.says)
        assert.equal(code, reason.code, error)
        assert.equal(error.trimEnd().split("\n").length, 1, error)
        assert.deepEqual(await contentsOf(folder), seen)
        await lock?.release()
      }))
  }
}

async function lockedFolder(path: string) {
  await mkdir(path, { recursive: true })
  return new RealLocks().take(path)
}

async function sceneIn(folder: string, isNew: boolean): Promise<Scene> {
  const other = join(folder, "other")
  await mkdir(other)
  for (const [name, text] of Object.entries({ junk: "junk", "other.key": "ab".repeat(32), key: KEY }))
    await writeFile(join(other, name), text, { mode: 0o600 })
  const [data, key] = [dataOf(folder), join(other, "key")]
  if (!isNew) await cp(known, folder, { recursive: true })
  return { data, isNew, other, key }
}
