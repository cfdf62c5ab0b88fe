/**
 * Three nodes and their database are lost permanently: `hayloft rescue` makes a new store from the folders of all machines,
 * and from those of all machines but the ones in one zone.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketTaggingCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketTaggingCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3"
import { BACKUP } from "@hayloft/admin/store/store-schemas.js"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { StoreProcess } from "@hayloft/client/testing-store-process.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { run } from "../harness/commands.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { HAYLOFT } from "../harness/server.js"
import { areSettled, writeWhole } from "./stores.js"

const NODES = 3
/** Objects of up to 4 KiB are only in rows. */
const SIZES = [0, 10, 4_096, 4_097, 5_000_007]
const [LARGE, SMALL, PART_BYTES] = [60_000, 100, 5 * 1024 * 1024]
/** Longer than the test takes: the only backup is the one that it orders. */
const BACKUP_EVERY = "1h"
const PLAIN = "plain"
const VERSIONED = "versioned"
const PROBES = "probes"
const LOOK_MS = 250
const OTHER_KEY = { accessKeyId: "OTHERACCOUNTSKEY0000", secretAccessKey: "other/accounts+secret0123456789abcdefghi" }
const CLOCK = new RealClock()

type Access = Pick<TestNode["access"], "endpoint" | "region"> & typeof OTHER_KEY

function clientOf({ endpoint, region, accessKeyId, secretAccessKey }: Access): S3Client {
  const credentials = { accessKeyId, secretAccessKey }
  return new S3Client({ endpoint, region, credentials, forcePathStyle: true })
}

interface Entry {
  readonly list: "certain" | "probable" | "incomplete"
  readonly kind: string
  readonly name?: string
  readonly bucket?: string
  readonly key?: string
  readonly isWritten: boolean
  readonly notes: readonly string[]
}

interface Rescued {
  readonly code: number | null
  readonly entries: readonly Entry[]
  readonly stderr: string
}

/** The contents that a store is expected to return. */
class Contents {
  /** By key of the plain bucket. */
  readonly bodies = new Map<string, Buffer>()
  /** The versions of the key with versions, oldest first; undefined for a delete marker. */
  readonly versions: (Buffer | undefined)[] = []
  readonly etags = new Map<string, string>()
}

class DoomedNodes {
  readonly clients: S3Client[] = []
  readonly contents = new Contents()

  private constructor(readonly nodes: TestNodes) {}

  static async start(folder: string, args: readonly string[]): Promise<DoomedNodes> {
    const nodes = await TestNodes.empty(folder, ["--redundancy", "ec:2+1", ...args], true)
    const doomed = new DoomedNodes(nodes)
    try {
      for (let i = 0; i < NODES; i += 1) await (await nodes.add(1)).start(["--metadata-backup-every", BACKUP_EVERY])
      doomed.clients.push(...nodes.all.map(({ access }) => clientOf(access)))
      await areSettled(nodes.at(1), NODES)
      await nodes.at(1).client.createBucket(PROBES)
      await writeWhole(nodes.all, PROBES, NODES)
      return doomed
    } catch (error) {
      await doomed.end()
      throw error
    }
  }

  at(number: number): S3Client {
    return this.clients[number - 1] ?? assert.fail(`there is no node ${number}`)
  }

  async put(number: number, Key: string, Body: Buffer, Bucket = PLAIN): Promise<void> {
    const described = { ContentType: "text/x-test", Metadata: { of: "test" }, Tagging: "a=1" }
    const { ETag } = await this.at(number).send(new PutObjectCommand({ Bucket, Key, Body, ...described }))
    if (Bucket !== PLAIN) return
    this.contents.bodies.set(Key, Body)
    this.contents.etags.set(Key, ETag ?? "")
  }

