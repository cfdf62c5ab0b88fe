/** Commands on managed policies: up to five versions, one the default. Pure decisions on the tablet's own rows. */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseAccountNumber } from "@hayloft/base/ids.js"
import type { AccountId } from "@hayloft/base/ids.js"
import {
  decodeManagedPolicy,
  encodeManagedPolicy,
  type ManagedPolicyRecord,
} from "@hayloft/engine/format/accounts/identity-records.js"
import { accountRowKey } from "@hayloft/engine/format/row-key.js"
import { command, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"
import type { ManagedPolicyUse } from "../contract.js"
import { findAccountId } from "../accounts/find-account-core.js"
import { BUILT_IN_POLICIES } from "./built-in-policies.js"
import { countMemberships, hasMemberships, boundaryMembership, policyMembership } from "./identity-links-core.js"
import { IDENTITY_LIMITS } from "./limits.js"
import { parseIdentityArn } from "./names.js"
import { changeTags } from "./tags.js"
import type { Tags } from "@hayloft/base/tags.js"

const policyRow = (accountId: AccountId, name: string) => accountRowKey(accountId, name.toLowerCase())

/** An own policy of the account, whatever its path: names are unique in an account. */
export function findByName(view: RowView, accountId: AccountId, name: string): ManagedPolicyRecord | undefined {
  const row = view.get("managedPolicies", policyRow(accountId, name))
  return row && decodeManagedPolicy(row.value)
}

/** The account's own policy, or a built-in one; undefined if the ARN names neither. */
export function findPolicy(view: RowView, accountId: AccountId, arn: string): ManagedPolicyRecord | undefined {
  const parsed = parseIdentityArn("policy", arn)
  if (parsed === undefined) return undefined
  if (parsed.account === "aws") return BUILT_IN_POLICIES.get(arn)
  if (findAccountId(view, parseAccountNumber(parsed.account)) !== accountId) return undefined
  const found = findByName(view, accountId, parsed.name)
  return found?.name === parsed.name && found.path === parsed.path ? found : undefined
}

/** Throws `noSuchEntity`. */
export function needPolicy(view: RowView, accountId: AccountId, arn: string): ManagedPolicyRecord {
  const found = findPolicy(view, accountId, arn)
  if (found === undefined) throw noSuchPolicy(arn)
  return found
}

/** Throws `noSuchEntity`. */
export function checkPolicyExists(view: RowView, accountId: AccountId, arn: string): void {
  needPolicy(view, accountId, arn)
}

export const noSuchPolicy = (arn: string): Failure =>
  fail("noSuchEntity", { message: `Policy ${arn} does not exist or is not attachable.` })

export const createPolicy = command<
  [
    accountId: AccountId,
    policy: Omit<ManagedPolicyRecord, "createdMs" | "updatedMs" | "versions" | "defaultVersion" | "lastVersion">,
    text: string,
  ],
  ManagedPolicyRecord
>({
  name: "CreatePolicy",
  touches: (accountId, policy) => [["managedPolicies", policyRow(accountId, policy.name)]],
  decide(view, { nowMs }, accountId, policy, text) {
    const key = policyRow(accountId, policy.name)
    if (findByName(view, accountId, policy.name)) {
      throw fail("entityExists", {
        message: `A policy called ${policy.name} already exists. Duplicate names are not allowed.`,
      })
    }
    const versions = [{ number: 1, createdMs: nowMs, text }]
    const record = { ...policy, createdMs: nowMs, updatedMs: nowMs, defaultVersion: 1, lastVersion: 1, versions }
    return { writes: [{ family: "managedPolicies", key, value: encodeManagedPolicy(record) }], result: record }
  },
})

/** Makes a command from an edit of an own policy. The command throws `accessDenied` for a built-in policy. */
const policyEdit = <Args extends readonly unknown[]>(
  name: string,
  edit: (record: ManagedPolicyRecord, nowMs: number, ...args: Args) => ManagedPolicyRecord,
  removes: (...args: Args) => boolean = () => false,
) =>
  command<[accountId: AccountId, arn: string, ...Args], ManagedPolicyRecord>({
    name,
    grows: (_accountId, _arn, ...args) => !removes(...args),
    touches: (accountId, arn, ..._others): Touches => [["managedPolicies", rowOfArn(accountId, arn)]],
    decide(view, { nowMs }, accountId, arn, ...args) {
      const after = edit(needOwn(view, accountId, arn), nowMs, ...args)
      const key = rowOfArn(accountId, arn)
      return { writes: [{ family: "managedPolicies", key, value: encodeManagedPolicy(after) }], result: after }
    },
  })

const rowOfArn = (accountId: AccountId, arn: string) =>
  policyRow(accountId, parseIdentityArn("policy", arn)?.name ?? "")

function needOwn(view: RowView, accountId: AccountId, arn: string): ManagedPolicyRecord {
  if (BUILT_IN_POLICIES.has(arn)) throw fail("accessDenied", { message: `Policy ${arn} cannot be changed.` })
  return needPolicy(view, accountId, arn)
}

/** Does not check whether the policy exists. */
export const policyUseOf = (view: RowView, accountId: AccountId, arn: string): ManagedPolicyUse => ({
  attachments: countMemberships(view, accountId, policyMembership(arn)),
  boundaries: countMemberships(view, accountId, boundaryMembership(arn)),
})

const isInUse = (view: RowView, accountId: AccountId, arn: string): boolean =>
  hasMemberships(view, accountId, policyMembership(arn)) || hasMemberships(view, accountId, boundaryMembership(arn))

/** Throws `noSuchEntity`, `deleteConflict` while it is attached or has more than its default version. */
export const deletePolicy = command<[accountId: AccountId, arn: string], void>({
  name: "DeletePolicy",
  grows: false,
  touches: (accountId, arn) => [["managedPolicies", rowOfArn(accountId, arn)]],
  decide(view, _time, accountId, arn) {
    const key = rowOfArn(accountId, arn)
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
})

// The edits. Every one throws `noSuchEntity` if there is no such policy.

export const addVersion = policyEdit<[text: string, isDefault: boolean]>(
  "AddPolicyVersion",
  (record, nowMs, text, isDefault) => {
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
  },
)

export const removeVersion = policyEdit<[number: number]>(
  "RemovePolicyVersion",
  (record, nowMs, number) => {
    needVersion(record, number)
    if (number === record.defaultVersion) {
      throw fail("deleteConflict", { message: "Cannot delete the default version of a policy." })
    }
    return { ...record, updatedMs: nowMs, versions: record.versions.filter(version => version.number !== number) }
  },
  () => true,
)

export const setDefaultVersion = policyEdit<[number: number]>("SetDefaultPolicyVersion", (record, nowMs, number) => {
  needVersion(record, number)
  return { ...record, updatedMs: nowMs, defaultVersion: number }
})

export const setPolicyTags = policyEdit<[tags: Tags, removed: readonly string[]]>(
  "TagPolicy",
  (record, _nowMs, tags, removed) => ({ ...record, tags: changeTags(record.tags, tags, removed) }),
  tags => tags.length === 0,
)

/** Throws `noSuchEntity`. */
export function needVersion(record: ManagedPolicyRecord, number: number) {
  const found = record.versions.find(version => version.number === number)
  if (found === undefined) {
    throw fail("noSuchEntity", { message: `Policy ${record.name} version v${number} does not exist.` })
  }
  return found
}

/** The text of the default version. */
export const defaultText = (record: ManagedPolicyRecord): string => needVersion(record, record.defaultVersion).text
