/** `hayloft import minio` from folders of the real MinIO into a real store. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { after, before, test } from "node:test"
import { KEY } from "@hayloft/admin/index.js"
import { fail } from "@hayloft/base/failures.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RemoteFailure, S3Client, type S3Access } from "@hayloft/client/index.js"
import { HAYLOFT_COMMAND, StoreProcess } from "@hayloft/client/testing-store-process.js"
import { messageOf } from "../exit-codes.js"
import { unpackFolders } from "../minio-disks/testing-folders.js"
import { fillMinio, MinioProcess, programInPath } from "./testing-minio.js"
import { importIdentities } from "./minio-identities.js"
import { withAdmin } from "../stores.js"
import { runHere } from "../testing-here.js"
import { testIo } from "../testing-io.js"
import { plainEnvironment, type Outcome } from "../testing-process.js"
import { TransferRun } from "../transfer/transfer-run.js"

const clock = new RealClock()
let folder = ""
let store: StoreProcess
let client: S3Client

const clientOf = (access: S3Access): S3Client => new S3Client(access, clock, new AbortController().signal)
const data = (): string => join(folder, "store")

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-import-minio-"))
  store = await StoreProcess.start({ dataFolders: [data()] }, clock)
  client = clientOf(await store.access())
  await unpackFolders("four-disks", join(folder, "four"))
  await unpackFolders("one-disk", join(folder, "one"))
})

after(async () => {
  client.close()
  await store.stop()
  await rm(folder, { recursive: true, force: true })
})

const environment = () => ({ workingFolder: folder, environment: { HAYLOFT_DATA: data() } })
const hayloft = (...args: readonly string[]): Promise<Outcome> => runHere(["import", ...args], environment())

async function imports(...args: readonly string[]): Promise<string> {
  const { code, out, error } = await hayloft("minio", ...args)
  assert.equal(code, 0, error)
  return out.toString("utf8")
}

async function historyOf(from: S3Client, bucket: string): Promise<readonly string[]> {
  const shown: string[] = []
  for await (const { key, isMarker, sizeBytes, etag } of from.versions(bucket, ""))
    shown.push(`${key} ${isMarker ? "marker" : `${sizeBytes} ${etag}`}`)
  return shown
}

test("versions, markers, parts, metadata, tags, locks and settings arrive from two disks of four, and once", async () => {
  const printed = await imports("four/disk{2...3}", "--bucket", "versions", "parts", "locked")
  assert.match(printed, /4 keys imported, 9 versions .*, 0 unchanged/)
  assert.match(
    await imports("four/disk{1...4}", "--bucket", "versions", "parts", "locked"),
    /0 keys imported, .* 4 unchanged/,
  )
  assert.deepEqual(
    (await historyOf(client, "versions")).map(line => line.replace(/ [0-9a-f]{32}$/, "")),
    ["doc 300000", "doc marker", "doc 5", "doc 3", "doc 20", "gone marker", "gone 4"],
  )
  assert.match((await historyOf(client, "parts")).join(), /^film 11535571 [0-9a-f]{32}-3$/)
  const { attributes } = await client.head("parts", "film")
  assert.deepEqual(Object.fromEntries(attributes)["x-amz-meta-kind"], "film")
  const { locks } = await client.head("locked", "held")
  assert.deepEqual(Object.fromEntries(locks), {
    "x-amz-object-lock-mode": "GOVERNANCE",
    "x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00.000Z",
    "x-amz-object-lock-legal-hold": "ON",
  })
  const { code, out, error } = await hayloft("minio", "four/disk{1...4}", "--bucket", "plain", "--json")
  assert.equal(code, 1, "a public policy is refused until its switch is off")
  assert.match(error, /plain: policy was not taken over: .*BlockPublicPolicy/)
  assert.match(out.toString(), /"setting": ?"lifecycle"/)
  assert.match(await client.getSetting("plain", "lifecycle"), /<Days>30<\/Days>/)
  assert.match(await client.getSetting("plain", "tagging"), /<Value>a<\/Value>/)
  assert.deepEqual(await client.getTags("plain", "a"), [
    ["a", "1"],
    ["b", "x y"],
  ])
  const keys: string[] = []
  for await (const { key } of client.keys("plain", "")) keys.push(key)
  assert.deepEqual(keys.slice(0, 8), [
    "a",
    "a-b",
    "a/b",
    "a/c/d",
    "empty",
    "folder/",
    "folder/ä b#%2F+?.txt",
    "folder__XL",
  ])
})

test("what cannot be read is named, and the rest is imported", async () => {
  const { code, error, out } = await hayloft("minio", "one/disk1")
  assert.equal(code, 1)
  assert.match(error, /sealed\/by-s3: version [0-9a-f-]{36}: it is encrypted with SSE-S3: its key is in MinIO's KMS/)
  assert.match(error, /sealed\/mixed: version .*SSE-S3.*; an older version is the current one here/)
  assert.match(out.toString(), /3 keys imported, 3 versions/)
  // One of four disks has the bytes of the large object, so that they are lost; small ones are in the metadata.
  await unpackFolders("four-disks", join(folder, "gaps"))
  for (const disk of [1, 2, 3]) {
    const object = join(folder, `gaps/disk${disk}/plain/large`)
    for (const name of await readdir(object)) if (name !== "xl.meta") await rm(join(object, name), { recursive: true })
  }
  const gaps = await hayloft("minio", "gaps/disk{1...4}", "--bucket", "plain", "--into", "gaps", "--no-settings")
  assert.equal(gaps.code, 1)
  assert.match(gaps.error, /plain\/large: part 1, block 1: 1 of its shards are intact, and 2 are needed/)
  assert.match(gaps.error, /disk1.*part\.1 is damaged or missing/)
  assert.match(gaps.out.toString(), /9 keys imported/)
  await assert.rejects(client.head("gaps", "large"))
})

test("a disk that was replaced, and one that lacks some of the objects, are named, and everything is imported", async () => {
  await unpackFolders("four-disks", join(folder, "replaced"))
  await rm(join(folder, "replaced/disk4/plain"), { recursive: true })
  await writeFile(join(folder, "replaced/disk4/.minio.sys/buckets/.healing.bin"), "")
  await rm(join(folder, "replaced/disk2/plain/empty"), { recursive: true })
  const args = ["replaced/disk{1...4}", "--bucket", "plain", "--into", "replaced", "--no-settings"]
  const { code, out, error } = await hayloft("minio", ...args)
  assert.equal(code, 0, error)
  assert.match(out.toString(), /10 keys imported/)
  assert.match(error, /disk4: was replaced, and MinIO has not filled it again/)
  assert.match(error, /plain: \S*disk4 lacks 10 versions; the other disks are read/)
  assert.match(error, /plain: \S*disk2 lacks 1 version; the other disks are read/)
})

test("a prefix, another name, only the latest, and a run that changes nothing", async () => {
  const only = ["four/disk1", "four/disk2", "--bucket", "versions", "--into", "latest", "--latest-only"]
  assert.match(await imports(...only, "--prefix", "d", "--dry-run"), /would import 1 key/)
  await assert.rejects(client.headBucket("latest"))
  assert.match(await imports(...only, "--prefix", "g"), /0 keys imported/)
  assert.match(await imports(...only), /1 key imported, 1 version/)
})

test("an import that was killed goes on where it was", async () => {
  const args = ["import", "minio", "four/disk1", "four/disk4", "--bucket", "versions", "--into", "killed"]
  const child = spawn(process.execPath, [HAYLOFT_COMMAND, ...args], {
    cwd: folder,
    env: { ...plainEnvironment(), HAYLOFT_DATA: data() },
    stdio: ["ignore", "pipe", "inherit"],
  })
  const exited = new Promise(resolve => child.once("exit", resolve))
  createInterface({ input: child.stdout }).once("line", () => child.kill("SIGKILL"))
  await exited
  await imports(...args.slice(2))
  assert.deepEqual(await historyOf(client, "killed"), await historyOf(client, "versions"))
})

test("users, groups, policies and keys come along with their secrets, once", async () => {
  await unpackFolders("identities", join(folder, "identities"))
  const attached = join(folder, "identities/disk1/.minio.sys/config/iam/policydb")
  const [one = ""] = await readdir(join(attached, "users"))
  await cp(join(attached, "users", one), join(attached, "sts-users/cn=ann,dc=example.json"), { recursive: true })
  const first = await hayloft("minio", "identities/disk1")
  assert.match(first.error, /key ROOTSERVICEKEY: .* set MINIO_ROOT_USER=minio-root/)
  assert.match(first.error, /policy readwrite of group former: not attached, since the group is disabled/)
  assert.match(first.out.toString(), /users, groups, policies and keys: 8 imported, 0 unchanged/)
  assert.match(first.error, /the policies of 1 people or groups of LDAP are not imported: /)
  const second = await runHere(["import", "minio", "identities/disk1", "--json"], {
    workingFolder: folder,
    environment: { HAYLOFT_DATA: data(), MINIO_ROOT_USER: "minio-root" },
  })
  assert.match(second.out.toString(), /"identities": ?1, ?"unchanged": ?8/)
  const { endpoint, region } = await store.access()
  for (const [accessKeyId, secretAccessKey, expected] of [
    ["ann-user", "secret-of-ann-1", "a report"],
    ["ANNSERVICEKEY", "secret-of-service-1", "a report"],
    ["ROOTSERVICEKEY", "secret-of-service-2", "a report"],
    ["bob-user", "secret-of-bob-1", "InvalidAccessKeyId"],
    ["ann-user", "another-secret", "SignatureDoesNotMatch"],
  ] as const) {
    const own = clientOf({ endpoint, region, accessKeyId, secretAccessKey })
    const read = async (): Promise<string> => {
      const { body } = await own.get("reports", "a")
      const pieces: Uint8Array[] = []
      for await (const piece of body) pieces.push(piece)
      return Buffer.concat(pieces).toString()
    }
    const outcome = await read().catch((error: unknown) =>
      error instanceof RemoteFailure ? error.code : String(error),
    )
    assert.equal(outcome, expected, accessKeyId)
    own.close()
  }
  const elsewhere = await runHere(["import", "minio", "identities/disk1"], {
    workingFolder: folder,
    environment: {
      AWS_ENDPOINT_URL: endpoint,
      AWS_ACCESS_KEY_ID: "ann-user",
      AWS_SECRET_ACCESS_KEY: "secret-of-ann-1",
    },
  })
  assert.match(elsewhere.error, /keys are not imported: set HAYLOFT_ADMIN_ENDPOINT and HAYLOFT_ADMIN_TOKEN/)
  assert.doesNotMatch((await hayloft("minio", "identities/disk1", "--no-identities")).out.toString(), /users, groups/)
})

test("keys of a disabled user are disabled, also by the next run after one that was interrupted", async () => {
  const { io } = testIo({
    environment: { ...plainEnvironment(), HAYLOFT_DATA: data() },
    workingFolder: folder,
    clock,
  })
  const [name, service] = ["former-user", "FORMERSERVICEKEY"]
  const key = { secretAccessKey: "secret-of-former-1", expiresMs: undefined }
  const own = { ...key, accessKeyId: name, isActive: false }
  const ofUser = { ...key, accessKeyId: service, isActive: true, parent: name, description: "", policy: undefined }
  await withAdmin(io, {}, new AbortController().signal, async admin => {
    const stateOf = async (id: string) => KEY.parse(await admin.get(`/v1/keys/${id}`)).isActive
    for (const _run of ["first", "second"]) {
      const files = [
        { kind: "user", key: own },
        { kind: "serviceKey", key: ofUser },
      ] as const
      await importIdentities(files, admin, new TransferRun(io, {}, "imported"), { rootUser: undefined })
      assert.deepEqual([await stateOf(name), await stateOf(service)], [false, false])
      for (const id of [name, service]) await admin.post(`/v1/keys/${id}/enable`, {})
    }
  })
})

test("a set of which most disks are lost is a failure, whatever the others have", async () => {
  await mkdir(join(folder, "four/disk1/quiet"))
  const { code, error } = await hayloft("minio", "four/disk1", "--bucket", "quiet", "--dry-run")
  assert.equal(code, 1, "no object of it is known")
  assert.match(error, /3 of its 4 disks are not there, which may have had more objects/)
})

test("mistakes are told, and a bucket of another store may be called minio", async () => {
  await mkdir(join(folder, "empty"))
  await writeFile(join(folder, "file"), "")
  await mkdir(join(folder, "four/disk2/Old_Name"))
  await imports("four/disk{1...4}", "--bucket", "Old_Name", "--into", "old-name", "--no-settings")
  for (const [args, expected] of [
    [["minio"], /name the folders of the MinIO/],
    [["minio", "empty", "file"], /no folder is a disk of MinIO: .*empty.*file/],
    [["minio", "http://node{1...4}/disk"], /names a folder of another machine/],
    [["minio", "four/disk{4...1}"], /ascending range/],
    [["minio", "four/disk1", "four/disk1"], /named twice/],
    [["minio", "four/disk1", "one/disk1"], /different MinIOs/],
    [["minio", "four/disk{1...4}", "--bucket", "nowhere"], /nowhere: the disks have no such bucket/],
    [["minio", "--from", "http://127.0.0.1:9"], /set SOURCE_ACCESS_KEY_ID/],
    [["somewhere"], /name the other store with --from URL/],
  ] as const) {
    const { code, error } = await hayloft(...args)
    assert.notEqual(code, 0)
    assert.match(error, expected)
  }
  const found = ".minio.sys, locked, parts"
  assert.match(messageOf(fail("folderNotEmpty", { path: "/disk1", found })), /hayloft import minio \/disk1$/)
})

const minio = programInPath("minio")

test(
  "with the real MinIO: seven disks, 4+3, of which three are lost",
  {
    skip: minio === undefined && "minio is not in PATH",
  },
  async () => {
    const disks = Array.from({ length: 7 }, (_, i) => join(folder, `seven/disk${i + 1}`))
    for (const disk of disks) await mkdir(disk, { recursive: true })
    const server = await MinioProcess.start(minio ?? "", disks, clock)
    const old = clientOf(server.access)
    await fillMinio(old)
    const histories = new Map<string, readonly string[]>()
    for (const bucket of ["versions", "parts", "locked"]) histories.set(bucket, await historyOf(old, bucket))
    old.close()
    await server.stop()
    for (const disk of [disks[0], disks[3], disks[6]]) await rm(disk ?? "", { recursive: true })
    for (const [bucket, history] of histories) {
      await imports("seven/disk{1...7}", "--bucket", bucket, "--into", `seven-${bucket}`)
      assert.deepEqual(await historyOf(client, `seven-${bucket}`), history)
    }
  },
)
