/**
 * Compares docs/reference/formats.md with the code: every documented layout with the bytes that the encoders write, field by
 * field, and every documented record and family with what the code packs.
 */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { Packr } from "msgpackr"
import { hexOf } from "@hayloft/base/bytes.js"
import { FAMILIES } from "@hayloft/base/rows/families.js"
import { encodeAuditQueue } from "@hayloft/engine/format/accounts/audit-queue.js"
import { encodeEvent } from "@hayloft/engine/format/event-record.js"
import { encodeAudit } from "@hayloft/engine/format/accounts/audit-record.js"
import { encodeJob } from "@hayloft/engine/format/job-record.js"
import { encodeGuards, encodeTransaction } from "@hayloft/engine/format/objects/transaction-record.js"
import { encodeCopyChange, encodeCopyState, encodeParkedCopy } from "@hayloft/engine/format/objects/copies.js"
import { encodeHistory } from "@hayloft/engine/format/objects/history.js"
import { encodePackingPass } from "@hayloft/engine/format/objects/packing-rows.js"
import { encodeUsageHistory } from "@hayloft/engine/format/objects/usage-history.js"
import { encodeAdminToken } from "@hayloft/engine/format/accounts/admin-token.js"
import { encodeSignOuts } from "@hayloft/engine/format/accounts/console-session.js"
import { timestampOfMs } from "@hayloft/base/text/timestamp.js"
import { encodeChange } from "@hayloft/engine/format/objects/change.js"
import { encodeSwiftAccount } from "@hayloft/engine/format/swift/swift-account.js"
import {
  objectKeyOfText,
  parseAccountId,
  parseAccountNumber,
  parseBucketId,
  parseBucketName,
  parseDeviceId,
  parseEpoch,
  parseIncarnation,
  parseKmsKeyId,
  parseLogSequence,
  parseItemKey,
  parseMultipartId,
  parseNodeFingerprint,
  parseNodeName,
  parsePartitionId,
  parsePosition,
  parseStoreId,
  parseTabletId,
  parseUploadId,
  parseVersionId,
  parseVolumeId,
  rowKeyOf,
  parseAuditId,
  parseCoordPath,
  parseMessageId,
  parseSessionId,
} from "@hayloft/base/ids.js"
import { encodeStoredRow } from "@hayloft/engine/format/tables/stored-row.js"
import { encodeRecoveryHeader } from "@hayloft/engine/format/needles/recovery-header.js"
import {
  encodeControlRow,
  encodeConversionRow,
  encodeEpochRow,
  encodeEpochsRow,
  encodeLayoutRow,
  encodeLeaseRow,
  encodeNodeRow,
} from "@hayloft/engine/format/nodes/cluster-rows.js"
import { encodeControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { encodeEntry } from "@hayloft/engine/format/device/testing-entry.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import type { VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import {
  encodeCoordChange,
  encodeFile,
  encodeLock,
  encodeNamespace,
  encodeSession,
  HOLDING_VALUE,
} from "@hayloft/engine/format/coord-rows.js"
import { encodeContent, encodeDue, encodeMessage, encodeQueue } from "@hayloft/engine/format/queue-rows.js"
import {
  encodeK2vChange,
  encodeK2vItem,
  encodeK2vPartition,
  encodeK2vValue,
} from "@hayloft/engine/format/k2v/k2v-rows.js"
import { encodeKeyring } from "@hayloft/engine/format/device/keyring.js"
import { encodeKmsAlias, encodeKmsKey, type KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import { encodeBucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { encodeLifecyclePass } from "@hayloft/engine/format/objects/lifecycle-pass.js"
import { encodeLogBatch } from "@hayloft/engine/format/device/log-batch.js"
import { MetadataChunkWriter } from "@hayloft/engine/format/metadata-backup.js"
import { encodeNeedleScrub } from "@hayloft/engine/format/device/needle-scrub.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import {
  encodeNeedleHeader,
  encodeNeedlePlace,
  needleKeyOf,
  type NeedleId,
} from "@hayloft/engine/format/needles/needle.js"
import { encodeIntent } from "@hayloft/engine/format/objects/intent.js"
import {
  encodeAccount,
  encodeAccountId,
  encodeBucket,
  encodeBucketId,
  encodeCounters,
  encodePart,
  encodePendingDeletion,
  encodeRowHead,
  encodeSegment,
  encodeSetting,
  encodeStoreClock,
  encodeUpload,
} from "@hayloft/engine/format/records.js"
import {
  encodeAccessKey,
  encodeDirectoryEntry,
  encodeIdentity,
  encodeIdentityProvider,
  encodeKeyUse,
  encodeManagedPolicy,
} from "@hayloft/engine/format/accounts/identity-records.js"
import { encodePositionRecord } from "@hayloft/engine/format/device/position-record.js"
import type { Sealing } from "@hayloft/engine/format/needles/sealing.js"
import { encodeSuperblock } from "@hayloft/engine/format/device/superblock.js"
import { TarIndexWriter } from "@hayloft/engine/format/objects/tar-index.js"
import { encodeUsage } from "@hayloft/engine/format/objects/usage.js"
import { encodeBlockDigests, encodeBlockPlace } from "@hayloft/engine/format/objects/dedup-rows.js"
import { encodeDeletedVersion } from "@hayloft/engine/format/objects/deleted-version.js"
import { decodeVersion, encodeDetails, encodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import { encodeGroupHeader, encodeVolumeHeader, encodeVolumePosition } from "@hayloft/engine/format/needles/volume.js"
import { ROOT } from "../harness/server.js"

const PAGE = readFileSync(join(ROOT, "docs/reference/formats.md"), "utf8")

interface Field {
  readonly offset: number
  readonly bytes: number
  /** The name is undefined for reserved bytes. */
  readonly name: string | undefined
  /** A value from the page: a magic, a version. */
  readonly says: string | undefined
}

interface Layout {
  readonly lengthBytes: number
  readonly isLittle: boolean
  readonly fields: readonly Field[]
}

/** Returns the rows of the table after a place in the page. */
function rowsAfter(at: number): string[][] {
  const lines = PAGE.slice(at).split("\n")
  const first = lines.findIndex(line => line.startsWith("|"))
  const rows = lines.slice(first)
  const end = rows.findIndex(line => !line.startsWith("|"))
  return rows.slice(2, end).map(line =>
    line
      .slice(1, -1)
      .split("|")
      .map(cell => cell.trim()),
  )
}

const LAYOUTS: ReadonlyMap<string, Layout> = new Map(
  [...PAGE.matchAll(/<!-- layout:([\w-]+) (\d+) (little|big) -->/g)].map(match => [
    match[1] ?? "",
    {
      lengthBytes: Number(match[2]),
      isLittle: match[3] === "little",
      fields: rowsAfter(match.index).map(([offset, bytes, field]) => ({
        offset: Number(offset),
        bytes: Number(bytes),
        name: /^`(\w+)`/.exec(field ?? "")?.[1],
        says: /^`\w+`: "?(\d+|\w{4})"?$/.exec(field ?? "")?.[1],
      })),
    },
  ]),
)

type Value = number | string

/** Returns numbers as numbers; ids, and everything longer than 8 bytes, as hex. */
function read(bytes: Uint8Array, { offset, bytes: length }: Field, isLittle: boolean, asHex: boolean): Value {
  const field = Buffer.from(bytes.subarray(offset, offset + length))
  if (asHex || length > 8) return hexOf(field)
  return Number(`0x${hexOf(isLittle ? field.reverse() : field)}`)
}

const deviceId = parseDeviceId("0a1b2c3d4e5f6071")
const uploadId = parseUploadId("000102030405060708090a0b0c0d0e0f")
const storeId = parseStoreId("f0e0d0c0b0a090807060504030201000")
const volumeId = parseVolumeId(21)
const incarnation = parseIncarnation(7)
const position = { volumeId: parseVolumeId(20), groups: 3, offsetBytes: 81_920, checksum: 0x55n }
const id: NeedleId = {
  partition: parsePartitionId(0x1234),
  uploadId,
  part: 5,
  block: 6,
  generation: 1,
  slot: 2,
}
const md5 = new Uint8Array(16).fill(0x9a)
const MESSAGE_ID = parseMessageId(`D-0000002a-${"A".repeat(24)}-0001`)
const SESSION_ID = parseSessionId("0123456789abcdef".repeat(2))
const random = new Uint8Array(8).fill(0x7b)

const needle = encodeNeedleHeader({
  kind: "shard",
  id,
  owner: { bucketId: parseBucketId(77), key: objectKeyOfText("a/key") },
  policy: { kind: "ec", k: 4, m: 3, matrix: "vandermonde" },
  blockLengthBytes: 300_000,
  recoveryHeader: new Uint8Array(9),
  bodyBytes: 75_008,
  checksums: new Uint8Array(16),
})

const control = encodeControlRecord({
  storeId,
  generation: 9,
  devices: [
    {
      id: deviceId,
      weight: 1,
      pathHint: "/data",
      isMountPoint: true,
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
      epoch: parseEpoch(1),
      replicas: [{ id: deviceId, since: parseEpoch(1) }],
      learners: [],
      start: rowKeyOf(""),
      end: undefined,
      more: [],
    },
  ],
  layout: { version: 1, table: new Uint8Array(3), devices: [deviceId] },
  previousLayout: undefined,
  pausedWork: [],
  isPolicyAutomatic: false,
  policyVersion: 1,
  secrets: new Uint8Array(4),
  region: "eu",
  more: [],
})

const batch = encodeLogBatch(
  {
    deviceId,
    segment: 3,
    offsetBytes: 4096,
    sequence: parseLogSequence(12),
    previous: 0x1122n,
    durableUpTo: parseLogSequence(11),
    cutUpTo: parseLogSequence(5),
  },
  [new Uint8Array(10), new Uint8Array(20)],
).bytes

const entry = encodeEntry({
  tabletId: parseTabletId(4),
  epoch: parseEpoch(2),
  position: parsePosition(99),
  writes: [
    { family: "current", key: rowKeyOf("row"), value: new Uint8Array(3), payload: new Uint8Array(2) },
    { family: "heads", key: rowKeyOf("r"), value: undefined },
  ],
}).record

const baseRow = encodeStoredRow(new Uint8Array(5), {
  volume: 8,
  offsetBytes: 4160,
  lengthBytes: 3000,
})

const sealing: Sealing = {
  key: { mode: "kms", keyArn: "arn", dataKey: new Uint8Array(3), context: undefined },
  secret: 44,
  salt: md5,
}
/** The sealing in the form in which `packSealing` writes it, without `bind`. */
const packedSealing = [2, 44, Buffer.from(md5), null, ["arn", Buffer.alloc(3), null, null]]

const version = encodeVersion({
  head: {
    isMarker: false,
    isNull: true,
    hasDetails: false,
    isShared: true,
    isLocked: true,
    storageClass: "GLACIER_IR",
    checksumAlgorithm: "CRC64NVME",
    checksumType: "COMPOSITE",
    sizeBytes: 123_456,
    modifiedMs: 1_700_000_000_000,
    order: 1_700_000_000_000_001,
    random,
    md5,
    parts: 12,
  },
  content: { kind: "inline" },
  checksumValue: undefined,
  details: undefined,
  lock: { retention: undefined, legalHold: true },
  sealing: { ...sealing, key: { mode: "s3" }, bind: md5 },
  restore: { requestedMs: 51, untilMs: 52, tier: "Bulk" },
  expiresAtSeconds: 53,
  largeObject: { sizeBytes: 54, md5, parts: 3 },
})

const group = encodeGroupHeader({
  deviceId,
  volumeId,
  needles: 4,
  sequence: 5,
  lengthBytes: 8192,
  offsetBytes: 12_288,
  previousChecksum: 0x33n,
  needlesChecksum: 0x44n,
})

const backup = new MetadataChunkWriter()
backup.add({ family: "current", key: rowKeyOf("row"), value: new Uint8Array(7), payload: new Uint8Array(2) })
const chunk = backup.finish({
  storeId,
  tabletId: parseTabletId(1),
  incarnation,
  fromPosition: parsePosition(40),
  atPosition: parsePosition(41),
  startedMs: 1_700_000_000_000,
  decidedBelow: "0000000700000009",
  number: 3,
  isLast: true,
  recordsBefore: 50,
})
const tarIndex = new TarIndexWriter(5_000_000_000)
tarIndex.add({
  path: Buffer.from("a.svg"),
  kind: "file",
  sizeBytes: 700,
  modifiedMs: 3_000,
  offsetBytes: 512,
  linkTarget: undefined,
})
const needleScrub = encodeNeedleScrub({ at: position, damaged: [needleKeyOf(id)] })

/** For each layout an encoded sample, and the values that its fields must contain. Checksums match any number. */
const SAMPLES: Readonly<Record<string, { bytes: Uint8Array; fields: Readonly<Record<string, Value>> }>> = {
  superblock: {
    bytes: encodeSuperblock({ storeId, deviceId, incarnation, createdMs: 1_700_000_000_000, formatEpoch: 1 }),
    fields: {
      magic: "HLSB",
      version: 1,
      formatEpoch: 1,
      storeId,
      createdMs: 1_700_000_000_000,
      incarnation: 7,
      deviceId,
      checksum: "any",
    },
  },
  position: {
    bytes: encodePositionRecord({ deviceId, logged: parseLogSequence(77), generation: 12 }),
    fields: { magic: "HLPO", version: 1, deviceId, logged: 77, generation: 12, checksum: "any" },
  },
  control: {
    bytes: control,
    fields: { magic: "HLCR", version: 2, payloadBytes: control.length - 24, checksum: "any" },
  },
  "log-batch": {
    bytes: batch,
    fields: {
      magic: "HLLB",
      version: 1,
      headerBytes: 80,
      deviceId,
      segment: 3,
      recordCount: 2,
      offsetBytes: 4096,
      payloadBytes: 38,
      sequence: 12,
      previous: 0x1122,
      durableUpTo: 11,
      cutUpTo: 5,
      payloadChecksum: "any",
      checksum: "any",
    },
  },
  entry: {
    bytes: entry,
    fields: { format: 1, kind: 1, tabletId: 4, epoch: 2, position: 99, writes: 2 },
  },
  "entry-write": {
    bytes: entry.subarray(20),
    fields: { family: FAMILIES.current, flags: 3, keyBytes: 3 },
  },
  volume: {
    bytes: encodeVolumeHeader({ kind: "payloads", deviceId, volumeId, incarnation, sealed: position, endsByMs: 77 }),
    fields: {
      magic: "HVol",
      version: 1,
      kind: 1,
      deviceId,
      volumeId: 21,
      incarnation: 7,
      sealedVolume: 20,
      sealedGroups: 3,
      sealedAt: 81_920,
      sealedChecksum: 0x55,
      endsBy: 77,
      checksum: "any",
    },
  },
  group: {
    bytes: group,
    fields: {
      magic: "HGrp",
      version: 1,
      deviceId,
      volumeId: 21,
      needles: 4,
      sequence: 5,
      lengthBytes: 8192,
      offsetBytes: 12_288,
      previousChecksum: 0x33,
      needlesChecksum: 0x44,
      checksum: "any",
    },
  },
  needle: {
    bytes: needle,
    fields: {
      magic: "HNdl",
      version: 1,
      kind: 1,
      checksumAlgorithm: 1,
      headerBytes: needle.length,
      bodyBytes: 75_008,
      id: hexOf(Buffer.from(needleKeyOf(id), "latin1")),
      policy: 0x01_03_04_02,
      blockBytes: 300_000,
      keyBytes: 5,
      noteBytes: 9,
      home: 77,
      subBlocks: 2,
    },
  },
  "needle-id": {
    bytes: Buffer.from(needleKeyOf(id), "latin1"),
    fields: { partition: 0x1234, uploadId, part: 5, block: 6, generation: 1, slot: 2 },
  },
  "base-row": {
    bytes: baseRow.subarray(5),
    fields: { flags: 1, volume: 8, offsetBytes: 4160, lengthBytes: 3000 },
  },
  "volume-position": {
    bytes: encodeVolumePosition(position),
    fields: { volumeId: 20, groups: 3, offsetBytes: 81_920, checksum: 0x55 },
  },
  "needle-place": {
    bytes: encodeNeedlePlace(
      { volume: 2, offsetBytes: 4160, headerBytes: 90, bodyBytes: 64 },
      { policy: parsePolicy("ec:4+2"), blockLengthBytes: 250 },
    ),
    fields: {
      volume: 2,
      offsetBytes: 4160,
      headerBytes: 90,
      bodyBytes: 64,
      policy: 0x00_02_04_02,
      blockBytes: 250,
    },
  },
  "metadata-chunk": {
    bytes: chunk,
    fields: {
      magic: "HMbk",
      version: 1,
      flags: 1,
      storeId,
      tabletId: 1,
      incarnation: 7,
      fromPosition: 40,
      atPosition: 41,
      startedMs: 1_700_000_000_000,
      decidedBelow: "0000000700000009",
      number: 3,
      records: 1,
      recordsBefore: 50,
      recordsBytes: 12 + 3 + 7 + 2,
    },
  },
  "metadata-record": {
    bytes: chunk.subarray(88),
    fields: { family: FAMILIES.current, flags: 1, keyBytes: 3, valueBytes: 7, payloadBytes: 2 },
  },
  "needle-scrub": {
    bytes: needleScrub,
    fields: {
      magic: "HNSc",
      version: 1,
      hasPosition: 1,
      needles: 1,
      position: hexOf(encodeVolumePosition(position)),
    },
  },
  "tar-index": {
    bytes: tarIndex.finish(),
    fields: { magic: "HLTI", version: 1, archiveBytes: 5_000_000_000, members: 1, blocks: 1, blocksBytes: 12 },
  },
  version: {
    bytes: version,
    fields: {
      format: 2,
      flags: 2 | 8 | 16 | 32 | 64 | 128,
      checksumAlgorithm: 3 + 128,
      sizeBytes: 123_456,
      storageClass: 7,
      modifiedMs: 1_700_000_000_000,
      order: 1_700_000_000_000_001,
      random: hexOf(random),
      md5: hexOf(md5),
      parts: 12,
    },
  },
}

test("the page documents every layout that the code writes, and no other", () => {
  assert.deepEqual([...LAYOUTS.keys()].sort(), Object.keys(SAMPLES).sort())
})

for (const [name, { lengthBytes, isLittle, fields }] of LAYOUTS) {
  test(`${name}: ${lengthBytes} bytes without a gap, each field as documented`, () => {
    const sample = SAMPLES[name]
    assert.ok(sample)
    let at = 0
    for (const field of fields) {
      assert.equal(field.offset, at, `a field must begin at ${at}`)
      at += field.bytes
      if (field.name === undefined) {
        assert.match(read(sample.bytes, field, isLittle, true).toString(), /^0*$/, `reserved bytes at ${field.offset}`)
        continue
      }
      const expected: Value | undefined = sample.fields[field.name]
      assert.notEqual(expected, undefined, `the layout has no field ${field.name}`)
      if (field.says !== undefined) assert.equal(field.says, String(expected), `the documented value of ${field.name}`)
      if (expected === "any") continue
      if (field.name === "magic") {
        const magic = Buffer.from(sample.bytes.subarray(field.offset, field.offset + 4)).toString("latin1")
        assert.equal(magic, expected)
      } else assert.equal(read(sample.bytes, field, isLittle, typeof expected === "string"), expected, field.name)
    }
    assert.equal(at, lengthBytes, "the fields do not fill the layout")
    const documented = fields.flatMap(field => field.name ?? []).sort()
    assert.deepEqual(documented, Object.keys(sample.fields).sort(), "a field is not documented")
  })
}

/** The head of each golden file matches the documented layout. */
for (const [file, name] of [
  ["superblock-v1", "superblock"],
  ["control-record-v1", "control"],
  ["log-batch-v1", "log-batch"],
  ["volume-v1", "volume"],
  ["group-v1", "group"],
  ["needle-shard-v1", "needle"],
  ["needle-payload-v1", "needle"],
  ["needle-tombstone-v1", "needle"],
] as const) {
  test(`golden bytes of ${file} begin with the documented magic and version`, () => {
    const golden = readFileSync(join(ROOT, `packages/engine/src/format/golden/${file}.hex`), "latin1").replaceAll(
      /\s/g,
      "",
    )
    const bytes = Buffer.from(golden, "hex")
    const layout = LAYOUTS.get(name)
    assert.ok(layout && bytes.length >= layout.lengthBytes)
    assert.equal(bytes.toString("latin1", 0, 4), SAMPLES[name]?.fields["magic"])
    const versionField = layout.fields.find(field => field.name === "version")
    assert.ok(versionField)
    assert.equal(read(bytes, versionField, layout.isLittle, false), 1)
  })
}

test("the header of a body, and a row without a place, end as documented", () => {
  assert.equal(needle.length, 72 + "a/key".length + 9 + 16 + 8)
  assert.equal(baseRow.length, 5 + 16 + 1)
  const plain = encodeStoredRow(new Uint8Array(5), undefined)
  assert.equal(plain.length, 5 + 1)
})

test("the families are documented with their numbers", () => {
  const rows = rowsAfter(PAGE.indexOf("<!-- families -->"))
  const documented = rows.map(([number, family]) => [family?.replaceAll("`", ""), Number(number)])
  assert.deepEqual(Object.fromEntries(documented), FAMILIES)
})

const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: "number" })
const extent: Extent = {
  uploadId,
  part: 0,
  lengthBytes: 26,
  isSealed: true,
  sealedAs: uploadId,
  blockBytes: 4_194_304,
  policy: { kind: "replica", copies: 1 },
  generation: 0,
  exceptions: [
    {
      firstBlock: 0,
      lastBlock: 1,
      policy: { kind: "replica", copies: 1 },
      generation: 0,
      missingSlots: [1],
      placedSlots: [],
    },
  ],
}
const details = { headers: [], userMetadata: [], tags: [] }
const lock: VersionLock = { retention: { mode: "COMPLIANCE", untilMs: 40 }, legalHold: undefined }
const head = { lastOrder: 5, lastModifiedMs: 6, nullOrder: 7, versions: 8, latestOrder: 9 }
const bucket = {
  id: parseBucketId(3),
  name: parseBucketName("bucket"),
  owner: parseAccountId("me"),
  createdMs: 11,
  location: "eu",
  versioning: "suspended",
  state: "closing",
  settingsVersion: 12,
  policy: { kind: "replica", copies: 3 },
  settings: ["acl"],
  lock: { defaultRetention: undefined },
  usage: { accountRun: "07" },
} as const
const part = { partNumber: 4, md5, modifiedMs: 13, checksumValue: "abc=", extent }
const counters = { objects: 1, versions: 2, bytes: 3, uploads: 4 }
const account = {
  id: parseAccountId("me"),
  displayName: "Me",
  email: "m@e",
  createdMs: 14,
  number: parseAccountNumber("000000000019"),
  limits: { requestsPerSecond: 49, burst: undefined, bytesPerSecond: 50 },
}
const quota = { run: "07", isExact: true, limits: { hardBytes: 50, warnObjects: 51 } }
const packedQuota = [Buffer.from([7]), 1, 50, null, null, 51]
const accessKey = {
  accountId: parseAccountId("me"),
  createdMs: 15,
  sealedSecret: md5,
  isActive: true,
  userName: "Bob",
  service: undefined,
  limits: { requestsPerSecond: 51, burst: 52, bytesPerSecond: undefined },
}
const named = { name: "Bob", path: "/", id: "AIDA7", createdMs: 20, tags: [] }
const identity = {
  ...named,
  kind: "role" as const,
  inline: [],
  attached: ["a"],
  boundary: "b",
  groups: ["c"],
  keys: [],
  role: undefined,
}
const managedPolicy = {
  ...named,
  updatedMs: 21,
  description: "d",
  defaultVersion: 22,
  lastVersion: 23,
  versions: [],
}
const provider = { url: "https://id", createdMs: 24, clientIds: ["c"], thumbprints: ["t"], tags: [] }
const kmsKey: KmsKeyRecord = {
  id: parseKmsKeyId("00000000-0000-4000-8000-000000000000"),
  accountId: account.id,
  description: "d",
  state: "pendingDeletion",
  deletionMs: 45,
  policy: "{}",
  rotation: { days: 365, sinceMs: 46 },
  external: { kind: "vault", name: "orders" },
  tags: [["a", "b"]],
  versions: [{ createdMs: 44, isOnDemand: true }],
}
const keyUse = { usedMs: 25, service: "s3", region: "eu" }
const multipartId = parseMultipartId("00000000000000000000000000")
const release = { kind: "aborted", bucketId: parseBucketId(3), key: objectKeyOfText("k"), multipartId } as const
const note = {
  bucket: parseBucketName("bucket"),
  contentType: "a/b",
  userMetadata: [],
  plannedLengthBytes: 16,
  multipartId: "",
  lock,
  sealed: { sealing, epoch: 45, sealedSecret: md5 },
  storageClass: "DEEP_ARCHIVE",
} as const

