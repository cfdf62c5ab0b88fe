/** Formats of accounts, their keys, identities and sessions, and of named keys: golden bytes, both ways, and hostile ones. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import {
  parseAccessKeyId,
  parseAccountId,
  parseAdminTokenId,
  parseAccountNumber,
  parseKmsKeyId,
} from "@hayloft/base/ids.js"
import { decodeAudit, encodeAudit, type AuditRecord } from "./audit-record.js"
import { decodeJob, encodeJob, type JobRecord } from "../job-record.js"
import { decodeUsageHistory, encodeUsageHistory } from "../objects/usage-history.js"
import { decodeAdminToken, encodeAdminToken } from "./admin-token.js"
import {
  decodeConsoleSession,
  decodeSignInState,
  decodeSignOuts,
  encodeConsoleSession,
  encodeSignInState,
  encodeSignOuts,
} from "./console-session.js"
import { accountNumberOf } from "./account-number.js"
import {
  decodeAccessKey,
  decodeDirectoryEntry,
  decodeIdentity,
  decodeIdentityProvider,
  decodeKeyUse,
  decodeManagedPolicy,
  encodeAccessKey,
  encodeDirectoryEntry,
  encodeIdentity,
  encodeIdentityProvider,
  encodeKeyUse,
  encodeManagedPolicy,
  type AccessKeyRecord,
  type IdentityRecord,
} from "./identity-records.js"
import { decodeKmsAlias, decodeKmsKey, encodeKmsAlias, encodeKmsKey, type KmsKeyRecord } from "./kms-records.js"
import { decodeBucketKey, encodeBucketKey } from "../objects/bucket-key.js"
import { packRecord } from "../encoding/pack.js"
import { decodeAccount, decodeAccountId, encodeAccount, encodeAccountId } from "../records.js"
import { decodeSessionToken, encodeSessionToken } from "./session-token.js"
import { filled, sample, testGoldens } from "../testing-golden.js"

const account = { id: parseAccountId("root"), displayName: "Röot", email: "a@b", createdMs: 1 }
const quota = { run: "0000000000000007", isExact: true, limits: { hardBytes: 2 ** 40, warnObjects: 5 } }
const accountNumber = parseAccountNumber("012345678901")
const accessKey: AccessKeyRecord = {
  accountId: account.id,
  createdMs: 1,
  sealedSecret: filled(48, 7),
  isActive: true,
  userName: undefined,
  service: undefined,
}
const user: IdentityRecord = {
  kind: "user",
  name: "Bob",
  path: "/team/",
  id: "AIDA7",
  createdMs: 1,
  tags: [["team", "é"]],
  inline: [{ name: "read", text: "{}" }],
  attached: ["arn:aws:iam::012345678901:policy/Read"],
  boundary: "arn:aws:iam::012345678901:policy/Limit",
  groups: ["Devs"],
  keys: [parseAccessKeyId("HLKEY")],
  role: undefined,
}
const accessKeyId = parseAccessKeyId("ASIA7")
const session = { accessKeyId, secret: "secret", issuedMs: 1, expiresMs: 2 }

const consoleSession = {
  id: "0f".repeat(16),
  csrf: "c",
  issuedMs: 1_767_225_600_000,
  seenMs: 1_767_225_700_000,
  expiresMs: 1_767_225_800_000,
}
const byKey = { kind: "key", id: accessKeyId, mark: filled(32, 8), userId: "AIDA7", token: undefined } as const

const kmsKey: KmsKeyRecord = {
  id: parseKmsKeyId("01234567-89ab-4def-8123-456789abcdef"),
  accountId: parseAccountId("root"),
  description: "für Fotos",
  state: "pendingDeletion",
  deletionMs: 1_767_225_700_000,
  rotation: { days: 365, sinceMs: 1_767_225_600_000 },
  external: undefined,
  policy: "{}",
  tags: [["team", "storage"]],
  versions: [
    { createdMs: 1_767_225_600_000, isOnDemand: false },
    { createdMs: 1_767_225_650_000, isOnDemand: true },
  ],
}

const auditRecord: AuditRecord = {
  atMs: 1_767_225_600_000,
  caller: { kind: "token", id: "AAAAAAAAAAAA", name: "portal", address: "::1" },
  requestId: "0123456789ABCDEF",
  operation: "setBucketQuota",
  target: "photos",
  request: '{"hardBytes":1}',
  before: "{}",
  after: '{"hardBytes":1}',
  ended: { atMs: 1_767_225_600_001, outcome: "done" },
}

const jobRecord: JobRecord = {
  kind: "delete-objects",
  target: "photos/2019/",
  request: '{"bucket":"photos"}',
  starter: { kind: "token", id: "AAAAAAAAAAAA", name: "portal" },
  startedMs: 1_767_225_600_000,
  state: "running",
  isPaused: true,
  isCancelling: false,
  isDryRun: false,
  isCounted: true,
  cursor: "2019/a",
  step: { until: "2019/b", scanned: 9, items: 7, bytes: 700 },
  counts: { scanned: 30, matched: 20, matchedBytes: 2_000, done: 5, doneBytes: 500, failed: 1 },
  rate: 2.5,
  failures: [{ key: "2019/\xc3\xa4", versionId: "null", reason: "AccessDenied: no" }],
  lastError: "SlowDown",
  ended: undefined,
  revision: 12,
}

const GOLDENS = readFileSync(
  new URL("../../../../../../packages/engine/src/format/golden/metadata-v1.txt", import.meta.url),
  "utf8",
)

testGoldens(
  [
    sample("named key", kmsKey, encodeKmsKey, decodeKmsKey),
    sample(
      "key of a key service",
      {
        ...kmsKey,
        state: "enabled",
        deletionMs: undefined,
        rotation: undefined,
        external: { kind: "aws", name: "arn:aws:kms:eu-west-1:111122223333:key/a" },
      },
      encodeKmsKey,
      decodeKmsKey,
    ),
    sample("alias of a key", { keyId: kmsKey.id, createdMs: 5, updatedMs: 6 }, encodeKmsAlias, decodeKmsAlias),
    sample(
      "bucket secret",
      { kind: "secret", createdMs: 1_767_225_600_000, epoch: 2, sealed: Uint8Array.from({ length: 60 }, (_, i) => i) },
      encodeBucketKey,
      decodeBucketKey,
    ),
    sample(
      "bucket key",
      {
        kind: "dataKey" as const,
        createdMs: 1_767_225_600_000,
        keyArn: "arn:aws:kms:eu:1:key/a",
        ciphertext: Uint8Array.of(1, 2, 3),
        context: '{"aws:s3:arn":"arn:aws:s3:::photos"}',
      },
      encodeBucketKey,
      decodeBucketKey,
    ),
    sample(
      "erased bucket secret",
      { kind: "erased", createdMs: 1_767_225_600_000, epoch: 1 },
      encodeBucketKey,
      decodeBucketKey,
    ),
    sample("account with a quota", { ...account, number: accountNumber, quota }, encodeAccount, decodeAccount),
    // The release that wrote it had no account numbers.
    sample(
      "account",
      { ...account, number: accountNumberOf(account.id) },
      () => packRecord(1, [account.id, account.displayName, account.email, account.createdMs]),
      decodeAccount,
    ),
    sample("account with a number", { ...account, number: accountNumber }, encodeAccount, decodeAccount),
    sample(
      "account with limits",
      { ...account, number: accountNumber, limits: { requestsPerSecond: 100, burst: 200, bytesPerSecond: 50_000_000 } },
      encodeAccount,
      decodeAccount,
    ),
    sample("account of a number", account.id, encodeAccountId, decodeAccountId),
    sample("access key", accessKey, encodeAccessKey, decodeAccessKey),
    sample(
      "access key of a user, disabled",
      { ...accessKey, isActive: false, userName: "Bob" },
      encodeAccessKey,
      decodeAccessKey,
    ),
    sample(
      "access key for one purpose",
      { ...accessKey, userName: "Bob", service: { description: "backup", expiresMs: 1_767_225_600_000, policy: "{}" } },
      encodeAccessKey,
      decodeAccessKey,
    ),
    sample(
      "access key of a root with limits",
      { ...accessKey, limits: { requestsPerSecond: undefined, burst: undefined, bytesPerSecond: 1_000 } },
      encodeAccessKey,
      decodeAccessKey,
    ),
    sample("key use", { usedMs: 1_767_225_600_000, service: "s3", region: "eu-west-1" }, encodeKeyUse, decodeKeyUse),
    sample(
      "admin token",
      {
        name: "portal",
        secretHash: Uint8Array.from({ length: 32 }, (_, i) => i),
        scopes: ["read", "buckets"],
        createdMs: 1_767_225_600_000,
        expiresMs: 1_767_225_700_000,
      },
      encodeAdminToken,
      decodeAdminToken,
    ),
    sample(
      "admin token without an end",
      {
        name: "",
        secretHash: new Uint8Array(32),
        scopes: ["all"],
        createdMs: 1_767_225_600_000,
        expiresMs: undefined,
      },
      encodeAdminToken,
      decodeAdminToken,
    ),
    sample(
      "session of the operator's browser",
      { ...consoleSession, basis: { kind: "operator", mark: filled(32, 7) } },
      encodeConsoleSession,
      decodeConsoleSession,
    ),
    sample(
      "session of a browser by a token",
      { ...consoleSession, basis: { kind: "token", id: parseAdminTokenId("A".repeat(12)) } },
      encodeConsoleSession,
      decodeConsoleSession,
    ),
    sample(
      "session of a browser by a key",
      { ...consoleSession, basis: byKey },
      encodeConsoleSession,
      decodeConsoleSession,
    ),
    sample(
      "session of a browser by temporary credentials",
      { ...consoleSession, basis: { ...byKey, token: "HL1.x" } },
      encodeConsoleSession,
      decodeConsoleSession,
    ),
    sample(
      "sign-in by a provider",
      {
        state: "s",
        nonce: "n",
        verifier: "v",
        redirectUri: "https://h/v1/session/oidc",
        returnTo: "/console/",
        issuedMs: 1_767_225_600_000,
      },
      encodeSignInState,
      decodeSignInState,
    ),
    sample(
      "sessions that were signed out",
      { allUntilMs: 1_767_225_600_000, ended: [{ id: "0f".repeat(16), issuedMs: 1_767_225_700_000 }] },
      encodeSignOuts,
      decodeSignOuts,
    ),
    sample("change by the admin API", auditRecord, encodeAudit, decodeAudit),
    sample(
      "change by the admin API that has not ended",
      { ...auditRecord, request: undefined, before: undefined, after: undefined, ended: undefined },
      encodeAudit,
      decodeAudit,
    ),
    sample("job of a caller", jobRecord, encodeJob, decodeJob),
    sample(
      "job of a caller with a plan",
      {
        ...jobRecord,
        plan: {
          amounts: [
            { what: "restore", objects: 2, bytes: 2 ** 33 },
            { what: "unchanged", objects: 7, bytes: 70 },
          ],
          first: [{ what: "restore", key: "a/1", versionId: "0".repeat(26), sizeBytes: 5 }],
        },
      },
      encodeJob,
      decodeJob,
    ),
    sample(
      "job of a caller that has ended",
      {
        ...jobRecord,
        state: "cancelled",
        step: undefined,
        failures: [],
        lastError: undefined,
        ended: { atMs: 1_767_225_700_000, result: "cancelled" },
      },
      encodeJob,
      decodeJob,
    ),
    sample(
      "job that compares and repairs",
      { ...jobRecord, kind: "dedup-rebuild", counts: { ...jobRecord.counts, changing: 2, repaired: 5 } },
      encodeJob,
      decodeJob,
    ),
    sample(
      "usage history of a bucket",
      [
        { atMs: 1_767_225_600_000, objects: 3, bytes: 2 ** 40 },
        { atMs: 1_767_229_200_000, objects: 0, bytes: 0 },
      ],
      encodeUsageHistory,
      decodeUsageHistory,
    ),
    sample("user", user, encodeIdentity, decodeIdentity),
    sample(
      "group",
      { ...user, kind: "group", id: "AGPA7", tags: [], boundary: undefined, groups: [], keys: [] },
      encodeIdentity,
      decodeIdentity,
    ),
    sample(
      "role",
      {
        ...user,
        kind: "role",
        id: "AROA7",
        groups: [],
        keys: [],
        role: { description: "reads", trust: "{}", sessionSecondsMax: 3600 },
      },
      encodeIdentity,
      decodeIdentity,
    ),
    sample(
      "managed policy",
      {
        name: "Read",
        path: "/x/",
        id: "ANPA7",
        createdMs: 1,
        updatedMs: 2,
        description: "d",
        tags: [["a", "b"]],
        defaultVersion: 2,
        lastVersion: 3,
        versions: [{ number: 2, createdMs: 2, text: "{}" }],
      },
      encodeManagedPolicy,
      decodeManagedPolicy,
    ),
    sample(
      "identity provider",
      { url: "https://id.example/x", createdMs: 1, clientIds: ["sts"], thumbprints: ["ab"], tags: [["a", "b"]] },
      encodeIdentityProvider,
      decodeIdentityProvider,
    ),
    sample(
      "session token of a key",
      { ...session, session: { kind: "key", sourceKey: parseAccessKeyId("HLKEY"), userId: "AIDA7" } } as const,
      encodeSessionToken,
      decodeSessionToken,
    ),
    sample(
      "session token of a key, with a mark",
      {
        ...session,
        session: { kind: "key", sourceKey: parseAccessKeyId("HLKEY"), userId: "AIDA7", mark: filled(32, 8) },
      } as const,
      encodeSessionToken,
      decodeSessionToken,
    ),
    sample(
      "session token of a key, with a policy",
      {
        ...session,
        session: {
          kind: "key",
          sourceKey: parseAccessKeyId("HLKEY"),
          userId: "AIDA7",
          policy: "{}",
          mark: filled(32, 8),
        },
      } as const,
      encodeSessionToken,
      decodeSessionToken,
    ),
    sample(
      "session token of a role, with a mark",
      {
        ...session,
        session: {
          kind: "role",
          accountId: account.id,
          roleName: "Reader",
          roleId: "AROA7",
          sessionName: "s",
          roots: [{ kind: "key", id: parseAccessKeyId("HLKEY"), mark: filled(32, 8) }],
          limits: undefined,
          tags: [],
          claims: [],
        },
      } as const,
      encodeSessionToken,
      decodeSessionToken,
    ),
    sample(
      "directory entry",
      { dn: "cn=josé,dc=x", createdMs: 1, attached: ["arn:aws:iam::012345678901:policy/Read"] },
      encodeDirectoryEntry,
      decodeDirectoryEntry,
    ),
    sample(
      "session token of a person",
      {
        ...session,
        session: {
          kind: "person",
          accountId: account.id,
          dn: "uid=Ann,dc=x",
          login: "ANN",
          userName: "ann",
          groups: ["cn=team,dc=x"],
          policy: "{}",
        },
      } as const,
      encodeSessionToken,
      decodeSessionToken,
    ),
    sample(
      "session token of a role",
      {
        ...session,
        session: {
          kind: "role",
          accountId: account.id,
          roleName: "Reader",
          roleId: "AROA7",
          sessionName: "s",
          roots: [
            { kind: "key", id: parseAccessKeyId("HLKEY") },
            { kind: "role", accountId: account.id, name: "First", id: "AROA1" },
            { kind: "provider", accountId: account.id, url: "https://id.example/x" },
          ],
          limits: { texts: ["{}"], arns: ["arn"] },
          tags: [["a", "b"]],
          claims: [["id.example/x:sub", "me"]],
        },
      } as const,
      encodeSessionToken,
      decodeSessionToken,
    ),
  ],
  GOLDENS,
)

test("a named key that contradicts itself is refused", () => {
  const broken: readonly KmsKeyRecord[] = [
    { ...kmsKey, versions: [] },
    { ...kmsKey, deletionMs: undefined },
    { ...kmsKey, state: "enabled" },
  ]
  for (const key of broken) {
    assert.throws(
      () => decodeKmsKey(encodeKmsKey(key)),
      error => isFailure(error, "corruptRecord"),
    )
  }
})
