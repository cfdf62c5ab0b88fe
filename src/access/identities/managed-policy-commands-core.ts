/** Commands on managed policies: up to five versions, one of which counts. Pure decisions on the tablet's own rows. */
import { fail, type Failure } from "../../base/failures.js"
import { parseAccountNumber } from "../../base/ids.js"
import type { AccountId } from "../../base/ids.js"
import { decodeManagedPolicy, encodeManagedPolicy, type ManagedPolicyRecord } from "../../format/identity-records.js"
import { accountRange, accountRowKey } from "../../format/row-key.js"
import type { Command, TabletView } from "../../tablet/index.js"
import { findAccountId } from "../find-account-core.js"
import { BUILT_IN_POLICIES } from "./built-in-policies.js"
import { IDENTITY_LIMITS } from "./limits.js"
import { parseIdentityArn } from "./names.js"

const policyRow = (accountId: AccountId, name: string) => accountRowKey(accountId, name.toLowerCase())

function findByName(view: TabletView, accountId: AccountId, name: string): ManagedPolicyRecord | undefined {
  const row = view.get("managedPolicies", policyRow(accountId, name))
  return row && decodeManagedPolicy(row.value)
}

/** The account's own policy, or one that every account has; undefined where the ARN names none of them. */
export function findPolicy(view: TabletView, accountId: AccountId, arn: string): ManagedPolicyRecord | undefined {
  const parsed = parseIdentityArn("policy", arn)
  if (parsed === undefined) return undefined
  if (parsed.account === "aws") return BUILT_IN_POLICIES.get(arn)
  if (findAccountId(view, parseAccountNumber(parsed.account)) !== accountId) return undefined
  const found = findByName(view, accountId, parsed.name)
  return found?.name === parsed.name && found.path === parsed.path ? found : undefined
}

/** Throws `noSuchEntity`. */
export function needPolicy(view: TabletView, accountId: AccountId, arn: string): ManagedPolicyRecord {
  const found = findPolicy(view, accountId, arn)
  if (found === undefined) throw noSuchPolicy(arn)
  return found
}

/** Throws `noSuchEntity`. */
export function checkPolicyExists(view: TabletView, accountId: AccountId, arn: string): void {
  needPolicy(view, accountId, arn)
}

const noSuchPolicy = (arn: string): Failure =>
  fail("noSuchEntity", { message: `Policy ${arn} does not exist or is not attachable.` })

export function createPolicy(
  accountId: AccountId,
  policy: Omit<ManagedPolicyRecord, "createdMs" | "updatedMs" | "versions" | "defaultVersion" | "lastVersion">,
  text: string,
): Command<ManagedPolicyRecord> {
  const key = policyRow(accountId, policy.name)
  return {
    name: "CreatePolicy",
    touches: [["managedPolicies", key]],
    decide(view, { nowMs }) {
      if (findByName(view, accountId, policy.name)) {
        throw fail("entityExists", {
          message: `A policy called ${policy.name} already exists. Duplicate names are not allowed.`,
        })
      }
      const versions = [{ number: 1, createdMs: nowMs, text }]
      const record = { ...policy, createdMs: nowMs, updatedMs: nowMs, defaultVersion: 1, lastVersion: 1, versions }
      return { writes: [{ family: "managedPolicies", key, value: encodeManagedPolicy(record) }], result: record }
    },
  }
}

export type PolicyEdit = (record: ManagedPolicyRecord, nowMs: number) => ManagedPolicyRecord

/** Changes a policy of the account's own. Throws `noSuchEntity`, `accessDenied` for one that every account has. */
export function editPolicy(
  name: string,
  accountId: AccountId,
  arn: string,
  edit: PolicyEdit,
): Command<ManagedPolicyRecord> {
  const key = policyRow(accountId, parseIdentityArn("policy", arn)?.name ?? "")
  return {
    name,
    touches: [["managedPolicies", key]],
    decide(view, { nowMs }) {
      const after = edit(needOwn(view, accountId, arn), nowMs)
      return { writes: [{ family: "managedPolicies", key, value: encodeManagedPolicy(after) }], result: after }
    },
  }
}

function needOwn(view: TabletView, accountId: AccountId, arn: string): ManagedPolicyRecord {
  if (BUILT_IN_POLICIES.has(arn)) throw fail("accessDenied", { message: `Policy ${arn} cannot be changed.` })
  return needPolicy(view, accountId, arn)
}

function isInUse(view: TabletView, accountId: AccountId, arn: string): boolean {
  return [`policy ${arn}`, `boundary ${arn}`].some(link => {
    const [holder] = view.range("identityLinks", accountRange(accountId, link))
    return holder !== undefined
  })
}

/** Throws `noSuchEntity`, `deleteConflict` while it is attached or has more than its default version. */
export function deletePolicy(accountId: AccountId, arn: string): Command<void> {
  const key = policyRow(accountId, parseIdentityArn("policy", arn)?.name ?? "")
  return {
    name: "DeletePolicy",
    grows: false,
    touches: [["managedPolicies", key]],
    decide(view) {
      const record = needOwn(view, accountId, arn)
      if (isInUse(view, accountId, arn)) {
        throw fail("deleteConflict", { message: "Cannot delete a policy attached to entities." })
      }
      if (record.versions.length > 1) {
        throw fail("deleteConflict", {
          message:
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
        })
      }
      return { writes: [{ family: "managedPolicies", key, value: undefined }], result: undefined }
    },
  }
}

// The edits.

export const addVersion =
  (text: string, isDefault: boolean): PolicyEdit =>
  (record, nowMs) => {
    if (record.versions.length >= IDENTITY_LIMITS.policyVersionsMax) {
      throw fail("limitExceeded", {
        message: `A managed policy can have up to ${IDENTITY_LIMITS.policyVersionsMax} versions. Before you create a new version, you must delete an existing version.`,
      })
    }
    const number = record.lastVersion + 1
    return {
      ...record,
      updatedMs: nowMs,
      lastVersion: number,
      defaultVersion: isDefault ? number : record.defaultVersion,
      versions: [...record.versions, { number, createdMs: nowMs, text }],
    }
  }

export const removeVersion =
  (number: number): PolicyEdit =>
  (record, nowMs) => {
    needVersion(record, number)
    if (number === record.defaultVersion) {
      throw fail("deleteConflict", { message: "Cannot delete the default version of a policy." })
    }
    return { ...record, updatedMs: nowMs, versions: record.versions.filter(version => version.number !== number) }
  }

export const setDefaultVersion =
  (number: number): PolicyEdit =>
  (record, nowMs) => {
    needVersion(record, number)
    return { ...record, updatedMs: nowMs, defaultVersion: number }
  }

/** Throws `noSuchEntity`. */
export function needVersion(record: ManagedPolicyRecord, number: number) {
  const found = record.versions.find(version => version.number === number)
  if (found === undefined) {
    throw fail("noSuchEntity", { message: `Policy ${record.name} version v${number} does not exist.` })
  }
  return found
}

/** The text that counts. */
export const defaultText = (record: ManagedPolicyRecord): string => needVersion(record, record.defaultVersion).text