  async putParts(number: number, Key: string, parts: readonly Buffer[], isCompleted: boolean): Promise<void> {
    const [Bucket, client] = [PLAIN, this.at(number)]
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({ Bucket, Key, ContentType: "text/x-test" }),
    )
    const Parts: { PartNumber: number; ETag: string | undefined }[] = []
    for (const [i, Body] of parts.entries()) {
      const part = { Bucket, Key, UploadId, PartNumber: i + 1 }
      // Each part through another node.
      const { ETag } = await this.at((i % NODES) + 1).send(new UploadPartCommand({ ...part, Body }))
      Parts.push({ PartNumber: i + 1, ETag })
    }
    if (!isCompleted) return
    const whole = { Bucket, Key, UploadId, MultipartUpload: { Parts } }
    const { ETag } = await client.send(new CompleteMultipartUploadCommand(whole))
    this.contents.bodies.set(Key, Buffer.concat(parts))
    this.contents.etags.set(Key, ETag ?? "")
  }

  /** Writes what the last backup of the metadata contains. */
  async fill(): Promise<void> {
    const [first, second, third] = [this.at(1), this.at(2), this.at(3)]
    const admin = await this.nodes.at(2).admin()
    await admin.post("/v1/accounts", { id: "other", displayName: "Other", email: "other@example.org" })
    await admin.post("/v1/keys", { accountId: "other", ...OTHER_KEY })
    admin.close()
    for (const Bucket of [PLAIN, VERSIONED]) await first.send(new CreateBucketCommand({ Bucket }))
    const Tagging = { TagSet: [{ Key: "team", Value: "x" }] }
    await second.send(new PutBucketTaggingCommand({ Bucket: PLAIN, Tagging }))
    for (const [i, size] of SIZES.entries()) await this.put((i % NODES) + 1, `size ${size}`, randomBytes(size))
    // The last node has the highest ids of uploads.
    await this.put(3, "overwritten", randomBytes(LARGE))
    await this.put(1, "overwritten", randomBytes(LARGE))
    await this.put(3, "made small", randomBytes(LARGE))
    await this.put(1, "made small", randomBytes(SMALL))
    await this.put(3, "deleted", randomBytes(LARGE))
    await first.send(new DeleteObjectCommand({ Bucket: PLAIN, Key: "deleted" }))
    this.contents.bodies.delete("deleted")
    for (const key of ["deleted later", "overwritten later"]) await this.put(2, key, randomBytes(LARGE))
    await this.putParts(2, "parts", [randomBytes(PART_BYTES), randomBytes(LARGE)], true)
    await this.putParts(2, "unfinished", [randomBytes(PART_BYTES)], false)
    const VersioningConfiguration = { Status: "Enabled" } as const
    await second.send(new PutBucketVersioningCommand({ Bucket: VERSIONED, VersioningConfiguration }))
    const { versions } = this.contents
    versions.push(randomBytes(LARGE), randomBytes(SMALL), undefined, randomBytes(LARGE))
    for (const [i, body] of versions.entries()) {
      const place = { Bucket: VERSIONED, Key: "versions" }
      if (body === undefined) await third.send(new DeleteObjectCommand(place))
      else await this.put(i === 0 ? 3 : 1, place.Key, body, VERSIONED)
    }
  }

  /** Orders a backup, and waits until it is complete. A process that takes the work over has not received the order. */
  async backUp(): Promise<void> {
    const admin = await this.nodes.at(1).admin()
    try {
      const order = async () => BACKUP.parse(await admin.post("/v1/backup", {}))
      let ordered = await order()
      const isComplete = async (): Promise<boolean> => {
        const { process, isOrdered } = BACKUP.parse(await admin.get("/v1/backup"))
        if (process === ordered.process) return !isOrdered
        ordered = await order()
        return false
      }
      await until("the backup is complete", isComplete, LOOK_MS)
    } finally {
      admin.close()
    }
  }

  /** Makes the changes that no backup contains. */
  async goOn(): Promise<void> {
    await this.put(2, "late", randomBytes(LARGE))
    await this.put(2, "late, small", randomBytes(SMALL))
    await this.put(3, "late, of two nodes", randomBytes(LARGE))
    await this.put(1, "late, of two nodes", randomBytes(LARGE))
    await this.put(3, "overwritten later", randomBytes(LARGE))
    await this.at(2).send(new DeleteObjectCommand({ Bucket: PLAIN, Key: "deleted later" }))
  }

  /** Nothing is left but the folders of the nodes. */
  async die(): Promise<void> {
    await Promise.all(this.nodes.all.map(node => node.kill()))
    await this.nodes.databases.server.dispose()
  }

  async end(): Promise<void> {
    for (const client of this.clients) client.destroy()
    await this.nodes.end()
  }

  async rescue(zones: readonly string[], more: readonly string[]): Promise<Rescued> {
    const from = this.nodes.all.filter(({ zone }) => zones.includes(zone)).flatMap(({ folders }) => folders)
    const key = ["--master-key-file", this.nodes.masterKeyFile ?? ""]
    const { code, stdout, stderr } = await run(
      process.execPath,
      [HAYLOFT, "rescue", "--json", "--from", ...from, ...key, ...more],
      // The environment is that of a node's machine: its settings name the database.
      { env: { HAYLOFT_CLUSTER: this.nodes.url } },
    )
    const lines = stdout.split("\n").filter(line => line !== "")
    const entries = lines.map(line => JSON.parse(line) as Entry | { readonly summary: unknown })
    return { code, entries: entries.filter((entry): entry is Entry => "list" in entry), stderr }
  }
}

