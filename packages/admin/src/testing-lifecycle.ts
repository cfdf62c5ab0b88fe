/** The effects of lifecycle rules on an object and on a bucket, for tests of the admin API. */
import { NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"

export const EXPLAINED = {
  versionId: NULL_VERSION,
  isLatest: true,
  isMarker: false,
  sizeBytes: 5,
  modifiedMs: 1,
  isLocked: false,
  storageClass: "STANDARD",
  next: { ruleId: "thirty days", dueMs: 2_592_000_000, action: "removeVersion" },
  rules: [
    { ruleId: "cold", when: "noAction", transitions: [{ storageClass: "GLACIER", when: "unmapped" }] },
    { ruleId: "thirty days", when: 2_592_000_000 },
    { ruleId: "other", when: "prefix" },
  ],
} as const
const PREVIEWED = {
  ruleId: "thirty days",
  isEnabled: true,
  hidden: 0,
  versions: 2,
  markers: 0,
  bytes: 10,
  moved: 1,
  movedBytes: 5,
  uploads: 2,
  examples: [{ key: "logs/1", versionId: NULL_VERSION, action: "removeVersion" }],
} as const
export const PREVIEW = {
  hasRules: true,
  atMs: 7,
  rules: [PREVIEWED],
  locked: 1,
  examined: 9,
  isComplete: true,
  abandonedUploads: 1,
}
