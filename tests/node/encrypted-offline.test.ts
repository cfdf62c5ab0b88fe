/**
 * Commands on the files of an encrypted store that does not run: each needs the master key file, tells by name if it is
 * missing or a different one, and leaves nothing readable behind.
 */
import assert from "node:assert/strict"
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import {
  CreateBucketCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3"
import { run, type CommandResult } from "../harness/commands.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { hayloftHere } from "../harness/command-here.js"
import { withClient } from "../harness/sdk-client.js"
import { readable as marksIn } from "../harness/readable.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"

const MARKS = { bucket: "hidden-bucket", key: "hidden-key", body: "hidden body ", note: "hidden-note" } as const
const Bucket = MARKS.bucket
/** Their rows are several pages of a table. */
const OBJECTS = 120
const LARGE_BYTES = 200_000
const PAGE_BYTES = 4096

const keyOf = (i: number): string => `${MARKS.key}-${String(i).padStart(3, "0")}`
const textOf = (i: number): string => `${MARKS.body}${i}`
const LARGE = `${MARKS.key}-large`
const LATE = `${MARKS.key}-late`
const bodyOf = (lengthBytes: number): Buffer => Buffer.alloc(lengthBytes, MARKS.body)

const put = (client: S3Client, Key: string, Body: string | Buffer) =>
  client.send(new PutObjectCommand({ Bucket, Key, Body }))

async function get(client: S3Client, Key: string): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }))
  return Buffer.from((await Body?.transformToByteArray()) ?? [])
}

async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
}

/** Files in which a name or a body can be read. */
const readable = async (folder: string): Promise<readonly string[]> => [
  ...(await marksIn([folder], Object.values(MARKS))).keys(),
]

/** An encrypted store of one folder that was stopped, went on, and was killed. */
async function killed(data: string, keyFile: string): Promise<ServerProcess> {
  const args = ["--master-key-file", keyFile, "--encrypt-at-rest"]
  const server = await ServerProcess.start({ folders: [data], args })
  await withClient(server, async client => {
    await client.send(new CreateBucketCommand({ Bucket }))
    for (let i = 0; i < OBJECTS; i += 1) await put(client, keyOf(i), textOf(i))
    await put(client, LARGE, bodyOf(LARGE_BYTES))
  })
  await server.stop()
  await server.launch()
  await withClient(server, client => put(client, LATE, bodyOf(LARGE_BYTES)))
  await server.kill()
  return server
}

interface Encrypted {
  readonly data: string
  readonly server: ServerProcess
  /** With the master key file. */
  readonly opened: (...args: string[]) => Promise<CommandResult>
}

const withEncrypted = (use: (store: Encrypted) => Promise<void>): Promise<void> =>
  withFolder(async folder => {
    const [data, keyFile, otherFile] = ["data", "master.key", "other.key"].map(name => join(folder, name))
    assert.ok(data && keyFile && otherFile)
    await writeFile(keyFile, "5e".repeat(32))
    await writeFile(otherFile, "5f".repeat(32))
    const server = await killed(data, keyFile)
    const opened = (...args: string[]) => hayloftHere([...args, "--master-key-file", keyFile])
    await refused(data, otherFile)
    await use({ data, server, opened })
    assert.deepEqual(await readable(data), [])
  }, quietParent())

async function refused(data: string, otherFile: string): Promise<void> {
  const base = join(data, "base")
  for (const args of [
    ["fsck", data],
    ["rebuild-index", data],
    ["give-up", data],
    ["inspect", base],
  ]) {
    const without = await hayloftHere(["volume", ...args])
    assert.notEqual(without.code, 0, args.join(" "))
    assert.match(without.stderr, /encrypts everything at rest: pass --master-key-file/)
    const other = await hayloftHere(["volume", ...args, "--master-key-file", otherFile])
    assert.notEqual(other.code, 0, args.join(" "))
    assert.match(other.stderr, /the master key does not match this store/)
  }
}

const volumesIn = async (data: string): Promise<readonly string[]> =>
  (await filesIn(join(data, "volumes"))).filter(path => path.endsWith(".volume"))

const NEEDLE = /^ *(\d+) +needle kind=shard .*key=hidden-key-large /m

/** Inspects all volumes; returns where the large object is. */
async function inspected({ data, opened }: Encrypted): Promise<{ path: string; offsetBytes: number }> {
  let [shown, found] = ["", { path: "", offsetBytes: 0 }]
  for (const path of await volumesIn(data)) {
    const closed = await hayloftHere(["volume", "inspect", path])
    assert.ok(!closed.stdout.includes(MARKS.key), "without the key only lengths are shown")
    assert.match(closed.stdout, /needle kind=shard .*names=encrypted .*bodyBytes=\d+/)
    const { code, stdout, stderr } = await opened("volume", "inspect", path)
    assert.equal(code, 0, stderr)
    shown += stdout
    const at = NEEDLE.exec(stdout)?.[1]
    if (at !== undefined) found = { path, offsetBytes: Number(at) }
  }
  for (const key of [LARGE, LATE]) assert.ok(shown.includes(`key=${key} `), key)
  return found
}