const objectsIn = ({ entries }: Rescued, list: Entry["list"], isWritten = true): string[] =>
  entries
    .filter(entry => entry.list === list && entry.isWritten === isWritten && entry.kind === "object")
    .filter(({ bucket }) => bucket !== PROBES)
    .map(({ bucket, key }) => `${bucket}/${key}`)
    .sort()

const notesOf = ({ entries }: Rescued, key: string, isWritten: boolean): string =>
  entries
    .filter(entry => entry.key === key && entry.isWritten === isWritten)
    .flatMap(({ notes }) => notes)
    .join("; ")

/** Everything that the backup has, and what only shards show. */
function checkLists(rescued: Rescued): void {
  assert.equal(rescued.code, 0, rescued.stderr)
  const sizes = SIZES.map(size => `${PLAIN}/size ${size}`)
  const versions = [1, 2, 3].map(() => `${VERSIONED}/versions`)
  const others = ["made small", "overwritten", "deleted later", "parts"].map(key => `${PLAIN}/${key}`)
  assert.deepEqual(objectsIn(rescued, "certain"), [...sizes, ...others, ...versions].sort())
  assert.deepEqual(objectsIn(rescued, "certain", false), [`${PLAIN}/overwritten later`])
  const probable = ["late", "late, of two nodes", "overwritten later", "unfinished"].map(key => `${PLAIN}/${key}`)
  assert.deepEqual(objectsIn(rescued, "probable"), probable)
  assert.deepEqual(objectsIn(rescued, "incomplete", false), [])
  // If no row tells two uploads to different nodes apart, one is written and the other one is listed.
  assert.deepEqual(objectsIn(rescued, "probable", false), [`${PLAIN}/late, of two nodes`])
  assert.match(notesOf(rescued, "late, of two nodes", true), /another node has stored the key too/)
  assert.match(notesOf(rescued, "late, of two nodes", false), /nothing shows which of the uploads is newer/)
  assert.match(notesOf(rescued, "unfinished", true), /parts after the last one may be missing/)
}

