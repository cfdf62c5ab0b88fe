/** Objects from folders that the real MinIO has written: all disks, fewer, and damaged ones. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { after, before, test } from "node:test"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { contentOf, DiskFailure, factsOf, Listing, openDrives, refusalOf } from "./index.js"
import { MessageReader } from "./message-pack.js"
import { unpackFolders } from "./testing-folders.js"
import { parseXlMeta } from "./xl-meta.js"

let folder = ""
const disksIn = (root: string, ...numbers: readonly number[]): readonly string[] =>
  numbers.map(number => join(root, `disk${number}`))

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-minio-"))
})
after(() => rm(folder, { recursive: true, force: true }))

/** A fresh copy of golden folders. */
async function unpacked(name: string, as: string): Promise<string> {
  const root = join(folder, as)
  await unpackFolders(name, root)
  return root
}

interface Found {
  /** Key, version, and of each object whether its bytes are those of its ETag. */
  readonly lines: readonly string[]
  /** Files that were replaced, and problems. */
  readonly told: readonly string[]
}

async function found(folders: readonly string[], bucket: string): Promise<Found> {
  const { gaps, problems, ...drives } = await openDrives(folders)
  const told: string[] = [...gaps, ...problems]
  const lines: string[] = []
  for await (const { key, path, versions, lost, leftovers, damaged } of new Listing(
    drives,
    told.push.bind(told),
  ).objects(bucket, "")) {
    told.push(...damaged)
    for (const { id, why } of lost) lines.push(`${key} ${id === "null" ? id : "version"} lost: ${why}`)
    if (leftovers > 0) lines.push(`${key} ${leftovers} leftovers`)
    for (const version of versions) {
      const id = version.id === "null" ? "null" : "version"
      if (version.kind === "marker") lines.push(`${key} ${id} marker`)
      else {
        const { sizeBytes, etag, partBytes } = factsOf(version)
        const md5s: Buffer[] = []
        try {
          const bytes: Uint8Array[] = []
          for await (const piece of contentOf(version, path, file => told.push(file))) bytes.push(piece)
          const whole = Buffer.concat(bytes)
          let at = 0
          for (const length of partBytes) {
            md5s.push(
              createHash("md5")
                .update(whole.subarray(at, at + length))
                .digest(),
            )
            at += length
          }
          assert.equal(whole.length, sizeBytes)
          const own =
            md5s.length === 1
              ? md5s[0]?.toString("hex")
              : `${createHash("md5").update(Buffer.concat(md5s)).digest("hex")}-${md5s.length}`
          lines.push(`${key} ${id} ${sizeBytes}${own === etag ? "" : " wrong"}`)
        } catch (error) {
          assert.ok(error instanceof DiskFailure, String(error))
          lines.push(`${key} ${id} ${error.code}: ${error.message}`)
        }
      }
    }
  }
  return { lines, told }
}

const PLAIN = [
  "a null 23",
  "a-b null 3",
  "a/b null 3",
  "a/c/d null 5",
  "empty null 0",
  "folder/ null 7",
  "folder/ä b#%2F+?.txt null 21",
  "folder__XL null 10",
  "large null 2109497",
  "notes.txt null 1048653",
]
const DOC = ["doc version 300000", "doc version marker", "doc version 5", "doc version 3", "doc null 20"]
const VERSIONS = [...DOC, "gone version marker", "gone version 4"]