/** The log and the metadata are shown. */
async function checkInspection({ data, opened }: Encrypted): Promise<void> {
  const base = await opened("volume", "inspect", join(data, "base"))
  assert.equal(base.code, 0, base.stderr)
  assert.match(base.stdout, /row family=current /)
  const segments = await filesIn(join(data, "log"))
  let entries = 0
  for (const segment of segments) {
    const closed = await hayloftHere(["volume", "inspect", segment])
    assert.doesNotMatch(closed.stdout, /entry/)
    assert.doesNotMatch(closed.stdout, /DAMAGED/)
    const shown = await opened("volume", "inspect", segment)
    assert.doesNotMatch(shown.stdout, /DAMAGED|names=encrypted/)
    entries += shown.stdout.split("\n").filter(line => /entry tablet=\d+ .*writes=[1-9]/.test(line)).length
  }
  assert.ok(entries > 0, "what the store had not brought into its tables when it was killed")
}

/** fsck names the object whose bytes are damaged. */
async function checkDamage(store: Encrypted): Promise<void> {
  const { data, server, opened } = store
  const whole = await opened("volume", "fsck", data)
  assert.equal(whole.code, 0, `${whole.stdout}${whole.stderr}`)
  assert.match(whole.stdout, /[1-9]\d* needles, [1-9].* verified/)
  const { path, offsetBytes } = await inspected(store)
  const bytes = await readFile(path)
  bytes.fill(0x5a, offsetBytes + LARGE_BYTES / 2, offsetBytes + LARGE_BYTES / 2 + 100)
  await writeFile(path, bytes)
  const damaged = await opened("volume", "fsck", data)
  assert.equal(damaged.code, 1)
  assert.match(damaged.stdout, new RegExp(`DAMAGED needle .*key=${LARGE} `))
  const rebuilt = await opened("volume", "rebuild-index", data)
  assert.match(rebuilt.stdout, /removed [1-9]\d* rows? of the index/)
  await server.launch()
  await withClient(server, async client => {
    assert.ok((await get(client, LATE)).equals(bodyOf(LARGE_BYTES)))
    assert.equal((await get(client, keyOf(0))).toString(), textOf(0))
    await assert.rejects(get(client, LARGE))
  })
  await server.stop()
}

/** Damages half of each table's data, and the parity that would rebuild it. */
async function spoil(base: string): Promise<void> {
  for (const path of await filesIn(base)) {
    if (!path.endsWith(".table")) continue
    const content = await readFile(path)
    const [first, last] = [content.indexOf("HLTABLE"), content.lastIndexOf("HLTABLE")]
    content.fill(0x5a, Math.floor(first / 2), Math.floor(first / 2) + 40)
    content.fill(0x77, first + 8, first + 8 + Math.floor((last - first) / PAGE_BYTES) * PAGE_BYTES)
    await writeFile(path, content)
  }
}

/** Unreadable rows are given up, and what stays is encrypted. */
async function checkGivingUp({ data, server, opened }: Encrypted): Promise<void> {
  await spoil(join(data, "base"))
  const found = await opened("volume", "fsck", data)
  assert.match(found.stdout, /DAMAGED metadata .*repair=none/)
  const done = await opened("volume", "give-up", data, "--yes", "--confirm", "data")
  assert.equal(done.code, 0, `${done.stdout}${done.stderr}`)
  assert.match(done.stdout, /gave up [1-9]\d* rows?; start the store/)
  assert.deepEqual(await readable(data), [], "the rewritten tables are encrypted")
  await server.launch()
  await withClient(server, async client => {
    const bodies = await Promise.allSettled(Array.from({ length: OBJECTS }, (_, i) => get(client, keyOf(i))))
    const whole = bodies.filter((each, i) => each.status === "fulfilled" && each.value.toString() === textOf(i)).length
    assert.ok(whole > 0 && whole < OBJECTS, `${whole} of ${OBJECTS} are left`)
    assert.equal(bodies.filter(({ status }) => status === "fulfilled").length, whole)
  })
  await server.stop()
  const { stdout } = await opened("volume", "fsck", data)
  assert.match(stdout, /needles, /)
  const damaged = stdout.split("\n").filter(line => line.includes("DAMAGED") && !line.includes(`key=${LARGE} `))
  assert.deepEqual(damaged, [], "only the bytes that were damaged before are")
}