/** Serves what was rescued, and compares all of it. */
async function checkStore(folder: string, keyFile: string, { bodies, etags, versions }: Contents): Promise<void> {
  const environment = { HAYLOFT_MASTER_KEY_FILE: keyFile }
  const store = await StoreProcess.start({ dataFolders: [folder], environment }, CLOCK)
  const access = await store.access()
  const client = clientOf(access)
  const other = clientOf({ ...access, ...OTHER_KEY })
  const read = async (Bucket: string, Key: string, VersionId?: string) => {
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, VersionId }))
    return Buffer.from((await Body?.transformToByteArray()) ?? [])
  }
  try {
    const NOT_THERE = ["late, small", "deleted", "late, of two nodes"]
    for (const [Key, body] of bodies) {
      if (NOT_THERE.includes(Key)) continue
      assert.ok((await read(PLAIN, Key)).equals(body), Key)
      const { ETag, ContentType, Metadata } = await client.send(new HeadObjectCommand({ Bucket: PLAIN, Key }))
      assert.equal(ETag, etags.get(Key), Key)
      assert.equal(ContentType, "text/x-test", Key)
      if (Key !== "parts") assert.deepEqual(Metadata, { of: "test" }, Key)
    }
    for (const Key of ["late, small", "deleted"]) await assert.rejects(read(PLAIN, Key), { name: "NoSuchKey" })
    assert.equal((await read(PLAIN, "late, of two nodes")).length, LARGE)
    // Deletions since the backup leave no trace while the bytes are kept.
    assert.equal((await read(PLAIN, "deleted later")).length, LARGE)
    const { TagSet } = await client.send(new GetObjectTaggingCommand({ Bucket: PLAIN, Key: "size 10" }))
    assert.deepEqual(TagSet, [{ Key: "a", Value: "1" }])
    assert.deepEqual((await client.send(new GetBucketTaggingCommand({ Bucket: PLAIN }))).TagSet, [
      { Key: "team", Value: "x" },
    ])
    const listed = await client.send(new ListObjectVersionsCommand({ Bucket: VERSIONED }))
    const ids = (listed.Versions ?? []).map(({ VersionId }) => VersionId ?? "").reverse()
    const found = await Promise.all(ids.map(id => read(VERSIONED, "versions", id)))
    const kept = versions.filter(body => body !== undefined)
    assert.ok(found.length === kept.length && found.every((body, i) => body.equals(kept[i] ?? Buffer.alloc(0))))
    assert.equal(listed.DeleteMarkers?.length, 1)
    // The key of the other account is valid, and not allowed here.
    const foreign = other.send(new GetObjectCommand({ Bucket: PLAIN, Key: "size 10" }))
    await assert.rejects(foreign, { name: "AccessDenied" })
    await other.send(new CreateBucketCommand({ Bucket: "of-the-other-account" }))
  } finally {
    client.destroy()
    other.destroy()
    await store.stop()
  }
}

const isRescued = (args: readonly string[]): Promise<void> =>
  withFolder(async folder => {
    const doomed = await DoomedNodes.start(folder, args)
    try {
      await doomed.fill()
      await doomed.backUp()
      await doomed.goOn()
      await doomed.die()
      const keyFile = doomed.nodes.masterKeyFile ?? ""
      for (const zones of [
        ["a", "b", "c"],
        ["a", "c"],
      ]) {
        const to = join(folder, `new-${zones.join("")}`)
        checkLists(await doomed.rescue(zones, ["--to", to]))
        await checkStore(to, keyFile, doomed.contents)
      }
      const alone = await doomed.rescue(["b"], ["--dry-run"])
      assert.equal(alone.code, 1, alone.stderr)
      const isIn = (list: Entry["list"], key: string) => objectsIn(alone, list, false).includes(`${PLAIN}/${key}`)
      for (const key of ["size 4097", "size 5000007", "overwritten", "parts", "late"]) {
        assert.ok(isIn("incomplete", key), `${key} is reported`)
      }
      assert.match(notesOf(alone, "late", false), /too few shards left/)
    } catch (error) {
      if (process.env["SHOW"]) for (const node of doomed.nodes.all) console.error(node.name, node.output)
      throw error
    } finally {
      await doomed.end()
    }
  }, quietParent())

/** A landing rescues one of them: rows and backups of the encrypted one need keys as well. */
const STORES = [["--encrypt-at-rest"], []]

test(
  "a store of three nodes is rescued without its database, also without the folders of one zone",
  { skip: noPostgres },
  async t => {
    for (const seed of seedsOf(1)) {
      const args = STORES[seed % STORES.length] ?? []
      t.diagnostic(`a store with ${args.join(" ") || "no encryption"}`)
      await isRescued(args)
    }
  },
)
