import { test } from "node:test"
import assert from "node:assert/strict"
import { fail } from "@hayloft/base/failures.js"
import {
  objectKeyOfText,
  parseBucketId,
  parseDeviceId,
  parseEpoch,
  parseIncarnation,
  parseLogSequence,
  parsePartitionId,
  parsePosition,
  parseStoreId,
  parseTabletId,
  parseUploadId,
  parseVolumeId,
  rowKeyOf,
} from "@hayloft/base/ids.js"
import { subBlockChecksums } from "@hayloft/base/simd/sub-block.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { encodeAsideRow } from "@hayloft/engine/format/tables/aside-row.js"
import { encodeStoredRow } from "@hayloft/engine/format/tables/stored-row.js"
import { encodeControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { encodeEntry } from "@hayloft/engine/format/device/testing-entry.js"
import { encodeLogBatch } from "@hayloft/engine/format/device/log-batch.js"
import {
  encodeNeedleHeader,
  needleHeaderChecksum,
  needleSeed,
  payloadSeed,
  type NeedleId,
} from "@hayloft/engine/format/needles/needle.js"
import { encodeSuperblock } from "@hayloft/engine/format/device/superblock.js"
import {
  chainChecksum,
  encodeGroupHeader,
  encodeVolumeHeader,
  GROUP_HEADER_BYTES,
  needlesChecksumOf,
} from "@hayloft/engine/format/needles/volume.js"
import { inspectMetadataStore } from "./inspect-base.js"
import { inspectFile, type Finding } from "./inspect.js"

const deviceId = parseDeviceId("00112233445566aa")
const volumeId = parseVolumeId(3)
const id: NeedleId = {
  partition: parsePartitionId(9),
  uploadId: parseUploadId("ab".repeat(16)),
  part: 0,
  block: 2,
  generation: 0,
  slot: 1,
}

function shard(text: string): Uint8Array[] {
  const body = new TextEncoder().encode(text)
  const checksums = subBlockChecksums(body, needleSeed(id))
  const owner = { bucketId: parseBucketId(5), key: objectKeyOfText("photos/é") }
  const header = encodeNeedleHeader({
    kind: "shard",
    id,
    owner,
    policy: { kind: "ec", k: 4, m: 2, matrix: "cauchy" },
    blockLengthBytes: 77,
    recoveryHeader: undefined,
    bodyBytes: body.length,
    checksums,
  })
  return [header, body]
}

function payload(): Uint8Array[] {
  const [family, key] = ["current", rowKeyOf("row")] as const
  const body = new TextEncoder().encode("inline")
  const checksums = subBlockChecksums(body, payloadSeed(family, key))
  return [encodeNeedleHeader({ kind: "payload", family, key, bodyBytes: body.length, checksums }), body]
}

function group(previousChecksum: bigint, sequence: number, offsetBytes: number, needles: Uint8Array[][]): Buffer {
  const bytes = Buffer.alloc(4096)
  const needlesChecksum = needlesChecksumOf(needles.map(([header]) => needleHeaderChecksum(header ?? new Uint8Array())))
  encodeGroupHeader({
    deviceId,
    volumeId,
    needles: needles.length,
    sequence,
    lengthBytes: 4096,
    offsetBytes,
    previousChecksum,
    needlesChecksum,
  }).forEach((byte, i) => (bytes[i] = byte))
  let at = GROUP_HEADER_BYTES
  for (const piece of needles.flat()) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

function volume(): Buffer {
  const page = encodeVolumeHeader({
    kind: "needles",
    deviceId,
    volumeId,
    incarnation: parseIncarnation(1),
    sealed: undefined,
  })
  const first = group(chainChecksum(page), 1, 4096, [shard("first body"), payload()])
  const tombstone = [encodeNeedleHeader({ kind: "tombstone", id })]
  const second = group(chainChecksum(first), 2, 8192, [tombstone])
  return Buffer.concat([page, first, second, Buffer.alloc(4096)])
}

async function findingsOf(bytes: Uint8Array, name = "a-file"): Promise<Finding[]> {
  const disk = new SimDisk().boot()
  const file = await disk.open(name, "create")
  await file.write([bytes], 0)
  await file.close()
  const all: Finding[] = []
  for await (const finding of inspectFile(disk, name)) {
    all.push(finding)
    if (all.length > 1000) throw fail("internal", { message: "endless" })
  }
  return all
}

function flipped(bytes: Buffer, at: number): Buffer {
  bytes[at] = (bytes[at] ?? 0) ^ 0x10
  return bytes
}

const outline = (findings: readonly Finding[]) =>
  findings.map(({ what, offsetBytes, intact }) => `${what}@${offsetBytes}${intact ? "" : "!"}`)

test("a volume: header, groups, each needle with its owner and checksums", async () => {
  const findings = await findingsOf(volume())
  assert.deepEqual(
    findings.map(({ what, intact }) => [what, intact]),
    [
      ["volume", true],
      ["group", true],
      ["needle", true],
      ["needle", true],
      ["group", true],
      ["needle", true],
      ["end", true],
    ],
  )
  assert.deepEqual(findings[2]?.fields, {
    kind: "shard",
    partition: 9,
    upload: "ab".repeat(16),
    part: 0,
    block: 2,
    generation: 0,
    slot: 1,
    bucket: 5,
    key: "photos/é",
    policy: "ec:4+2",
    blockBytes: 77,
    bodyBytes: 10,
    recoveryHeader: false,
  })
  assert.deepEqual(findings[3]?.fields, { kind: "payload", family: "current", row: "726f77", bodyBytes: 6 })
  assert.equal(findings[5]?.fields["kind"], "tombstone")
})

test("any flipped byte that was written is a damaged finding or an end with a reason", async () => {
  const whole = outline(await findingsOf(volume()))
  const bodyAt = volume().indexOf("first body")
  for (const at of [4096 + 8, 4096 + GROUP_HEADER_BYTES + 20, bodyAt, bodyAt + 9, 8192 + 3]) {
    const found = await findingsOf(flipped(volume(), at))
    assert.notDeepEqual(outline(found), whole, `byte ${at}`)
    assert.ok(
      found.some(finding => !finding.intact),
      `byte ${at}`,
    )
  }
})

test("needles after a damaged group, and after the volume's own damaged header, are still shown", async () => {
  const [headerAt, ...groupsAt] = outline(await findingsOf(volume()))
  assert.equal(headerAt, "volume@0")
  const gap = await findingsOf(flipped(volume(), 4096 + 8))
  assert.deepEqual(outline(gap), ["volume@0", "gap@4096!", ...groupsAt.slice(3)])
  assert.equal(gap[1]?.fields["lengthBytes"], 4096)
  const headless = flipped(volume(), 20)
  assert.deepEqual(outline(await findingsOf(headless, "0000000003.volume")), ["volume@0!", ...groupsAt])
  assert.deepEqual(outline(await findingsOf(headless)), [], "nothing but its name tells what it is")
})

test("leftovers of an earlier process are shown as such, not trusted", async () => {
  const page = encodeVolumeHeader({
    kind: "needles",
    deviceId,
    volumeId,
    incarnation: parseIncarnation(2),
    sealed: undefined,
  })
  const [header, group] = await findingsOf(Buffer.concat([page, volume().subarray(4096)]))
  assert.deepEqual([header?.what, header?.intact], ["volume", true])
  assert.deepEqual([group?.what, group?.intact], ["group", false])
  assert.match(String(group?.fields["reason"]), /does not continue/)
})

test("a torn tail is a damaged end; a volume may also end without one", async () => {
  const torn = await findingsOf(volume().subarray(0, 8192 + 100))
  assert.deepEqual(outline(torn).at(-1), "end@8192!")
  assert.equal(torn.at(-1)?.fields["groups"], 1)
  assert.deepEqual(outline(await findingsOf(volume().subarray(0, 12_288))).at(-1), "end@12288")
})

test("a log segment: batches and their entries, until the chain ends", async () => {
  const write = { family: "current", key: rowKeyOf("k"), value: new Uint8Array([1]) } as const
  const { record } = encodeEntry({
    tabletId: parseTabletId(1),
    epoch: parseEpoch(1),
    position: parsePosition(7),
    writes: [write],
  })
  const head = { deviceId, segment: 4, durableUpTo: parseLogSequence(0), cutUpTo: parseLogSequence(0) }
  const first = encodeLogBatch({ ...head, offsetBytes: 0, sequence: parseLogSequence(1), previous: 0n }, [
    record,
    record,
  ])
  const second = encodeLogBatch(
    { ...head, offsetBytes: 4096, sequence: parseLogSequence(2), previous: first.header.checksum },
    [record],
  )
  const stale = encodeLogBatch(
    { ...head, segment: 3, offsetBytes: 8192, sequence: parseLogSequence(3), previous: 5n },
    [record],
  )
  const file = Buffer.concat([first.bytes, second.bytes, stale.bytes])
  const findings = await findingsOf(file)
  assert.deepEqual(
    outline(findings).map(line => line.split("@")[0]),
    ["batch", "entry", "entry", "batch", "entry", "end"],
  )
  assert.deepEqual(findings[1]?.fields, { tablet: 1, epoch: 1, position: 7, writes: 1, families: "current" })
  file[100] = 0xff
  const damaged = await findingsOf(file)
  assert.deepEqual([damaged[0]?.what, damaged[0]?.intact], ["batch", false])
})

test("superblock and control record: contents, damage, and no secret", async () => {
  const storeId = parseStoreId("cd".repeat(16))
  const superblock = Buffer.from(
    encodeSuperblock({ storeId, deviceId, incarnation: parseIncarnation(4), createdMs: 0, formatEpoch: 1 }),
  )
  const [found] = await findingsOf(superblock)
  assert.deepEqual(found?.fields, {
    store: storeId,
    device: deviceId,
    incarnation: 4,
    created: "1970-01-01T00:00:00.000Z",
    formatEpoch: 1,
  })
  superblock[33] = 9
  assert.equal((await findingsOf(superblock))[0]?.intact, false)
  const control = Buffer.from(
    encodeControlRecord({
      storeId,
      generation: 3,
      devices: [
        {
          id: deviceId,
          weight: 1,
          pathHint: "/data",
          isMountPoint: false,
          state: "active",
          stateSinceMs: 0,
          capacityBytes: 0,
          more: [],
        },
      ],
      policy: { kind: "replica", copies: 1 },
      blockBytes: 4 * 1024 * 1024,
      metaCopies: 1,
      tablets: [
        {
          id: parseTabletId(1),
          epoch: parseEpoch(2),
          replicas: [{ id: deviceId, since: parseEpoch(1) }],
          learners: [],
          start: rowKeyOf(""),
          end: undefined,
          more: [],
        },
      ],
      layout: { version: 1, table: new Uint8Array(8), devices: [deviceId] },
      previousLayout: undefined,
      pausedWork: [],
      isPolicyAutomatic: false,
      policyVersion: 1,
      keyring: {
        masterKeyNumber: 2,
        previous: undefined,
        atRest: undefined,
        materials: [],
        epochs: [{ number: 4, createdMs: 0, sealed: Buffer.from("sealed-secrets".padEnd(60, "!")) }],
      },
      secrets: Buffer.from("sealed-secrets"),
      region: "us-east-1",
      starts: [{ incarnation: parseIncarnation(3), id: 7, startedMs: 0, hasOpened: true }],
      more: [],
    }),
  )
  const findings = await findingsOf(control)
  assert.deepEqual(outline(findings), ["control@0", "keyring@0", "device@0", "start@0", "tablet@0"])
  const start = { incarnation: 3, id: 7, started: "1970-01-01T00:00:00.000Z", hasOpened: true }
  assert.deepEqual(findings[3]?.fields, start)
  assert.deepEqual(findings[1]?.fields, { masterKey: 2, epochs: "4", materials: 0 })
  assert.ok(!JSON.stringify(findings).includes("sealed-secrets"))
  control[40] = (control[40] ?? 0) ^ 1
  assert.deepEqual(outline(await findingsOf(control)), ["control@0!"])
})

test("a metadata store: rows of each family, and a damaged one", async () => {
  const store = await new MemoryStores().openWriter("base")
  const key = rowKeyOf("k")
  const row = encodeStoredRow(new Uint8Array([1, 2]), { volume: 3, offsetBytes: 4096, lengthBytes: 5 })
  const other = Uint8Array.from(encodeStoredRow(new Uint8Array([7]), undefined))
  other[1] = 8
  await store.commit([
    { family: "current", key, value: row },
    { family: "heads", key, value: other },
  ])
  const findings: Finding[] = []
  for await (const finding of inspectMetadataStore(store)) findings.push(finding)
  assert.deepEqual(
    findings.map(({ what, intact, fields }) => [what, intact, fields["family"]]),
    [
      ["row", true, "current"],
      ["family", true, "current"],
      ["row", false, "heads"],
      ["family", true, "heads"],
    ],
  )
  assert.deepEqual(findings[0]?.fields, { family: "current", row: "6b", valueBytes: 2, payload: "volume 3 at 4096" })
})

test("a metadata store with a row set aside: it is shown in its family, and what is left of a damaged one as damage", async () => {
  const store = await new MemoryStores().openWriter("base")
  const stored = encodeStoredRow(new Uint8Array(600_000), undefined)
  const parts = encodeAsideRow({ family: "queueContents", key: rowKeyOf("k"), stored })
  await store.commit(parts.map(([key, bytes]) => ({ family: "marks", key, value: encodeStoredRow(bytes, undefined) })))
  const findings = async () => {
    const found: Finding[] = []
    for await (const finding of inspectMetadataStore(store))
      if (finding.fields["setAside"] === true) found.push(finding)
    return found
  }
  const fields = { family: "queueContents", row: "6b", setAside: true, valueBytes: 600_000 }
  assert.deepEqual(await findings(), [{ what: "row", offsetBytes: 0, intact: true, fields }])
  await store.commit([{ family: "marks", key: parts[0]?.[0] ?? assert.fail(), value: undefined }])
  const [damaged, ...others] = await findings()
  assert.deepEqual([damaged?.intact, damaged?.fields["family"], others], [false, "marks", []])
})

test("any other file is refused", async () => {
  assert.deepEqual(await findingsOf(Buffer.from("hello")), [])
  assert.deepEqual(await findingsOf(Buffer.alloc(8192)), [])
})