const node = {
  name: parseNodeName("a"),
  incarnation: parseIncarnation(27),
  address: "h:1",
  fingerprint: parseNodeFingerprint("0f".repeat(32)),
  proof: new Uint8Array(32),
  zone: "z",
  machine: "m",
  program: "1.2.3",
  beat: 28,
  position: parsePosition(29),
  layoutVersion: 30,
  unreachable: [parseNodeName("b")],
}

/** Encoded records, and the plain values that their members must have. */
const RECORDS: Readonly<Record<string, readonly [bytes: Uint8Array, values: Readonly<Record<string, unknown>>]>> = {
  heads: [encodeRowHead(head), head],
  details: [encodeDetails({ ...details, acl: { owner: parseAccountId("writer"), grants: [] } }), {}],
  uploads: [
    encodeUpload({
      initiatedMs: 17,
      checksum: undefined,
      details,
      completion: undefined,
      initiator: account.id,
      lock,
      sealing,
      storageClass: "STANDARD_IA",
      countedBy: ["07"],
      renamedBy: 12,
    }),
    {
      initiatedMs: 17,
      checksum: null,
      completion: null,
      initiator: "me",
      sealing: packedSealing,
      storageClass: 2,
      countedBy: [Buffer.from([7])],
      renamedBy: 12,
    },
  ],
  parts: [
    encodePart({ ...part, digests: new Uint8Array(32).fill(7) }),
    { partNumber: 4, modifiedMs: 13, checksumValue: "abc=", digests: Buffer.alloc(32, 7) },
  ],
  blockDigests: [
    encodeBlockDigests({
      storageClass: "STANDARD_IA",
      uploadedParts: 19,
      blockBytes: 7,
      lengthBytes: 5,
      digests: [new Uint8Array(32).fill(7)],
    }),
    { storageClass: 2, uploadedParts: 19, blockBytes: 7, lengthBytes: 5, digests: Buffer.alloc(32, 7) },
  ],
  blockIndex: [
    encodeBlockPlace({
      key: objectKeyOfText("k"),
      multipartId,
      offsetBytes: 5,
      lengthBytes: 6,
    }),
    { key: Buffer.from("k"), offsetBytes: 5, lengthBytes: 6 },
  ],
  deleted: [
    encodeDeletedVersion({ deletedMs: 55, untilMs: 56, reason: "expired", record: decodeVersion(version) }),
    { deletedMs: 55, untilMs: 56, reason: 2, record: Buffer.from(version) },
  ],
  segments: [encodeSegment({ offsetBytes: 18, parts: [part] }), { offsetBytes: 18 }],
  names: [encodeBucketId(bucket.id), { id: 3 }],
  buckets: [
    encodeBucket({ ...bucket, undeleteDays: 57, countsDeleted: true }),
    {
      ...bucket,
      versioning: 2,
      state: 1,
      policy: "replica:3",
      settings: 2,
      lock: [null],
      usage: [null, Buffer.from([7])],
      undelete: [57],
    },
  ],
  clock: [encodeStoreClock(39), { nowMs: 39 }],
  bucketKeys: [
    encodeBucketKey({
      kind: "dataKey",
      createdMs: 49,
      ciphertext: md5,
      keyArn: "arn",
      context: "{}",
    }),
    { kind: 1, createdMs: 49, epoch: null, sealed: Buffer.from(md5), keyArn: "arn", context: "{}" },
  ],
  lifecycle: [
    encodeLifecyclePass({
      startedMs: 42,
      endedMs: 43,
      next: undefined,
      taken: [],
      removed: { versions: 1, bytes: 2, hidden: 3, markers: 4, uploads: 5, moved: 6, movedBytes: 7 },
      expires: true,
    }),
    { startedMs: 42, endedMs: 43, next: null, taken: [], removed: [1, 2, 3, 4, 5, 6, 7], expires: 1 },
  ],
  settings: [encodeSetting({ setMs: 19, document: "x" }), { setMs: 19, document: "x" }],
  counters: [encodeCounters(counters), counters],
  usage: [encodeUsage({ bytes: 52, objects: 53, partBytes: 54 }), { bytes: 52, objects: 53, partBytes: 54 }],
  pendingDeletions: [encodePendingDeletion(release), { kind: 3, bucketId: 3, what: multipartId }],
  accounts: [encodeAccount({ ...account, quota }), { ...account, limits: [49, null, 50], quota: packedQuota }],
  accessKeys: [
    encodeAccessKey(accessKey),
    { accountId: "me", createdMs: 15, isActive: 1, userName: "Bob", service: null, limits: [51, 52, null] },
  ],
  identities: [encodeIdentity(identity), { ...identity, kind: 2, role: null }],
  managedPolicies: [encodeManagedPolicy(managedPolicy), managedPolicy],
  identityProviders: [encodeIdentityProvider(provider), provider],
  kmsKeys: [
    encodeKmsKey(kmsKey),
    { ...kmsKey, state: 2, rotation: [365, 46], external: [0, "orders"], versions: [[44, 1]] },
  ],
  kmsAliases: [
    encodeKmsAlias({ keyId: kmsKey.id, createdMs: 48, updatedMs: 49 }),
    { keyId: kmsKey.id, createdMs: 48, updatedMs: 49 },
  ],
  keyUses: [encodeKeyUse(keyUse), keyUse],
  audit: [
    encodeAudit({
      atMs: 57,
      caller: { kind: "token", id: "i", name: "n", address: "h" },
      requestId: "r",
      operation: "o",
      target: "t",
      request: "q",
      before: "b",
      after: "a",
      ended: { atMs: 58, outcome: "done" },
    }),
    {
      atMs: 57,
      caller: [1, "i", "n", "h"],
      requestId: "r",
      operation: "o",
      target: "t",
      request: "q",
      before: "b",
      after: "a",
      ended: [58, "done"],
    },
  ],
  auditQueue: [
    encodeAuditQueue({ number: 59, queued: { atMs: 60, id: parseAuditId("0000000000060-aaaaaaaa") } }),
    { number: 59, queued: [60, "0000000000060-aaaaaaaa"] },
  ],
  events: [
    encodeEvent({ atMs: 72, lastMs: 73, count: 74, level: "error", code: "c", node: "n", fields: "{}" }),
    { atMs: 72, lastMs: 73, count: 74, level: 2, code: "c", node: "n", fields: "{}" },
  ],
  swiftAccounts: [
    encodeSwiftAccount({
      metadata: [["a", "b"]],
      access: "{}",
      quotesEtags: true,
      deletedMs: 1,
      setters: [["c", { kind: "root", id: parseAccountId("d") }]],
    }),
    { metadata: ["a", "b"], access: "{}", quotesEtags: 1, deletedMs: 1, setters: ["c", "root d"] },
  ],
  changes: [
    encodeChange({ id: "\x05", removedAt: timestampOfMs(84), isCopied: true, notedMs: 85 }),
    { id: Buffer.from([5]), removedAt: 8400, isCopied: 1, notedMs: 85 },
  ],
  k2vItems: [
    encodeK2vItem([{ node: "000000000000002a", discard: 75, values: [{ time: 76, value: { kind: "tombstone" } }] }]),
    { nodes: [[Buffer.from([0, 0, 0, 0, 0, 0, 0, 42]), 75, [[76]]]] },
  ],
  k2vValues: [encodeK2vValue(md5), { bytes: Buffer.from(md5) }],
  k2vPartitions: [
    encodeK2vPartition({ entries: 77, conflicts: 78, values: 79, bytes: 80, changedAt: 81, collectedTo: 82 }),
    { entries: 77, conflicts: 78, values: 79, bytes: 80, changedAt: 81, collectedTo: 82 },
  ],
  k2vChanges: [encodeK2vChange(parseItemKey("s")), { sortKey: Buffer.from("s") }],
  queues: [
    encodeQueue({
      id: "2b",
      createdMs: 86,
      changedMs: 87,
      isPausedIn: true,
      isPausedOut: true,
      settings: {
        delaySeconds: 88,
        visibilitySeconds: 89,
        retentionSeconds: 90,
        messageBytesMax: 91,
        waitSeconds: 92,
        bytesMax: 93,
        redrive: { maxDeliveries: 94, deadQueue: "d" },
        tags: [["n", "v"]],
      },
    }),
    {
      id: Buffer.from([43]),
      createdMs: 86,
      changedMs: 87,
      paused: 3,
      delaySeconds: 88,
      visibilitySeconds: 89,
      retentionSeconds: 90,
      messageBytesMax: 91,
      waitSeconds: 92,
      bytesMax: 93,
      redrive: [94, "d"],
      tags: [["n", "v"]],
    },
  ],
  queueMessages: [
    encodeMessage({
      queueId: "2b",
      queueName: "q",
      dueMs: 95,
      order: "2c",
      stage: "delivered",
      createdMs: 96,
      expiresMs: 97,
      delaySeconds: 98,
      retrySeconds: 99,
      deliveries: 100,
      nacks: 101,
      enqueues: 102,
      firstDeliveredMs: 103,
      redrive: { maxDeliveries: 104, deadQueue: "d" },
      movedFrom: "m",
      copies: 105,
      sender: "s",
      contentBytes: 106,
      content: Buffer.from([45]),
    }),
    {
      queueId: Buffer.from([43]),
      queueName: "q",
      dueMs: 95,
      order: Buffer.from([44]),
      stage: 1,
      createdMs: 96,
      expiresMs: 97,
      delaySeconds: 98,
      retrySeconds: 99,
      deliveries: 100,
      nacks: 101,
      enqueues: 102,
      firstDeliveredMs: 103,
      redrive: [104, "d"],
      movedFrom: "m",
      copies: 105,
      sender: "s",
      contentBytes: 106,
      content: Buffer.from([45]),
    },
  ],
  queueContents: [
    encodeContent({ body: Buffer.from([46]), attributes: [{ name: "n", type: "t", value: md5 }], trace: "r" }),
    { body: Buffer.from([46]), attributes: [["n", "t", Buffer.from(md5)]], trace: "r" },
  ],
  queueOrder: [
    encodeDue({ accountId: parseAccountId("a"), messageId: MESSAGE_ID, expiresMs: 107, stage: "delivered" }),
    { accountId: "a", messageId: MESSAGE_ID, expiresMs: 107, stage: 1 },
  ],
  coordSessions: [
    encodeSession({
      name: "n",
      principal: "p",
      createdMs: 108,
      leaseSeconds: 109,
      graceSeconds: 110,
      beat: 111,
      renewedMs: 112,
      held: 113,
    }),
    {
      name: "n",
      principal: "p",
      createdMs: 108,
      leaseSeconds: 109,
      graceSeconds: 110,
      beat: 111,
      renewedMs: 112,
      held: 113,
    },
  ],
  coordHoldings: [HOLDING_VALUE, {}],
  coordNamespaces: [
    encodeNamespace({
      createdMs: 114,
      lastNumber: 115,
      forgottenNumber: 116,
      changes: 117,
      files: 118,
      bytes: 119,
      locks: 120,
    }),
    { createdMs: 114, lastNumber: 115, forgottenNumber: 116, changes: 117, files: 118, bytes: 119, locks: 120 },
  ],
  coordFiles: [
    encodeFile({ version: 121, createdMs: 122, modifiedMs: 123, session: SESSION_ID, content: Buffer.from([47]) }),
    {
      version: 121,
      createdMs: 122,
      modifiedMs: 123,
      session: Buffer.from(SESSION_ID, "hex"),
      content: Buffer.from([47]),
    },
  ],
  coordLocks: [
    encodeLock({
      mode: "shared",
      holders: [{ session: SESSION_ID, token: 124, sinceMs: 125, value: "v" }],
      waiting: [{ session: SESSION_ID, mode: "shared", sinceMs: 126, value: "w" }],
    }),
    {
      mode: 1,
      holders: [[Buffer.from(SESSION_ID, "hex"), 124, 125, "v"]],
      waiting: [[Buffer.from(SESSION_ID, "hex"), 1, 126, "w"]],
    },
  ],
  history: [encodeHistory(128), { sinceUs: 128 }],
  packing: [
    encodePackingPass({
      startedMs: 129,
      endedMs: 130,
      next: undefined,
      packed: { packs: 131, objects: 132, bytes: 133 },
    }),
    { startedMs: 129, endedMs: 130, next: null, packs: 131, objects: 132, bytes: 133 },
  ],
  copyLog: [encodeCopyChange({ kind: "removed", sizeBytes: 129 }), { kind: 1, versionId: null, sizeBytes: 129 }],
  copyState: [
    encodeCopyState({
      revision: 130,
      target: "t",
      phase: "following",
      place: objectKeyOfText("p"),
      fills: 131,
      token: { us: 132, key: "k" },
      sinceMs: 133,
      isPaused: true,
      error: "e",
      errorMs: 134,
      removesOthers: true,
    }),
    {
      revision: 130,
      target: "t",
      phase: 1,
      place: Buffer.from("p"),
      fills: 131,
      tokenUs: 132,
      tokenKey: Buffer.from("k"),
      sinceMs: 133,
      isPaused: 1,
      error: "e",
      errorMs: 134,
      removesOthers: 1,
    },
  ],
  featureRows: [packr.pack([1, 129]), { value: 129 }],
  directoryEntries: [
    encodeDirectoryEntry({ dn: "cn=a", createdMs: 139, attached: ["b"] }),
    { dn: "cn=a", createdMs: 139, attached: ["b"] },
  ],
  "parked copy": [
    encodeParkedCopy({ reason: "r", attempts: 135, sinceMs: 136, nextMs: 137, sizeBytes: 138, isFinal: true }),
    { reason: "r", attempts: 135, sinceMs: 136, nextMs: 137, sizeBytes: 138, isFinal: 1 },
  ],
  coordChanges: [
    encodeCoordChange({ kind: "released", path: parseCoordPath("n/p"), atMs: 127 }),
    { kind: 3, path: "n/p", atMs: 127 },
  ],
  transactions: [
    encodeTransaction({
      digest: new Uint8Array(32),
      atMs: 128,
      results: [{ versionId: parseVersionId("null"), etag: "e", deleteMarker: true }],
    }),
    { atMs: 128, results: [["null", "e", 1]] },
  ],
  "guards row": [
    encodeGuards({ atMs: 129, keys: [{ bucketId: parseBucketId(130), key: objectKeyOfText("k") }] }),
    { atMs: 129, keys: [[130, Buffer.from("k")]] },
  ],
  signOuts: [
    encodeSignOuts({ allUntilMs: 59, ended: [{ id: "s", issuedMs: 60 }] }),
    { allUntilMs: 59, ended: [["s", 60]] },
  ],
  jobs: [
    encodeJob({
      kind: "k",
      target: "t",
      request: "q",
      starter: { kind: "token", id: "i", name: "n" },
      startedMs: 59,
      state: "failed",
      isPaused: true,
      isCancelling: false,
      isDryRun: false,
      isCounted: true,
      cursor: "c",
      step: { until: "u", scanned: 60, items: 61, bytes: 62 },
      counts: { scanned: 63, matched: 64, matchedBytes: 65, done: 66, doneBytes: 67, failed: 68 },
      rate: 69,
      failures: [{ key: "k", versionId: "v", reason: "r" }],
      lastError: "e",
      ended: { atMs: 70, result: "f" },
      revision: 71,
    }),
    {
      kind: "k",
      target: "t",
      request: "q",
      starter: [1, "i", "n"],
      startedMs: 59,
      state: 2,
      flags: 9,
      cursor: "c",
      step: ["u", 60, 61, 62],
      counts: [63, 64, 65, 66, 67, 68],
      rate: 69,
      failures: [["k", "v", "r"]],
      lastError: "e",
      ended: [70, "f"],
      revision: 71,
    },
  ],
  usageHistory: [encodeUsageHistory([{ atMs: 59, objects: 60, bytes: 61 }]), { samples: [[59, 60, 61]] }],
  adminTokens: [
    encodeAdminToken({ name: "t", secretHash: new Uint8Array(32), scopes: ["all"], createdMs: 55, expiresMs: 56 }),
    { name: "t", scopes: [4], createdMs: 55, expiresMs: 56 },
  ],
  accountNumbers: [encodeAccountId(account.id), { accountId: "me" }],
  intents: [
    encodeIntent({ incarnation: parseIncarnation(26), state: "givenUp", extent, runs: [] }),
    { incarnation: 26, state: 1, runs: [] },
  ],
  "control row": [encodeControlRow({ generation: 31, record: new Uint8Array(2) }), { generation: 31 }],
  "conversion row": [
    encodeConversionRow({ state: "leaving", generation: 32, node: node.name }),
    { state: 2, generation: 32, node: "a" },
  ],
  "layout row": [encodeLayoutRow(new Uint8Array(2)), {}],
  "node row": [
    encodeNodeRow(node),
    {
      name: "a",
      incarnation: 27,
      address: "h:1",
      fingerprint: "0f".repeat(32),
      zone: "z",
      machine: "m",
      program: "1.2.3",
      beat: 28,
      position: 29,
      layoutVersion: 30,
      unreachable: ["b"],
    },
  ],
  "lease row": [
    encodeLeaseRow({ name: "l", incarnation: parseIncarnation(32), beat: 33 }),
    { name: "l", incarnation: 32, beat: 33 },
  ],
  "epochs row": [encodeEpochsRow({ newest: 35, oldest: 34 }), { newest: 35, oldest: 34 }],
  "epoch row": [
    encodeEpochRow({
      number: 36,
      highest: parseIncarnation(37),
      positions: [[parseIncarnation(27), parsePosition(38)]],
    }),
    { number: 36, highest: 37, positions: [[27, 38]] },
  ],
  "key ring": [
    encodeKeyring({
      masterKeyNumber: 46,
      previous: undefined,
      atRest: undefined,
      materials: [],
      epochs: [{ number: 47, createdMs: 48, sealed: md5 }],
    }),
    { masterKeyNumber: 46, previous: null, epochs: [[47, 48, Buffer.from(md5)]], atRest: null, materials: [] },
  ],
  "recovery header": [
    encodeRecoveryHeader(note),
    {
      bucket: "bucket",
      contentType: "a/b",
      plannedLengthBytes: 16,
      multipartId: "",
      lock: [[1, 40], null],
      sealing: packedSealing,
      bucketSecret: [45, Buffer.from(md5)],
      storageClass: 6,
    },
  ],
}