test("all disks, and any two of four: all versions, with the bytes of their ETags, in the order of keys", async () => {
  const root = await unpacked("four-disks", "all")
  for (const numbers of [
    [1, 2, 3, 4],
    [3, 1, 2],
    [1, 2],
    [3, 4],
  ]) {
    const disks = disksIn(root, ...numbers)
    const lost = numbers.length === 4 ? [] : [`set 1 of pool 1: ${4 - numbers.length} of its 4 disks are not there`]
    assert.deepEqual(await found(disks, "plain"), { lines: PLAIN, told: lost })
    assert.deepEqual((await found(disks, "versions")).lines, VERSIONS)
    assert.deepEqual((await found(disks, "parts")).lines, ["film null 11535571"])
  }
  const drives = await openDrives(disksIn(root, 1, 2))
  assert.deepEqual(await new Listing(drives, () => undefined).buckets(), ["locked", "parts", "plain", "versions"])
  const { versions } = await new Listing(drives, () => undefined).object("plain/a")
  const [version] = versions
  assert.ok(version?.kind === "object")
  const { attributes, tags } = factsOf(version)
  assert.equal(tags, "a=1&b=x%20y")
  assert.deepEqual(Object.fromEntries(attributes), {
    "content-type": "text/x-one",
    "cache-control": "max-age=60",
    "x-amz-meta-owner": "ann",
  })
})

test("fewer disks than data shards: each version is named, and nothing else happens", async () => {
  const root = await unpacked("four-disks", "one-left")
  const { lines } = await found(disksIn(root, 2), "versions")
  assert.equal(lines.length, VERSIONS.length)
  for (const line of lines) assert.match(line, /lost: 1 of its disks are left, and 2 are needed$/)
})

async function partFile(root: string, disk: number, key: string): Promise<string> {
  const object = join(root, `disk${disk}`, key)
  const [data] = (await readdir(object, { withFileTypes: true })).filter(entry => entry.isDirectory())
  return join(object, data?.name ?? "", "part.1")
}

async function damage(file: string, at: number): Promise<void> {
  const bytes = await readFile(file)
  bytes[at] = (bytes[at] ?? 0) ^ 0x01
  await writeFile(file, bytes)
}

test("buckets of an old MinIO are listed under their names, and nothing of the system is", async () => {
  const root = await unpacked("one-disk", "names")
  for (const name of ["Old_Name", "lost+found", ".trash"]) await mkdir(join(root, "disk1", name))
  const drives = await openDrives(disksIn(root, 1))
  const names = await new Listing(drives, message => assert.fail(message)).buckets()
  assert.deepEqual(
    names.filter(name => !/^[a-z]+$/.test(name)),
    ["Old_Name"],
  )
})

test("a damaged, a cut and a missing shard are replaced and told, until one block has too few", async () => {
  const root = await unpacked("four-disks", "damaged")
  // In the order of shards: two of data, two of parity.
  const files: string[] = []
  for (const disk of [1, 2, 3, 4]) {
    const [stored] = parseXlMeta(await readFile(join(root, `disk${disk}/plain/large/xl.meta`)))
    assert.ok(stored?.kind === "object")
    files[stored.code.shard - 1] = await partFile(root, disk, "plain/large")
  }
  const [first = "", second = "", third = "", fourth = ""] = files
  const disks = disksIn(root, 1, 2, 3, 4)
  const large = async (): Promise<string> =>
    (await found(disks, "plain")).lines.find(line => line.startsWith("large")) ?? ""
  await damage(first, 3_000)
  await rm(second)
  assert.equal(await large(), "large null 2109497")
  assert.deepEqual((await found(disks, "plain")).told.toSorted(), [first, second].toSorted())
  // The three that are left are damaged in different blocks.
  await damage(third, 800_000)
  assert.equal(await large(), "large null 2109497")
  await damage(fourth, 3_000)
  assert.equal(await large(), "large null lost: part 1, block 1: 1 of its shards are intact, and 2 are needed")
  await damage(first, 3_000)
  assert.equal(await large(), "large null 2109497", "mended")
  await writeFile(first, (await readFile(first)).subarray(0, 600_000))
  assert.equal(await large(), "large null lost: part 1, block 2: 1 of its shards are intact, and 2 are needed")
  assert.equal((await found(disks, "plain")).lines.filter(line => PLAIN.includes(line)).length, PLAIN.length - 1)
})

