/** `--json` of the commands, against a real store: JSON on standard output, one value per line, and nothing else. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { RealClock } from "../seams/clock/real.js"
import { StoreProcess } from "../client/testing-store-process.js"
import { run } from "./program.js"
import { testIo } from "./testing-io.js"

const clock = new RealClock()
let folder = ""
let store: StoreProcess | undefined

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-json-"))
  store = await StoreProcess.start({ dataFolders: [join(folder, "data")] }, clock)
  await writeFile(join(folder, "note.txt"), "hello\n")
})
after(async () => {
  await store?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function hayloft(args: readonly string[]) {
  const { io, written } = testIo({
    environment: { HAYLOFT_DATA: join(folder, "data"), HAYLOFT_IMPORT_SECRET_KEY: "a-secret-of-a-test" },
    ...{ workingFolder: folder, clock },
  })
  return { code: await run(args, io, new AbortController().signal), ...written }
}

/** In this order: later ones use what earlier ones make. */
const ONE_VALUE: readonly string[] = [
  "version",
  "env --admin",
  "status",
  "layout show",
  "redundancy show",
  "redundancy set replica:1 --dry-run",
  "repair status",
  "repair pause",
  "repair resume",
  "jobs wake repair",
  "jobs set-throttle repair 1",
  "master-key show",
  "account create Reader --id reader",
  "account limit reader --requests 10",
  "key create --account reader --description x",
  "key import AKIAREADER0000000001 --account reader",
  "key limit AKIAREADER0000000001 --requests 5",
  "key disable AKIAREADER0000000001",
  "key enable AKIAREADER0000000001",
  "key delete AKIAREADER0000000001",
  "token create laptop --scope read",
  "bucket create first",
  "cp note.txt s3://first/",
  "cp s3://first/note.txt copy.txt",
  "bucket stat first",
  "quota set first --objects 10",
  "quota show first",
  "quota check first",
  "quota clear first",
  "lifecycle explain first/note.txt",
  "lifecycle preview first",
  "bucket undelete enable first",
  "rm s3://first/note.txt",
  "bucket undelete restore first note.txt",
  "rm -r s3://first",
  "bucket undelete purge first --yes --confirm first",
  "bucket undelete disable first",
  "bucket delete first",
  "mb s3://third",
  "presign s3://third/note.txt",
  "cp note.txt s3://third/",
  "mv s3://third/note.txt s3://third/moved",
  "rm s3://third/moved",
  "rb s3://third",
  "kms create --alias alias/invoices",
  "kms rotate alias/invoices",
  "kms disable alias/invoices",
  "kms enable alias/invoices",
  "kms delete alias/invoices",
  "kms keep alias/invoices",
]

const LISTS: readonly string[] = [
  "device list",
  "token list",
  "config show",
  "explain SlowDown",
  "explain --list",
  "class list",
  "scrub status",
  "scrub pause",
  "scrub start",
  "jobs list",
  "account list",
  "key list",
  "kms list",
  "kms uses alias/invoices",
  "bucket list",
  "ls",
  "ls -r s3://second",
  "bucket undelete list second",
]

test("with --json a result is one line of JSON, a list one line for each entry", async () => {
  for (const line of ONE_VALUE) {
    const { code, out, error } = await hayloft([...line.split(" "), "--json"])
    assert.deepEqual([code, error], [0, ""], line)
    assert.match(out, /^\{[^\n]*\}\n$/, line)
    assert.equal(typeof JSON.parse(out), "object", line)
  }
  for (const name of ["note.txt", "again.txt"]) await hayloft(["cp", "note.txt", `s3://second/${name}`])
  for (const line of LISTS) {
    const { code, out, error } = await hayloft([...line.split(" "), "--json"])
    assert.deepEqual([code, error], [0, ""], line)
    assert.match(out, /^(\{[^\n]*\}\n)*$/, line)
    for (const entry of out.split("\n").slice(0, -1)) assert.equal(typeof JSON.parse(entry), "object", line)
  }
  assert.equal((await hayloft(["ls", "-r", "s3://second", "--json"])).out.split("\n").length, 3)
})

test("with --json an error is one line of JSON on standard error", async () => {
  for (const line of ["bucket stat absent", "device add here", "bucket", "kms uses alias/absent", "cp a b"]) {
    const { code, error } = await hayloft([...line.split(" "), "--json"])
    assert.notEqual(code, 0, line)
    assert.match(error, /^[^\n]+\n$/, line)
    const value: unknown = JSON.parse(error)
    assert.ok(typeof value === "object" && value !== null && "error" in value, line)
  }
})
