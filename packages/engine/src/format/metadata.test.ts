/**
 * The metadata's formats: golden bytes of version 1, both ways, and hostile bytes.
 *
 * Checksums (the log's and the row's) protect entries and rows; below them a decoder must still
 * refuse or return a value, never hang or throw another error.
 */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { concatBytes, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import {
  objectKeyOfText,
  parseAccountId,
  parseBucketId,
  parseBucketName,
  parseDeviceId,
  parseEpoch,
  parseIncarnation,
  parsePosition,
  parseTabletId,
  parseUploadId,
  parseVersionId,
} from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { STORAGE_CLASSES } from "@hayloft/base/storage-class.js"
import { ACL_GROUPS, ACL_PERMISSIONS, type ObjectAcl } from "./objects/acl.js"
import {
  countOfDigests,
  decodeBlockDigests,
  decodeBlockPlace,
  encodeBlockDigests,
  encodeBlockPlace,
  splitDigests,
} from "./objects/dedup-rows.js"
import { decodeRecoveryHeader, encodeRecoveryHeader } from "./needles/recovery-header.js"
import { decodeDeletedVersion, encodeDeletedVersion, type Deletion } from "./objects/deleted-version.js"
import { decodeEntry } from "./device/entry.js"
import { encodeEntry } from "./device/testing-entry.js"
import type { Extent } from "./needles/extent.js"
import { decodeLifecyclePass, encodeLifecyclePass, type LifecyclePass } from "./objects/lifecycle-pass.js"
import { decodeNote, encodeNote } from "./objects/reencode-notes.js"
import { decodeTimestamps, encodeTimestamps } from "./commit-timestamps.js"
import { decodeOpenings, encodeOpenings } from "./openings.js"
import { decodeHistory, encodeHistory } from "./objects/history.js"
import {
  decodePackDirectory,
  decodePackingPass,
  decodePackingSetting,
  encodePackDirectory,
  encodePackingPass,
  encodePackingSetting,
} from "./objects/packing-rows.js"
import { decodeLifecycleRules, encodeLifecycleRules, type LifecycleRules } from "./objects/lifecycle-rules.js"
import { RecordReader } from "./encoding/pack.js"
import { decodeIntent, encodeIntent } from "./objects/intent.js"
import {
  decodeAppend,
  decodeBucket,
  decodeCounters,
  decodePart,
  decodePendingDeletion,
  decodeRowHead,
  decodeSegment,
  decodeSetting,
  decodeStoreClock,
  decodeUpload,
  encodeAppend,
  encodeBucket,
  encodeCounters,
  encodeHint,
  encodePart,
  encodePendingDeletion,
  encodeRowHead,
  encodeSegment,
  encodeSetting,
  encodeStoreClock,
  encodeUpload,
  type PartRecord,
  SETTING_NAMES,
} from "./records.js"
import { decodeReferences, encodeReferences } from "./objects/references-record.js"
import { decisionIdOf, objectRowKey, versionRowKey } from "./row-key.js"
import { multipartIdOf, versionIdOf } from "./objects/version-id.js"
import { decodeUsage, encodeUsage } from "./objects/usage.js"
import {
  decodeDetails,
  decodeListedVersion,
  decodeVersion,
  decodeVersionHead,
  encodeDetails,
  encodeVersion,
  etagOfHead,
  NO_DETAILS,
  type Content,
  type VersionRecord,
} from "./objects/version-record.js"
import { decodeSegmentList, encodeSegmentList, type Segment } from "./objects/segment-list.js"
import {
  copyLogRange,
  copyLogRowKey,
  decodeCopyChange,
  decodeCopyState,
  decodeParkedCopy,
  encodeCopyChange,
  encodeCopyState,
  encodeParkedCopy,
  keyOfParkedCopy,
  parkedCopyRowKey,
  parseCopyLogRowKey,
} from "./objects/copies.js"
import { filled, sample, testGoldens } from "./testing-golden.js"

const key = objectKeyOfText("photos/é/1.jpg")
const bucketId = parseBucketId(7)
const multipartId = multipartIdOf(1_767_225_600_000_000, filled(8, 1))

const extent: Extent = {
  uploadId: parseUploadId("00000002000000070123456789abcdef"),
  part: 0,
  lengthBytes: 9_000_000,
  blockBytes: 4_194_304,
  policy: parsePolicy("ec:4+2"),
  generation: 1,
  exceptions: [
    {
      firstBlock: 1,
      lastBlock: 2,
      policy: parsePolicy("ec:2+2"),
      generation: 0,
      missingSlots: [3],
      placedSlots: [[1, parseDeviceId("00000000000000ff")]],
    },
  ],
}

const part: PartRecord = {
  partNumber: 3,
  md5: filled(16, 9),
  modifiedMs: 1_767_225_600_001,
  checksumValue: "AAAAAA==",
  extent,
}
const details = {
  headers: [["contentType", "image/jpeg"]],
  userMetadata: [["camera", "\xe9"]],
  tags: [["year", "2026"]],
} as const
const acl: ObjectAcl = {
  owner: undefined,
  grants: [
    ...ACL_PERMISSIONS.map(
      permission => ({ grantee: { kind: "account", id: parseAccountId("a@b") }, permission }) as const,
    ),
    ...ACL_GROUPS.map(group => ({ grantee: { kind: "group", group }, permission: "READ" }) as const),
  ],
}

const head: VersionRecord["head"] = {
  isMarker: false,
  isNull: false,
  hasDetails: false,
  isShared: true,
  isLocked: false,
  storageClass: "STANDARD",
  checksumAlgorithm: "CRC64NVME",
  checksumType: "FULL_OBJECT",
  sizeBytes: 9_000_000,
  modifiedMs: 1_767_225_600_000,
  order: 1_767_225_600_000_123,
  random: filled(8, 100),
  md5: filled(16, 200),
  parts: 0,
}

const version: VersionRecord = { head, content: { kind: "extent", extent }, checksumValue: "AAAAAAAAAAA=", details }
const segments: VersionRecord = {
  head: {
    ...head,
    parts: 257,
    hasDetails: true,
    isShared: false,
    isLocked: false,
    checksumAlgorithm: "SHA256",
    checksumType: "COMPOSITE",
  },
  content: { kind: "segments", multipartId, completion: filled(16, 50) },
  checksumValue: "x-257",
  details: undefined,
}
const byOffset: Content = {
  kind: "segments",
  multipartId,
  completion: filled(16, 9),
  byOffset: { lastOffset: 2 ** 40, uploadedParts: 3 },
}
const inline: VersionRecord = {
  head: { ...head, isNull: true, isShared: false, checksumAlgorithm: undefined, checksumType: undefined, sizeBytes: 5 },
  content: { kind: "inline" },
  checksumValue: undefined,
  details: { headers: [], userMetadata: [], tags: [] },
}
const marker: VersionRecord = {
  head: { ...inline.head, isMarker: true, sizeBytes: 0, md5: new Uint8Array(16) },
  content: { kind: "none" },
  checksumValue: undefined,
  details: inline.details,
}

const upload = {
  initiatedMs: 1_767_225_600_000,
  checksum: { algorithm: "CRC32C", type: "FULL_OBJECT" },
  details,
  completion: { incarnation: 4, token: filled(16, 3) },
} as const

const lifecycleRules: LifecycleRules = {
  transitionMinimum: "all_storage_classes_128K",
  rules: [
    { id: "é", isEnabled: true, filter: { form: "prefix", prefix: "logs/" }, expiration: { days: 30 } },
    { id: "d", isEnabled: false, filter: { form: "filter", sizeAbove: 0 }, expiration: { dateMs: 1_767_225_600_000 } },
    { id: "m", isEnabled: true, filter: { form: "filter" }, expiration: { expiredMarkers: true }, abortDays: 7 },
    {
      id: "n",
      isEnabled: true,
      noncurrent: { days: 1, newerKept: 100 },
      filter: { form: "and", prefix: "", tags: [["k", ""]], sizeBelow: 1_099_511_627_776_000 },
    },
  ],
}

const lifecycleTransitions: LifecycleRules = {
  transitionMinimum: "varies_by_storage_class",
  rules: [
    {
      id: "t",
      isEnabled: true,
      filter: { form: "filter" },
      transitions: [
        { storageClass: "STANDARD_IA", days: 30 },
        { storageClass: "DEEP_ARCHIVE", days: 2_147_483_647 },
      ],
      noncurrentTransitions: [
        { storageClass: "GLACIER_IR", days: 0, newerKept: 100 },
        { storageClass: "GLACIER", days: 90 },
      ],
    },
    {
      id: "u",
      isEnabled: false,
      filter: { form: "prefix", prefix: "" },
      expiration: { dateMs: 86_400_000 },
      transitions: [{ storageClass: "ONEZONE_IA", dateMs: 0 }],
    },
  ],
}

const lifecyclePass: LifecyclePass = {
  startedMs: 1_767_225_600_001,
  endedMs: undefined,
  next: objectRowKey(bucketId, key),
  taken: [
    { incarnation: parseIncarnation(4), start: objectRowKey(bucketId, key), end: undefined },
    { incarnation: parseIncarnation(5), start: objectRowKey(bucketId, key), end: objectRowKey(bucketId, key) },
  ],
  removed: { versions: 1, bytes: 5_000_000_000, hidden: 2, markers: 3, uploads: 4, moved: 0, movedBytes: 0 },
}

const entry = {
  tabletId: parseTabletId(1),
  epoch: parseEpoch(2),
  position: parsePosition(77),
  writes: [
    { family: "current", key: objectRowKey(bucketId, key), value: filled(20, 1), payload: filled(11, 40) },
    { family: "versions", key: versionRowKey(objectRowKey(bucketId, key), 5), value: undefined },
    { family: "heads", key: objectRowKey(bucketId, key), value: new Uint8Array(0) },
  ],
} as const

const quota = { run: "0000000000000007", isExact: true, limits: { hardBytes: 2 ** 40, warnObjects: 5 } }
const largeObject = { sizeBytes: 9_000_000_000, md5: filled(16, 3), parts: 1000 }
const segmentObject = { kind: "object", container: "parts", key: "a/\u00c3\u00a9", contentType: "text/plain" } as const
const segmentList: readonly Segment[] = [
  {
    ...segmentObject,
    etag: "00112233445566778899aabbccddeeff",
    sizeBytes: 1_500_000,
    isLarge: false,
    lastModifiedMs: 1_767_225_600_001,
    span: undefined,
  },
  { kind: "data", bytes: filled(3, 7) },
  {
    ...segmentObject,
    etag: "ffeeddccbbaa99887766554433221100-2",
    sizeBytes: 9_000_000_000,
    isLarge: true,
    lastModifiedMs: 1_767_225_600_002,
    span: { first: 1_000_000, last: 1_499_999 },
  },
]
const deletion: Deletion = { deletedMs: 1_767_225_600_001, untilMs: 1_767_484_800_001, reason: "deleted" }
const bucketWithQuotas = {
  id: parseBucketId(7),
  name: parseBucketName("photos"),
  owner: parseAccountId("root"),
  createdMs: 1,
  location: "",
  versioning: "never" as const,
  state: "open" as const,
  settingsVersion: 2,
  settings: [],
}
/** Writes without the offsets of their payloads. */
const entryOf = (bytes: Uint8Array) => {
  const { writes, ...rest } = decodeEntry(bytes)
  return { ...rest, writes: writes.map(({ payloadAt: _, ...write }) => write) }
}

const snapshotEntry = encodeEntry({ ...entry, isSnapshot: true }).record

const GOLDENS = readFileSync(
  new URL("../../../../../packages/engine/src/format/golden/metadata-v1.txt", import.meta.url),
  "utf8",
)

testGoldens(
  [
    sample<object>("entry", entry, () => encodeEntry(entry).record, entryOf),
    sample<object>("snapshot entry", { ...entry, isSnapshot: true }, () => snapshotEntry, entryOf),
    sample("version of blocks", version, encodeVersion, decodeVersion),
    sample("version of parts", segments, encodeVersion, decodeVersion),
    ...(["SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"] as const).map(name =>
      sample(
        `version with ${name}`,
        { ...version, head: { ...head, checksumAlgorithm: name } },
        encodeVersion,
        decodeVersion,
      ),
    ),
    sample("inline version", inline, encodeVersion, decodeVersion),
    sample("delete marker", marker, encodeVersion, decodeVersion),
    sample(
      "locked version of blocks",
      {
        ...version,
        head: { ...head, isLocked: true },
        lock: { retention: { mode: "COMPLIANCE", untilMs: 1_893_456_000_000 }, legalHold: undefined },
      } as const,
      encodeVersion,
      decodeVersion,
    ),
    sample(
      "inline version on legal hold",
      {
        ...inline,
        head: { ...inline.head, isLocked: true },
        lock: { retention: undefined, legalHold: true },
      },
      encodeVersion,
      decodeVersion,
    ),
    ...STORAGE_CLASSES.slice(1).map(storageClass =>
      sample(
        `inline version of class ${storageClass}`,
        { ...inline, head: { ...inline.head, storageClass } },
        encodeVersion,
        decodeVersion,
      ),
    ),
    sample(
      "restored version",
      {
        ...inline,
        head: { ...inline.head, storageClass: "GLACIER" },
        restore: { requestedMs: 1_767_225_600_001, untilMs: 1_767_312_000_000, tier: "Expedited" },
      } as const,
      encodeVersion,
      decodeVersion,
    ),
    sample("expiring version of blocks", { ...version, expiresAtSeconds: 1_900_000_000 }, encodeVersion, decodeVersion),
    sample("expiring inline version", { ...inline, expiresAtSeconds: 0 }, encodeVersion, decodeVersion),
    sample("version with appends", { ...version, content: byOffset }, encodeVersion, decodeVersion),
    sample(
      "version with the bytes of others",
      {
        ...version,
        content: { ...byOffset, byOffset: { lastOffset: 0, uploadedParts: 0, hasSources: true } },
      } satisfies VersionRecord,
      encodeVersion,
      decodeVersion,
    ),
    sample("large object", { ...inline, largeObject }, encodeVersion, decodeVersion),
    sample(
      "large object of large objects",
      { ...inline, largeObject: { ...largeObject, levels: 3 } },
      encodeVersion,
      decodeVersion,
    ),
    sample("segment list", segmentList, encodeSegmentList, bytes => decodeSegmentList(bytes, 2_000_003)),
    sample(
      "lifecycle pass over expiring objects",
      { ...lifecyclePass, expires: true as const },
      encodeLifecyclePass,
      decodeLifecyclePass,
    ),
    sample("deleted version", { ...deletion, record: inline }, encodeDeletedVersion, decodeDeletedVersion),
    sample(
      "overwritten version of blocks",
      { ...deletion, reason: "overwritten", record: version } as const,
      encodeDeletedVersion,
      decodeDeletedVersion,
    ),
    sample("details", details, encodeDetails, decodeDetails),
    sample("details with an access control list", { ...details, acl }, encodeDetails, decodeDetails),
    sample(
      "inline version of another owner",
      { ...inline, details: { ...NO_DETAILS, acl: { owner: parseAccountId("writer"), grants: undefined } } },
      encodeVersion,
      decodeVersion,
    ),
    sample(
      "row head",
      {
        lastOrder: 1_767_225_600_000_123,
        lastModifiedMs: 1_767_225_600_000,
        nullOrder: 5,
        versions: 3,
        latestOrder: 6,
      },
      encodeRowHead,
      decodeRowHead,
    ),
    sample(
      "bucket",
      {
        id: bucketId,
        name: parseBucketName("photos"),
        owner: parseAccountId("root"),
        createdMs: 1_767_225_600_000,
        location: "eu-west-1",
        versioning: "suspended",
        state: "closing",
        settingsVersion: 4,
        settings: [],
      } as const,
      encodeBucket,
      decodeBucket,
    ),
    sample(
      "bucket with a policy of its own",
      {
        id: bucketId,
        name: parseBucketName("photos"),
        owner: parseAccountId("root"),
        createdMs: 5,
        location: "",
        versioning: "never",
        state: "open",
        settingsVersion: 2,
        policy: parsePolicy("ec:4+2"),
        settings: [],
      },
      encodeBucket,
      decodeBucket,
    ),
    sample(
      "bucket with settings",
      {
        id: bucketId,
        name: parseBucketName("photos"),
        owner: parseAccountId("root"),
        createdMs: 5,
        location: "",
        versioning: "never",
        state: "open",
        settingsVersion: 9,
        settings: SETTING_NAMES.slice(0, 7),
      },
      encodeBucket,
      decodeBucket,
    ),
    sample(
      "bucket with lifecycle rules",
      {
        id: bucketId,
        name: parseBucketName("photos"),
        owner: parseAccountId("root"),
        createdMs: 5,
        location: "",
        versioning: "never",
        state: "open",
        settingsVersion: 9,
        settings: ["lifecycle"],
      },
      encodeBucket,
      decodeBucket,
    ),
    sample(
      "bucket with default encryption",
      {
        id: bucketId,
        name: parseBucketName("photos"),
        owner: parseAccountId("root"),
        createdMs: 5,
        location: "",
        versioning: "never",
        state: "open",
        settingsVersion: 9,
        settings: ["encryption"],
      },
      encodeBucket,
      decodeBucket,
    ),
    sample(
      "lifecycle rules",
      lifecycleRules,
      rules => Buffer.from(encodeLifecycleRules(rules)),
      bytes => decodeLifecycleRules(Buffer.from(bytes).toString()),
    ),
    sample(
      "lifecycle rules with transitions",
      lifecycleTransitions,
      rules => Buffer.from(encodeLifecycleRules(rules)),
      bytes => decodeLifecycleRules(Buffer.from(bytes).toString()),
    ),
    sample("lifecycle pass", lifecyclePass, encodeLifecyclePass, decodeLifecyclePass),
    sample("last move", "decision", encodeNote, decodeNote),
    sample(
      "lifecycle pass with moves",
      { ...lifecyclePass, removed: { ...lifecyclePass.removed, moved: 5, movedBytes: 6_000_000_000 } },
      encodeLifecyclePass,
      decodeLifecyclePass,
    ),
    sample(
      "ended lifecycle pass",
      { ...lifecyclePass, endedMs: 1_767_225_700_000, next: undefined, taken: [] },
      encodeLifecyclePass,
      decodeLifecyclePass,
    ),
    sample(
      "bucket with object lock",
      {
        id: bucketId,
        name: parseBucketName("photos"),
        owner: parseAccountId("root"),
        createdMs: 5,
        location: "",
        versioning: "enabled",
        state: "open",
        settingsVersion: 9,
        settings: [],
        lock: { defaultRetention: { mode: "GOVERNANCE", unit: "years", count: 7 } },
      } as const,
      encodeBucket,
      decodeBucket,
    ),
    sample(
      "bucket with object lock and no default retention",
      {
        id: bucketId,
        name: parseBucketName("photos"),
        owner: parseAccountId("root"),
        createdMs: 5,
        location: "",
        versioning: "enabled",
        state: "open",
        settingsVersion: 9,
        policy: parsePolicy("ec:4+2"),
        settings: SETTING_NAMES.slice(0, 7),
        lock: { defaultRetention: undefined },
      } as const,
      encodeBucket,
      decodeBucket,
    ),
    sample("store's clock", 1_767_225_600_123, encodeStoreClock, decodeStoreClock),
    sample("commit timestamps", 1_767_225_600_123_456, encodeTimestamps, decodeTimestamps),
    sample("openings", [{ id: 4_000_000_000, after: parsePosition(12) }], encodeOpenings, decodeOpenings),
    sample(
      "packing pass",
      {
        startedMs: 1_767_225_600_000,
        endedMs: undefined,
        next: objectRowKey(bucketId, key),
        packed: { packs: 3, objects: 300, bytes: 2 ** 40 },
      },
      encodePackingPass,
      decodePackingPass,
    ),
    sample(
      "packing setting",
      { afterSeconds: 86_400, maxBytes: 65_536 },
      setting => Buffer.from(encodePackingSetting(setting)),
      bytes => decodePackingSetting(Buffer.from(bytes).toString()),
    ),
    sample(
      "pack directory",
      [
        {
          key,
          version: filled(16, 7),
          upload: filled(16, 9),
          segments: multipartIdOf(5, filled(8, 2)),
          offsetBytes: 0,
          lengthBytes: 0,
          recoveryHeader: filled(20, 3),
        },
        {
          key,
          version: filled(16, 6),
          upload: undefined,
          segments: multipartIdOf(6, filled(8, 2)),
          offsetBytes: 0,
          lengthBytes: 0,
          recoveryHeader: filled(20, 4),
        },
      ],
      encodePackDirectory,
      decodePackDirectory,
    ),
    sample(
      "references to a pack",
      {
        count: 7,
        isReleased: true,
        storageClass: "STANDARD",
        changes: 3,
        pack: { objects: 128, bytes: 2 ** 33 },
      } as const,
      encodeReferences,
      decodeReferences,
    ),
    sample("history", 1_767_225_600_123_456, encodeHistory, decodeHistory),
    sample(
      "bucket with a history",
      {
        id: bucketId,
        name: parseBucketName("photos"),
        owner: parseAccountId("root"),
        createdMs: 5,
        location: "",
        versioning: "enabled",
        state: "open",
        settingsVersion: 9,
        settings: ["history"],
      },
      encodeBucket,
      decodeBucket,
    ),
    sample(
      "bucket with copies",
      {
        id: bucketId,
        name: parseBucketName("photos"),
        owner: parseAccountId("root"),
        createdMs: 5,
        location: "",
        versioning: "never",
        state: "open",
        settingsVersion: 9,
        settings: ["copies"],
      },
      encodeBucket,
      decodeBucket,
    ),
    sample(
      "copy change",
      { kind: "put", versionId: parseVersionId("VVSRHDTPRUVO8P35CPJMGQBADC"), sizeBytes: 300 },
      encodeCopyChange,
      decodeCopyChange,
    ),
    sample(
      "copy change, removed",
      { kind: "removed", versionId: undefined, sizeBytes: 0 },
      encodeCopyChange,
      decodeCopyChange,
    ),
    sample(
      "copy state",
      {
        revision: 7,
        target: "0123456789abcdef",
        phase: "following",
        place: "",
        fills: 2,
        token: { us: 1_767_225_600_123_456, key: "caf\xc3\xa9" },

        sinceMs: 1_767_225_600_123,
        isPaused: true,
        error: "The remote does not respond.",
        errorMs: 9,
        removesOthers: true,
      },
      encodeCopyState,
      decodeCopyState,
    ),
    sample(
      "parked copy",
      { reason: "no", attempts: 3, sinceMs: 5, nextMs: 6, sizeBytes: 2 ** 40, isFinal: false },
      encodeParkedCopy,
      decodeParkedCopy,
    ),
    sample("setting", { setMs: 1_767_225_600_000, document: "<Tagging>é</Tagging>" }, encodeSetting, decodeSetting),
    sample("counters", { objects: 1, versions: 2, bytes: 2 ** 50, uploads: 3 }, encodeCounters, decodeCounters),
    sample("usage", { bytes: 2 ** 50, objects: 3, partBytes: 4 }, encodeUsage, decodeUsage),
    sample(
      "bucket with quotas",
      { ...bucketWithQuotas, usage: { own: quota, accountRun: quota.run } },
      encodeBucket,
      decodeBucket,
    ),
    sample(
      "bucket of a counted account",
      { ...bucketWithQuotas, usage: { accountRun: quota.run } },
      encodeBucket,
      decodeBucket,
    ),
    sample(
      "bucket with undelete",
      { ...bucketWithQuotas, undeleteDays: 3, countsDeleted: true },
      encodeBucket,
      decodeBucket,
    ),
    sample("bucket that had undelete", { ...bucketWithQuotas, countsDeleted: true }, encodeBucket, decodeBucket),
    sample("upload of a rename", { ...upload, completion: undefined, renamedBy: 7 }, encodeUpload, decodeUpload),
    sample("counted upload", { ...upload, countedBy: [quota.run, "00ff"] }, encodeUpload, decodeUpload),
    sample("hint", decisionIdOf(parsePosition(2 ** 40 + 7)), encodeHint, bytes =>
      Buffer.from(RecordReader.open("hint", bytes, 2).bytes()).toString("latin1"),
    ),
    sample("upload", upload, encodeUpload, decodeUpload),
    sample(
      "upload with XXHASH128",
      { ...upload, checksum: { algorithm: "XXHASH128", type: "COMPOSITE" } as const },
      encodeUpload,
      decodeUpload,
    ),
    sample(
      "another account's upload",
      { ...upload, completion: undefined, initiator: parseAccountId("friend") },
      encodeUpload,
      decodeUpload,
    ),
    sample(
      "upload of a locked object",
      {
        ...upload,
        completion: undefined,
        lock: { retention: { mode: "GOVERNANCE", untilMs: 1_893_456_000_000 }, legalHold: false },
      } as const,
      encodeUpload,
      decodeUpload,
    ),
    sample(
      "upload of a class",
      { ...upload, completion: undefined, storageClass: "STANDARD_IA" } as const,
      encodeUpload,
      decodeUpload,
    ),
    sample("plain upload", { ...upload, checksum: undefined, completion: undefined }, encodeUpload, decodeUpload),
    sample("part", part, encodePart, decodePart),
    sample(
      "segment",
      { offsetBytes: 2 ** 40, parts: [part, { ...part, partNumber: 4, checksumValue: undefined }] },
      encodeSegment,
      decodeSegment,
    ),
    sample("open segment", { offsetBytes: 7, parts: [part], isOpen: true } as const, encodeSegment, decodeSegment),
    sample(
      "segment with a source",
      {
        offsetBytes: 2 ** 40,
        parts: [],
        source: { key, multipartId, uploadedParts: 3, offsetBytes: 2 ** 33, lengthBytes: 5 },
      },
      encodeSegment,
      decodeSegment,
    ),
    sample(
      "part with digests",
      { ...part, digests: concatBytes([filled(32, 1), filled(32, 9)]) },
      encodePart,
      decodePart,
    ),
    sample(
      "segment with referring parts",
      {
        offsetBytes: 2 ** 40,
        parts: [part],
        referring: [
          {
            partNumber: 4,
            md5: part.md5,
            modifiedMs: 5,
            checksumValue: "abc=",
            source: { key, multipartId, uploadedParts: 3, offsetBytes: 2 ** 33, lengthBytes: 5 },
          },
        ],
      },
      encodeSegment,
      decodeSegment,
    ),
    sample(
      "block digests",
      {
        storageClass: "STANDARD_IA",
        uploadedParts: 19,
        blockBytes: 7,
        lengthBytes: 12,
        digests: [filled(32, 1), filled(32, 9)],
      } as const,
      encodeBlockDigests,
      decodeBlockDigests,
    ),
    sample(
      "block place",
      { key, multipartId, offsetBytes: 2 ** 33, lengthBytes: 5 },
      encodeBlockPlace,
      decodeBlockPlace,
    ),
    sample(
      "closed references",
      { count: 7, isReleased: false, storageClass: "STANDARD", isClosed: true } as const,
      encodeReferences,
      decodeReferences,
    ),
    sample(
      "references that have changed",
      { count: 7, isReleased: true, storageClass: "STANDARD", changes: 300 } as const,
      encodeReferences,
      decodeReferences,
    ),
    sample(
      "references",
      { count: 7, isReleased: true, storageClass: "STANDARD_IA" } as const,
      encodeReferences,
      decodeReferences,
    ),
    sample(
      "append",
      { offsetBytes: 2 ** 40, lengthBytes: 9, appendedMs: 1_767_225_600_000 },
      encodeAppend,
      decodeAppend,
    ),
    sample(
      "release of an extent",
      { kind: "extent", bucketId, key, extent } as const,
      encodePendingDeletion,
      decodePendingDeletion,
    ),
    sample(
      "release of blocks",
      { kind: "blocks", bucketId, key, extent, runs: [{ firstBlock: 3, lastBlock: 5 }] } as const,
      encodePendingDeletion,
      decodePendingDeletion,
    ),
    sample(
      "release of parts",
      { kind: "aborted", bucketId, key, multipartId } as const,
      encodePendingDeletion,
      decodePendingDeletion,
    ),
    sample(
      "intent",
      { incarnation: parseIncarnation(9), state: "underWay", extent, runs: [{ firstBlock: 3, lastBlock: 5 }] } as const,
      encodeIntent,
      decodeIntent,
    ),
    sample(
      "birth note",
      {
        bucket: parseBucketName("photos"),
        contentType: "image/jpeg",
        userMetadata: [["camera", "x"]],
        plannedLengthBytes: 9_000_000,
        multipartId: "",
      } as const,
      encodeRecoveryHeader,
      decodeRecoveryHeader,
    ),
    sample(
      "birth note of a locked object",
      {
        bucket: parseBucketName("photos"),
        contentType: "",
        userMetadata: [],
        plannedLengthBytes: undefined,
        multipartId: "",
        lock: { retention: undefined, legalHold: true },
      },
      encodeRecoveryHeader,
      decodeRecoveryHeader,
    ),
    sample(
      "birth note of a class",
      {
        bucket: parseBucketName("photos"),
        contentType: "",
        userMetadata: [],
        plannedLengthBytes: undefined,
        multipartId: "",
        storageClass: "DEEP_ARCHIVE",
      },
      encodeRecoveryHeader,
      decodeRecoveryHeader,
    ),
  ],
  GOLDENS,
)

test("lifecycle rules with transitions have a format that earlier releases refuse", () => {
  assert.match(encodeLifecycleRules(lifecycleRules), /^\{"format":1,/)
  const document = encodeLifecycleRules(lifecycleTransitions)
  assert.match(document, /^\{"format":2,/)
  for (const [from, to] of [
    ['"format":2', '"format":1'],
    ['"GLACIER_IR"', '"GLACIER_X"'],
    ['"dateMs":0', '"dateMs":-1'],
    ['"newerKept":100', '"newerKept":0'],
    ['"days":0,', '"days":0,"hours":1,'],
  ] as const) {
    assert.throws(
      () => decodeLifecycleRules(document.replace(from, to)),
      error => isFailure(error, "corruptRecord"),
      to,
    )
  }
})

test("lifecycle rules that this release does not know are refused", () => {
  const document = encodeLifecycleRules(lifecycleRules)
  const changed = (from: string, to: string) => () => decodeLifecycleRules(document.replace(from, to))
  for (const decode of [
    changed('"format":1', '"format":2'),
    changed('"abortDays":7', '"abortDays":7,"transitions":[]'),
    changed('"sizeAbove":0', '"sizeAbove":0,"owner":"me"'),
    changed('"days":30', '"days":30,"dateMs":0'),
    changed('"days":30', '"days":0'),
    changed('"form":"prefix"', '"form":"suffix"'),
    changed('["k",""]', '["k","",""]'),
    changed('"isEnabled":true', '"isEnabled":1'),
  ]) {
    assert.throws(decode, error => isFailure(error, "corruptRecord"))
  }
})

test("a listing shows the fields of a version's head", () => {
  const archived = { ...version, head: { ...version.head, storageClass: "GLACIER" as const } }
  for (const each of [version, segments, inline, marker, archived]) {
    const head = decodeVersionHead(encodeVersion(each))
    const { sizeBytes, modifiedMs, storageClass, checksumAlgorithm, checksumType } = head
    const expected = { sizeBytes, modifiedMs, storageClass, checksumAlgorithm, checksumType, etag: etagOfHead(head) }
    assert.deepEqual(decodeListedVersion(encodeVersion(each)), expected)
  }
  assert.throws(() => decodeListedVersion(new Uint8Array(53)))
})

test("a listing shows what a large object is for its readers", () => {
  const { modifiedMs, storageClass } = version.head
  const etag = `${hexOf(largeObject.md5)}-1000`
  const noChecksum = { checksumAlgorithm: undefined, checksumType: undefined }
  const listed = decodeListedVersion(encodeVersion({ ...version, largeObject }))
  assert.deepEqual(listed, { sizeBytes: 9_000_000_000, etag, modifiedMs, storageClass, ...noChecksum })
  // An earlier release accepted sizes that are no exact numbers.
  const huge = decodeListedVersion(encodeVersion({ ...version, largeObject: { ...largeObject, sizeBytes: 2 ** 73 } }))
  assert.match(String(huge.sizeBytes), /^\d+$/)
  const [first] = segmentList
  assert.ok(first?.kind === "object")
  const hugeList = encodeSegmentList([{ ...first, sizeBytes: 2 ** 73 }])
  assert.equal(decodeSegmentList(hugeList, huge.sizeBytes).length, 1)
})

test("the version ids in records are those that users see", () => {
  assert.equal(versionIdOf(head.order, head.random), "VVSRHDTPRUVO8P35CPJMGQBADC")
})

test("the digests of a part stay one buffer until each is used, and others than whole ones are refused", () => {
  const [first, second] = [filled(32, 1), filled(32, 9)]
  const read = (digests: Uint8Array) => decodePart(encodePart({ ...part, digests })).digests ?? assert.fail()
  const digests = read(concatBytes([first, second]))
  assert.equal(countOfDigests(digests), 2)
  assert.deepEqual(splitDigests(digests).map(hexOf), [first, second].map(hexOf))
  assert.ok(splitDigests(digests).every(({ buffer }) => buffer === digests.buffer))
  assert.throws(
    () => read(filled(33, 1)),
    error => isFailure(error, "corruptRecord"),
  )
})

test("the log of copies sorts by bucket, then by commit timestamp, then by key, and its keys are read back", () => {
  const rows = [
    { us: 1, key: objectKeyOfText("z") },
    { us: 2, key: objectKeyOfText("a") },
    { us: 2, key: objectKeyOfText("é") },
    { us: 2 ** 40, key: objectKeyOfText("a") },
  ]
  const keys = rows.map(position => copyLogRowKey(bucketId, position))
  assert.deepEqual([...keys].sort(), keys)
  assert.deepEqual(
    keys.map(key => parseCopyLogRowKey(key)),
    rows.map(row => ({ bucketId, ...row })),
  )
  const { start, end } = copyLogRange(bucketId, { us: 2, key: "a" }, 2 ** 40)
  assert.deepEqual(
    keys.map(key => key >= start && key < end),
    [false, false, true, true],
  )
  assert.equal(keyOfParkedCopy(parkedCopyRowKey(bucketId, objectKeyOfText("d/é"))), objectKeyOfText("d/é"))
})