const fieldsIn = (cell: string): string[] => (/\[([^\]]*)\]/.exec(cell)?.[1] ?? "").split(", ")

function assertFields(packed: unknown, documented: readonly string[], values: Readonly<Record<string, unknown>>): void {
  assert.ok(Array.isArray(packed))
  assert.equal(packed.length, documented.length, documented.join())
  documented.forEach((name, i) => {
    if (name in values) assert.deepEqual(packed[i], values[name], name)
  })
  for (const name of Object.keys(values)) assert.ok(documented.includes(name), `${name} is not documented`)
}

test("the records are packed as documented, member by member", () => {
  const rows = rowsAfter(PAGE.indexOf("<!-- records -->"))
  assert.deepEqual(rows.map(([name]) => name?.replaceAll("`", "")).sort(), Object.keys(RECORDS).sort())
  for (const [name = "", fields = ""] of rows) {
    const [bytes, values] = RECORDS[name.replaceAll("`", "")] ?? [new Uint8Array(0), {}]
    const [format = ""] = fieldsIn(fields)
    assertFields(packr.unpack(bytes), fieldsIn(fields), { [format]: Number(format), ...values })
  }
})

test("control record, version record, extent and exception have the documented members", () => {
  const documented = (first: string): string[] => {
    const at = PAGE.indexOf(`\`[${first}, `)
    assert.ok(at > 0, `no documented list begins with ${first}`)
    return fieldsIn(PAGE.slice(at))
  }
  assertFields(packr.unpack(control.subarray(24)), documented("storeId"), {
    storeId,
    generation: 9,
    policy: "replica:1",
    blockBytes: 4_194_304,
    metaCopies: 1,
    region: "eu",
  })
  const [devices, tablets, layout] = [2, 6, 7].map(i => fieldsOf(packr.unpack(control.subarray(24)))[i])
  assertFields(fieldsOf(devices)[0], documented("id, weight"), { pathHint: "/data", isMountPoint: true })
  assertFields(fieldsOf(tablets)[0], documented("id, epoch"), { id: 1, epoch: 1, end: null })
  assertFields(layout, documented("version"), { version: 1 })
  assertFields(packr.unpack(version.subarray(54)), documented("1, content"), { 1: 1, details: null, lock: [null, 1] })
  const packed = fieldsOf(packr.unpack(version.subarray(54)))[5]
  assertFields(packed, documented("mode, secret"), { mode: 1, secret: 44, key: null })
  assertFields(packedSealing[4], documented("keyArn"), { keyArn: "arn", context: null, bucketKey: null })
  const packedExtent = fieldsOf(packr.unpack(encodePart(part)))[5]
  assertFields(packedExtent, documented("uploadId"), {
    part: 0,
    lengthBytes: 26,
    policy: "replica:1",
    generation: 0,
    seal: 1,
    sealedAs: Buffer.from(uploadId, "hex"),
  })
  const exception = fieldsOf(fieldsOf(packedExtent)[6])[0]
  assertFields(exception, documented("firstBlock"), { firstBlock: 0, lastBlock: 1 })
})

function fieldsOf(value: unknown): readonly unknown[] {
  assert.ok(Array.isArray(value))
  return value
}