test("damaged metadata of a disk is told, and the others count", async () => {
  const root = await unpacked("four-disks", "metadata")
  await damage(join(root, "disk1/plain/a/xl.meta"), 60)
  const { lines, told } = await found(disksIn(root, 1, 2, 3, 4), "plain")
  assert.deepEqual(lines, PLAIN)
  assert.match(told.join(), /plain\/a: the checksum of xl.meta is wrong$/)
  for (const disk of [2, 3]) await damage(join(root, `disk${disk}/plain/a/xl.meta`), 60)
  assert.match((await found(disksIn(root, 1, 2, 3, 4), "plain")).lines[0] ?? "", /^a null lost: 1 of its disks/)
  await damage(join(root, "disk4/plain/a/xl.meta"), 60)
  assert.match(
    (await found(disksIn(root, 1, 2, 3, 4), "plain")).lines[0] ?? "",
    /^a version lost: .*checksum of xl.meta/,
  )
})

test("a version that one disk of four has is the rest of a deletion that the disk has missed", async () => {
  const root = await unpacked("four-disks", "stale")
  for (const disk of [1, 2, 3]) await rm(join(root, `disk${disk}/plain/empty`), { recursive: true })
  assert.ok((await found(disksIn(root, 1, 2, 3, 4), "plain")).lines.includes("empty 1 leftovers"))
  // If another one is lost, it may have been acknowledged.
  assert.ok(
    (await found(disksIn(root, 2, 3, 4), "plain")).lines.includes(
      "empty null lost: 1 of its disks are left, and 2 are needed",
    ),
  )
})

/** Leaves of a disk what MinIO makes of an empty one at its start. */
async function replaced(disk: string): Promise<void> {
  for (const name of await readdir(disk)) if (name !== ".minio.sys") await rm(join(disk, name), { recursive: true })
  await writeFile(join(disk, ".minio.sys/buckets/.healing.bin"), "")
}

test("a disk that was replaced and is not healed is named, and what it lacks is no sign of a deletion", async () => {
  const root = await unpacked("four-disks", "unhealed")
  const [, , , disk4 = ""] = disksIn(root, 1, 2, 3, 4)
  await replaced(disk4)
  const whole = await found(disksIn(root, 1, 2, 3, 4), "plain")
  const unhealed = `${disk4}: was replaced, and MinIO has not filled it again: what it lacks is read from the other disks`
  assert.deepEqual(whole, { lines: PLAIN, told: [unhealed] })
  // A version that one disk is left with may have been acknowledged, and the replaced disk had it.
  for (const disk of [1, 2]) await rm(join(root, `disk${disk}/plain/empty`), { recursive: true })
  const lost = "empty null lost: 1 of its disks are left, and 2 are needed"
  assert.ok((await found(disksIn(root, 1, 2, 3, 4), "plain")).lines.includes(lost))
  // With two more away, one disk alone knows the names.
  const { problems } = await openDrives(disksIn(root, 3, 4))
  assert.deepEqual(problems, [
    "set 1 of pool 1: 3 of its 4 disks are not there or not healed, which may have had more objects",
  ])
})

test("compressed objects are read, encrypted ones are refused by the kind of their key", async () => {
  const root = await unpacked("one-disk", "sealed")
  assert.deepEqual((await found(disksIn(root, 1), "sealed")).lines, [
    "by-kms version sealed: it is encrypted with SSE-KMS: its key is in a KMS",
    "by-s3 version sealed: it is encrypted with SSE-S3: its key is in MinIO's KMS",
    "log.txt version 2097157",
    "mixed version sealed: it is encrypted with SSE-S3: its key is in MinIO's KMS",
    "mixed version 4",
    "parts.csv version 5312880",
  ])
})

