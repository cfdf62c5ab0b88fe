/** `--json` of the commands, against a real store: JSON on standard output, one value per line, and nothing else. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { StoreProcess } from "@hayloft/client/testing-store-process.js"
import { run } from "./program.js"
import { testIo } from "./testing-io.js"

const clock = new RealClock()
let folder = ""
let store: StoreProcess | undefined

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-json-"))
  store = await StoreProcess.start({ dataFolders: [join(folder, "data")] }, clock)
  await writeFile(join(folder, "note.txt"), "hello\n")
  await writeFile(join(folder, "tags.json"), JSON.stringify({ TagSet: [{ Key: "team", Value: "blue" }] }))
  const rule = { ID: "old", Status: "Enabled", Filter: {}, Expiration: { Days: 1 } }
  await writeFile(join(folder, "rules.json"), JSON.stringify({ Rules: [rule] }))
  const statement = { Effect: "Allow", Action: "s3:GetObject", Resource: "*" }
  const trust = { Effect: "Allow", Principal: "*", Action: "sts:AssumeRole" }
  await writeFile(join(folder, "trust.json"), JSON.stringify({ Version: "2012-10-17", Statement: trust }))
  await writeFile(join(folder, "policy.json"), JSON.stringify({ Version: "2012-10-17", Statement: statement }))
})
after(async () => {
  await store?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function hayloft(args: readonly string[]) {
  const { io, written } = testIo({
    environment: { HAYLOFT_DATA: join(folder, "data"), HAYLOFT_IMPORT_SECRET_KEY: "a-secret-of-a-test" },
    workingFolder: folder,
    clock,
  })
  return { code: await run(args, io, new AbortController().signal), ...written }
}

/** In this order: later ones use what earlier ones make. */
const ONE_VALUE: readonly string[] = [
  "version",
  "env --admin",
  "status",
  "layout show",
  "ring show",
  "ring dispersion",
  "ring export",
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
  "user create ann --policy readonly",
  "user show ann",
  "group create staff",
  "group add staff ann",
  "policy set reads policy.json",
  "policy set reads policy.json",
  "policy show reads",
  "policy attach reads --user ann",
  "policy set own policy.json --user ann",
  "policy show own --user ann",
  "policy delete own --user ann",
  "role create job --trust trust.json",
  "role set job --description x",
  "role show job",
  "policy simulate s3:GetObject first/note.txt --user ann",
  "policy validate policy.json",
  "policy detach reads --user ann",
  "policy delete reads",
  "key import AKIAANN0000000000001 --user ann",
  "key rotate AKIAANN0000000000001",
  "group remove staff ann",
  "user delete ann --cascade",
  "group delete staff",
  "quota set first --objects 10",
  "quota show first",
  "quota check first",
  "quota clear first",
  "bucket settings set first tagging tags.json",
  "bucket settings get first tagging",
  "bucket settings delete first tagging",
  "bucket settings get first tagging",
  "lifecycle explain first/note.txt",
  "lifecycle preview first",
  "lifecycle preview first --rules rules.json",
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
  "user list",
  "group list",
  "role list",
  "policy list --role job",
  "group members readers",
  "policy list",
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
  "bucket settings list second",
]

test("with --json a result is one line of JSON, a list one line for each entry", async () => {
  for (const line of ONE_VALUE) {
    const { code, out, error } = await hayloft([...line.split(" "), "--json"])
    assert.deepEqual([code, error], [0, ""], line)
    assert.match(out, /^\{[^\n]*\}\n$/, line)
    assert.equal(typeof JSON.parse(out), "object", line)
  }
  await hayloft(["group", "create", "readers"])
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
