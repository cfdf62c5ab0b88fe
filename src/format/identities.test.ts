/** Formats of accounts, their keys, identities and sessions, and of named keys: golden bytes, both ways, and hostile ones. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { isFailure } from "../base/failures.js"
import { parseAccessKeyId, parseAccountId, parseAccountNumber, parseKmsKeyId } from "../base/ids.js"
import { decodeAudit, encodeAudit, type AuditRecord } from "./audit-record.js"
import { decodeAdminToken, encodeAdminToken } from "./admin-token.js"
import { accountNumberOf } from "./account-number.js"
import {
  decodeAccessKey,
  decodeIdentity,
  decodeIdentityProvider,
  decodeKeyUse,
  decodeManagedPolicy,
  encodeAccessKey,
  encodeIdentity,
  encodeIdentityProvider,
  encodeKeyUse,
  encodeManagedPolicy,
  type AccessKeyRecord,
  type IdentityRecord,
} from "./identity-records.js"
import { decodeKmsAlias, decodeKmsKey, encodeKmsAlias, encodeKmsKey, type KmsKeyRecord } from "./kms-records.js"
import { decodeBucketKey, encodeBucketKey } from "./bucket-key.js"
import { packRecord } from "./pack.js"
import { decodeAccount, decodeAccountId, encodeAccount, encodeAccountId } from "./records.js"
import { decodeSessionToken, encodeSessionToken } from "./session-token.js"
import { filled, sample, testGoldens } from "./testing-golden.js"

const account = { id: parseAccountId("root"), displayName: "Röot", email: "a@b", createdMs: 1 }
const quota = { run: "0000000000000007", isExact: true, limits: { hardBytes: 2 ** 40, warnObjects: 5 } }
const accountNumber = parseAccountNumber("012345678901")
const accessKey: AccessKeyRecord = {
  ...{ accountId: account.id, createdMs: 1, sealedSecret: filled(48, 7) },
  ...{ isActive: true, userName: undefined, service: undefined },
}
const user: IdentityRecord = {
  ...({ kind: "user", name: "Bob", path: "/team/", id: "AIDA7", createdMs: 1, tags: [["team", "é"]] } as const),
  inline: [{ name: "read", text: "{}" }],
  attached: ["arn:aws:iam::012345678901:policy/Read"],
  boundary: "arn:aws:iam::012345678901:policy/Limit",
  groups: ["Devs"],
  keys: [parseAccessKeyId("HLKEY")],
  role: undefined,
}
const session = { accessKeyId: parseAccessKeyId("ASIA7"), secret: "secret", issuedMs: 1, expiresMs: 2 }

const kmsKey: KmsKeyRecord = {
  id: parseKmsKeyId("01234567-89ab-4def-8123-456789abcdef"),
  accountId: parseAccountId("root"),
  ...({ description: "für Fotos", state: "pendingDeletion", deletionMs: 1_767_225_700_000 } as const),
  ...{ rotation: { days: 365, sinceMs: 1_767_225_600_000 }, external: undefined, policy: "{}" },
  tags: [["team", "storage"]],
  versions: [
    { createdMs: 1_767_225_600_000, isOnDemand: false },
    { createdMs: 1_767_225_650_000, isOnDemand: true },
  ],
}

const auditRecord: AuditRecord = {
  ...{ atMs: 1_767_225_600_000, caller: { kind: "token", id: "AAAAAAAAAAAA", name: "portal", address: "::1" } },
  ...{ requestId: "0123456789ABCDEF", operation: "setBucketQuota", target: "photos", request: '{"hardBytes":1}' },
  ...{ before: "{}", after: '{"hardBytes":1}', ended: { atMs: 1_767_225_600_001, outcome: "done" } },
}

const GOLDENS = readFileSync(new URL("../../../src/format/golden/metadata-v1.txt", import.meta.url), "utf8")

testGoldens(
  [
    sample("named key", kmsKey, encodeKmsKey, decodeKmsKey),
    sample(
      "key of a key service",
      {
        ...kmsKey,
        ...({ state: "enabled", deletionMs: undefined, rotation: undefined } as const),
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
        ...{ kind: "dataKey" as const, createdMs: 1_767_225_600_000, keyArn: "arn:aws:kms:eu:1:key/a" },
        ...{ ciphertext: Uint8Array.of(1, 2, 3), context: '{"aws:s3:arn":"arn:aws:s3:::photos"}' },
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
        ...{ name: "portal", secretHash: Uint8Array.from({ length: 32 }, (_, i) => i), scopes: ["read", "buckets"] },
        ...{ createdMs: 1_767_225_600_000, expiresMs: 1_767_225_700_000 },
      },
      encodeAdminToken,
      decodeAdminToken,
    ),
    sample(
      "admin token without an end",
      {
        ...{ name: "", secretHash: new Uint8Array(32), scopes: ["all"], createdMs: 1_767_225_600_000 },
        expiresMs: undefined,
      },
      encodeAdminToken,
      decodeAdminToken,
    ),
    sample("change by the admin API", auditRecord, encodeAudit, decodeAudit),
    sample(
      "change by the admin API that has not ended",
      { ...auditRecord, request: undefined, before: undefined, after: undefined, ended: undefined },
      encodeAudit,
      decodeAudit,
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
        ...({ kind: "role", id: "AROA7", groups: [], keys: [] } as const),
        role: { description: "reads", trust: "{}", sessionSecondsMax: 3600 },
      },
      encodeIdentity,
      decodeIdentity,
    ),
    sample(
      "managed policy",
      {
        ...{ name: "Read", path: "/x/", id: "ANPA7", createdMs: 1, updatedMs: 2, description: "d", tags: [["a", "b"]] },
        ...{ defaultVersion: 2, lastVersion: 3, versions: [{ number: 2, createdMs: 2, text: "{}" }] },
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
      "session token of a role",
      {
        ...session,
        session: {
          ...({ kind: "role", accountId: account.id, roleName: "Reader", roleId: "AROA7", sessionName: "s" } as const),
          roots: [
            { kind: "key", id: parseAccessKeyId("HLKEY") },
            { kind: "role", accountId: account.id, name: "First", id: "AROA1" },
            { kind: "provider", accountId: account.id, url: "https://id.example/x" },
          ],
          limits: { texts: ["{}"], arns: ["arn"] },
          ...{ tags: [["a", "b"]], claims: [["id.example/x:sub", "me"]] },
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