test("what is sealed, moved to a tier or compressed in another way is refused by name", async () => {
  const root = await unpacked("one-disk", "refused")
  const file = await readFile(join(root, "disk1/sealed/log.txt/xl.meta"))
  const [stored] = parseXlMeta(file)
  assert.ok(stored?.kind === "object")
  const refusal = (system: Readonly<Record<string, string>>, user: Readonly<Record<string, string>> = {}) =>
    refusalOf({
      kind: "object",
      id: stored.id,
      modifiedNs: stored.modifiedNs,
      stored: {
        ...stored,
        user: new Map(Object.entries(user)),
        system: new Map(Object.entries(system).map(([name, value]) => [name, Buffer.from(value)])),
      },
      holders: [],
    })
  const moved = { "transition-status": "complete", "transition-tier": "GLACIER-1" }
  assert.equal(refusal({ compression: "klauspost/compress/s2" }), undefined)
  assert.match(refusal({ compression: "zstd" })?.message ?? "", /compressed with zstd/)
  assert.match(refusal({ "server-side-encryption-sealed-key": "x" })?.message ?? "", /SSE-C/)
  assert.equal(refusal(moved)?.message, "its bytes are in the remote tier GLACIER-1")
  assert.equal(refusal(moved)?.code, "tiered")
  assert.equal(refusal(moved, { "x-amz-restore": 'ongoing-request="false"' }), undefined, "its bytes are back")
  assert.equal(refusal({ "transition-status": "pending" }), undefined)
})

/** MessagePack of a byte string. */
const binary = (bytes: Uint8Array): Buffer => {
  const header = Buffer.alloc(5)
  header[0] = 0xc6
  header.writeUInt32BE(bytes.length, 1)
  return Buffer.concat([header, bytes])
}

/** A file of the form 1.3 in an earlier one. */
function earlier(bytes: Buffer, minor: 0 | 1 | 2): Buffer {
  const reader = new MessageReader(bytes, 8)
  const list = new MessageReader(reader.byteString())
  reader.count()
  const inline = bytes.subarray(reader.position)
  list.count()
  list.count()
  const versions = Array.from({ length: list.count() }, () => {
    list.byteString()
    return list.byteString()
  })
  const map = Buffer.concat([
    Buffer.from([0x81, 0xa8]),
    Buffer.from("Versions"),
    Buffer.from([0x90 + versions.length]),
    ...versions,
  ])
  if (minor === 0) return Buffer.concat([Buffer.from("XL2 1   "), map])
  const crc = Buffer.alloc(5)
  crc[0] = 0xce
  crc.writeUInt32BE(Number(xxh64(map) & 0xffff_ffffn), 1)
  const begin = [Buffer.from("XL2 "), Buffer.from([1, 0, minor, 0]), binary(map)]
  return Buffer.concat(minor === 1 ? [...begin, inline] : [...begin, crc, inline])
}

test("the forms 1.0 to 1.2 of xl.meta say the same", async () => {
  const root = await unpacked("four-disks", "forms")
  const files = [1, 2, 3, 4].map(disk => join(root, `disk${disk}/versions/doc/xl.meta`))
  const original = await Promise.all(files.map(file => readFile(file)))
  for (const minor of [1, 2] as const) {
    for (const [i, file] of files.entries()) await writeFile(file, earlier(original[i] ?? Buffer.alloc(0), minor))
    assert.deepEqual((await found(disksIn(root, 1, 3), "versions")).lines, VERSIONS)
  }
  // The first one had no bytes of objects in it.
  const [first = Buffer.alloc(0)] = original
  const without = (bytes: Buffer) => parseXlMeta(bytes).map(version => ({ ...version, inline: undefined }))
  assert.deepEqual(without(earlier(first, 0)), without(first))
})