test("each command on an encrypted device needs the key file", { timeout: 300_000 }, context =>
  withEncrypted(async store => {
    await context.test("the log and the metadata are inspected", () => checkInspection(store))
    await context.test("damaged bytes are found and their rows removed", () => checkDamage(store))
    await context.test("unreadable rows are given up", () => checkGivingUp(store))
  }),
)

/** The last one has several blocks, of which each has the smallest size. */
const RESCUED = [100, 4_096, LARGE_BYTES, 2_200_000]

async function checkRescued(client: S3Client): Promise<void> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }))
  assert.equal(Contents.length, RESCUED.length)
  for (const size of RESCUED) {
    const Key = `${MARKS.key}-${size}`
    const { Body, Metadata } = await client.send(new GetObjectCommand({ Bucket, Key }))
    assert.ok(bodyOf(size).equals((await Body?.transformToByteArray()) ?? Buffer.alloc(0)), Key)
    assert.equal(Metadata?.["note"], MARKS.note)
    const { TagSet = [] } = await client.send(new GetObjectTaggingCommand({ Bucket, Key }))
    assert.equal(TagSet[0]?.Value, MARKS.note)
  }
}

test("a rescue of an encrypted store needs its key file, and brings all back without a readable byte on any disk", () =>
  withFolder(async folder => {
    const at = (name: string): string => join(folder, name)
    await writeFile(at("master.key"), "5e".repeat(32))
    await writeFile(at("other.key"), "5f".repeat(32))
    await mkdir(at("temporary"))
    const [args, env] = [[], { HAYLOFT_MASTER_KEY_FILE: at("master.key") }]
    const server = await ServerProcess.start({
      folders: [at("from")],
      args: [...args, "--block-size", "1MiB", "--encrypt-at-rest"],
      env,
    })
    await withClient(server, async client => {
      await client.send(new CreateBucketCommand({ Bucket }))
      for (const size of RESCUED) {
        const what = { Bucket, Key: `${MARKS.key}-${size}`, Body: bodyOf(size) }
        await client.send(new PutObjectCommand({ ...what, Metadata: { note: MARKS.note }, Tagging: `t=${MARKS.note}` }))
      }
      await server.backUp()
    })
    await server.kill()
    for (const name of ["base", "log"]) await rm(join(at("from"), name), { recursive: true })
    const rescue = (to: string, ...keys: string[]): Promise<CommandResult> =>
      run(process.execPath, [HAYLOFT, "rescue", "--json", "--from", at("from"), "--to", at(to), ...keys], {
        env: { TMPDIR: at("temporary") },
      })
    const closed = await rescue("to")
    assert.match(closed.stderr, /encrypts everything at rest: pass --master-key-file/)
    const other = await rescue("to", "--master-key-file", at("other.key"))
    assert.match(other.stderr, /the master key does not match this store/)
    const opened = await rescue("to", "--master-key-file", at("master.key"))
    assert.deepEqual([closed.code === 0, other.code === 0, opened.code], [false, false, 0], opened.stderr)
    for (const name of ["from", "to", "temporary"]) assert.deepEqual(await readable(at(name)), [], name)
    const rescued = await ServerProcess.start({ folders: [at("to")], args, env })
    await withClient(rescued, checkRescued)
    await rescued.stop()
    assert.deepEqual(await readable(at("to")), [], "the new store is encrypted at rest")
    for (const name of await readdir(at("from"))) if (name.startsWith("control")) await rm(join(at("from"), name))
    const lost = await rescue("lost", "--master-key-file", at("master.key"))
    assert.notEqual(lost.code, 0)
    assert.match(lost.stderr, /no key for it is known: a readable control record/)
  }, quietParent()))

test("a device of a stopped encrypted store is given up with the key file, which tells of locked buckets", () =>
  withFolder(async folder => {
    const keyFile = join(folder, "master.key")
    await writeFile(keyFile, "5e".repeat(32))
    const folders = ["d1", "d2"].map(name => join(folder, name))
    const [first = "", second = ""] = folders
    const server = await ServerProcess.start({ folders, args: ["--master-key-file", keyFile, "--encrypt-at-rest"] })
    await withClient(server, async client => {
      await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }))
      await put(client, LARGE, bodyOf(LARGE_BYTES))
    })
    await server.stop()
    await rm(second, { recursive: true })
    const forget = (...keys: string[]) =>
      hayloftHere(["device", "forget", second, "--data", first, "--dry-run", ...keys])
    const closed = await forget()
    assert.notEqual(closed.code, 0)
    assert.match(closed.stderr, /encrypts everything at rest: pass --master-key-file/)
    const opened = await forget("--master-key-file", keyFile)
    assert.equal(opened.code, 0, opened.stderr)
    assert.match(opened.stdout, /object lock .*hidden-bucket/)
  }, quietParent()))