test("xl.json, from before 2020, with a hash in each block or one of the whole file", async () => {
  const root = await unpacked("four-disks", "json")
  for (const isWhole of [false, true]) {
    for (const disk of [1, 2, 3, 4]) {
      const object = join(root, `disk${disk}/plain/large`)
      const [stored] = isWhole ? [] : parseXlMeta(await readFile(join(object, "xl.meta")))
      if (stored?.kind === "object") {
        const data = await partFile(root, disk, "plain/large")
        const { code, parts, user } = stored
        await rename(data, join(object, "part.1"))
        await rm(dirname(data), { recursive: true })
        await rm(join(object, "xl.meta"))
        const json = {
          version: "1.0.1",
          format: "xl",
          stat: { size: 2_109_497, modTime: "2019-08-01T10:20:30.123456789Z" },
          erasure: {
            algorithm: "klauspost/reedsolomon/vandermonde",
            data: code.dataShards,
            parity: code.parityShards,
            blockSize: code.blockBytes,
            index: code.shard,
            distribution: code.distribution,
            checksum: [{ name: "part.1", algorithm: "highwayhash256S", hash: "" }],
          },
          meta: Object.fromEntries(user),
          parts: parts.map(part => ({ number: part.number, size: part.sizeBytes, actualSize: part.plainBytes })),
        }
        await writeFile(join(object, "xl.json"), JSON.stringify(json))
      } else {
        // The same file without the hashes of its blocks, of 512 KiB.
        const file = await readFile(join(object, "part.1"))
        const blocks: Buffer[] = []
        for (let at = 0; at < file.length; at += 32 + 524_288) blocks.push(file.subarray(at + 32, at + 32 + 524_288))
        const plain = Buffer.concat(blocks)
        const hash = createHash("blake2b512").update(plain).digest("hex")
        await writeFile(join(object, "part.1"), plain)
        const json = (await readFile(join(object, "xl.json"), "utf8")).replace(
          '"highwayhash256S","hash":""',
          `"blake2b","hash":"${hash}"`,
        )
        await writeFile(join(object, "xl.json"), json)
      }
    }
    assert.deepEqual((await found(disksIn(root, 1, 2), "plain")).lines, PLAIN)
    assert.deepEqual((await found(disksIn(root, 3, 4), "plain")).lines, PLAIN)
  }
  await damage(join(root, "disk3/plain/large/part.1"), 99)
  assert.deepEqual((await found(disksIn(root, 2, 3, 4), "plain")).lines, PLAIN)
  assert.match((await found(disksIn(root, 3, 4), "plain")).lines.join(), /large null lost/)
})

test("folders that are not the disks of one MinIO are refused, and lost ones are named", async () => {
  const root = await unpacked("four-disks", "folders")
  const other = await unpacked("one-disk", "other")
  const [one = "", two = ""] = disksIn(root, 1, 2)
  const refused = (folders: readonly string[], expected: RegExp) =>
    assert.rejects(openDrives(folders), (error: unknown) => {
      assert.ok(error instanceof DiskFailure)
      assert.equal(error.code, "wrongFolders")
      assert.match(error.message, expected)
      return true
    })
  await refused([folder], /no folder is a disk of MinIO: .*there is no \.minio\.sys\/format\.json/)
  await refused([one, ...disksIn(other, 1)], /are disks of different MinIOs/)
  const format = await readFile(join(one, ".minio.sys/format.json"))
  await mkdir(join(root, "copy/.minio.sys"), { recursive: true })
  await writeFile(join(root, "copy/.minio.sys/format.json"), format)
  await refused([one, join(root, "copy")], /are the same disk/)
  await writeFile(join(two, ".minio.sys/format.json"), '{"version":"1","format":"fs","fs":{"version":"2"}}')
  const { gaps, problems } = await openDrives([one, two, join(root, "nowhere")])
  assert.equal(gaps.length, 2)
  assert.match(gaps[0] ?? "", /disk2: left out, it is of MinIO's mode FS/)
  assert.match(gaps[1] ?? "", /nowhere: left out/)
  assert.deepEqual(problems, ["set 1 of pool 1: 3 of its 4 disks are not there, which may have had more objects"])
  // Half of the disks know all objects.
  assert.deepEqual((await openDrives(disksIn(root, 1, 3))).problems, [])
  // One of two sets is missing, with its part of the objects.
  const more = format.toString().replace('"sets":[', '"sets":[["11111111-1111-4111-8111-111111111111"],')
  await writeFile(join(root, "copy/.minio.sys/format.json"), more)
  const [half] = (await openDrives([join(root, "copy")])).problems
  assert.equal(half, "set 1 of pool 1: none of its 1 disks is there, and none of its objects")
})
