/** Users, groups, roles, managed policies and providers: the service that runs their commands. See `../contract.ts` for the promises. */
import { fail } from "../../base/failures.js"
import { rowKeyOf } from "../../base/ids.js"
import type { AccountId } from "../../base/ids.js"
import {
  decodeIdentity,
  decodeManagedPolicy,
  type IdentityKind,
  type IdentityProviderRecord,
  type IdentityRecord,
  type ManagedPolicyRecord,
  type Tags,
} from "../../format/identity-records.js"
import { accountRange, accountRowKey } from "../../format/row-key.js"
import type { Random } from "../../seams/random/contract.js"
import { drawText, KEY_LETTERS } from "../draw.js"
import type { Identities, IdentityRef, NewIdentity, NewPolicy, PolicyHolder, ProviderChange } from "../contract.js"
import type { Directory } from "../directory.js"
import { checkPrincipals } from "../policy/bucket-policy.js"
import { POLICY_LIMITS } from "../policy/limits.js"
import type { ParsePolicy } from "./attached-policies.js"
import * as identities from "./identity-commands-core.js"
import type { IdentityEdit } from "./identity-commands-core.js"
import * as policies from "./managed-policy-commands-core.js"
import { isPrincipalThere } from "./named-principals-core.js"
import { checkName, checkPath } from "./names.js"
import type { PolicyPrincipals } from "./policy-principals.js"
import { checkInlineSize, checkPolicyText } from "./policy-texts.js"
import * as providers from "./provider-commands-core.js"
import { changeProvider, checkProvider } from "./provider-terms.js"
import { changeTags, checkTags } from "./tags.js"

const ID_BEGINNINGS = { user: "AIDA", group: "AGPA", role: "AROA", policy: "ANPA" } as const
const ID_LETTERS = 17
const DESCRIPTION_CHARACTERS_MAX = 1_000
const SESSION_SECONDS = { least: 3_600, most: 43_200 } as const

export class IdentityService implements Identities {
  private readonly random: Random

  constructor(
    random: Random,
    private readonly directory: Directory,
    private readonly parse: ParsePolicy,
    private readonly principals: PolicyPrincipals,
  ) {
    this.random = random.fork("identities")
  }

  async create({ accountId, kind, name, path, tags, boundary, role }: NewIdentity): Promise<IdentityRecord> {
    const identity = {
      kind,
      name: checkName(kind, name),
      path: checkPath(path),
      id: this.drawId(kind),
      tags: checkTags(tags),
      inline: [],
      attached: [],
      boundary,
      groups: [],
      keys: [],
      role: role && this.pinned(this.checkTrusted(this.checkRole(role))),
    }
    return this.shown(await this.directory.change(identities.createIdentity(accountId, identity)))
  }

  /** A record as callers see it: a trust policy is kept with unique ids. */
  private shown(record: IdentityRecord): IdentityRecord {
    const { role } = record
    return role === undefined ? record : { ...record, role: { ...role, trust: this.principals.shown(role.trust) } }
  }

  private drawId(kind: IdentityKind | "policy"): string {
    return ID_BEGINNINGS[kind] + drawText(this.random, KEY_LETTERS, ID_LETTERS)
  }

  private checkRole(role: NonNullable<IdentityRecord["role"]>): NonNullable<IdentityRecord["role"]> {
    checkDescription(role.description)
    this.checkTrust(role.trust)
    const { least, most } = SESSION_SECONDS
    if (role.sessionSecondsMax < least || role.sessionSecondsMax > most) {
      throw fail("invalidArgument", { message: `MaxSessionDuration must be between ${least} and ${most}` })
    }
    return role
  }

  private checkTrust(text: string): void {
    checkPolicyText(this.parse, text, "trust", POLICY_LIMITS.trustCharactersMax)
  }

  /** Only of a policy that is set now: those whom an older one names may be gone. Throws `malformedPolicy`. */
  private checkTrusted<Role extends { readonly trust: string }>(role: Role): Role {
    checkPrincipals(this.parse(role.trust, "trust"), named => isPrincipalThere(this.directory.rows, named))
    return role
  }

  /** With unique ids in its trust policy, which has been checked. */
  private pinned<Role extends { readonly trust: string }>(role: Role): Role {
    return { ...role, trust: this.principals.pinned(role.trust) }
  }

  async get(ref: IdentityRef): Promise<IdentityRecord> {
    return this.shown(identities.needIdentity(this.directory.rows, ref))
  }

  *list(accountId: AccountId, kind: IdentityKind, after: string): Generator<IdentityRecord> {
    const range = startAfter(accountRange(accountId, kind), accountRowKey(accountId, kind, after))
    for (const [, row] of this.directory.rows.range("identities", range)) yield this.shown(decodeIdentity(row.value))
  }

  members({ accountId, name }: IdentityRef): readonly IdentityRecord[] {
    const linked = identities.linkedTo(this.directory.rows, accountId, identities.linkToGroup(name))
    return Array.from(linked, member => identities.needIdentity(this.directory.rows, { accountId, ...member }))
  }

  async update(
    ref: IdentityRef,
    { name, path }: { name: string | undefined; path: string | undefined },
  ): Promise<void> {
    if (path !== undefined) checkPath(path)
    if (name === undefined || name === ref.name) {
      return this.edit("UpdateIdentity", ref, record => ({ ...record, path: path ?? record.path }))
    }
    checkName(ref.kind, name)
    if (ref.kind !== "user") throw fail("notImplemented", { message: `A ${ref.kind} cannot get another name.` })
    await this.directory.change(identities.renameUser(ref, name, path))
  }

  async updateRole(ref: IdentityRef, change: Partial<NonNullable<IdentityRecord["role"]>>): Promise<void> {
    const { trust, ...others } = change
    if (trust !== undefined) this.checkTrust(trust)
    const changed = trust === undefined ? others : this.pinned(this.checkTrusted({ ...others, trust }))
    await this.edit("UpdateRole", ref, record => {
      if (record.role === undefined) throw fail("invalidArgument", { message: "only a role has terms" })
      return { ...record, role: this.checkRole({ ...record.role, ...changed }) }
    })
  }

  async remove(ref: IdentityRef): Promise<void> {
    await this.directory.change(identities.deleteIdentity(ref))
  }

  async setTags(ref: IdentityRef, tags: Tags, removed: readonly string[]): Promise<void> {
    await this.edit("TagIdentity", ref, record => ({ ...record, tags: changeTags(record.tags, tags, removed) }))
  }

  async putInline(ref: IdentityRef, policyName: string, text: string): Promise<void> {
    checkName("policy", policyName)
    checkInlineSize(ref.kind, [{ name: policyName, text }])
    checkPolicyText(this.parse, text, "identity", Infinity)
    await this.edit("PutInlinePolicy", ref, identities.putInline(policyName, text))
  }

  async removeInline(ref: IdentityRef, policyName: string): Promise<void> {
    await this.edit("DeleteInlinePolicy", ref, identities.removeInline(policyName))
  }

  async attach(ref: IdentityRef, arn: string): Promise<void> {
    await this.edit("AttachPolicy", ref, identities.attachPolicy(ref.accountId, arn))
  }

  async detach(ref: IdentityRef, arn: string): Promise<void> {
    await this.edit("DetachPolicy", ref, identities.detachPolicy(arn))
  }

  async setBoundary(ref: IdentityRef, arn: string | undefined): Promise<void> {
    await this.edit("SetBoundary", ref, identities.setBoundary(ref.accountId, arn))
  }

  async joinGroup(user: IdentityRef, groupName: string): Promise<void> {
    await this.edit("JoinGroup", user, identities.joinGroup(user.accountId, groupName))
  }

  async leaveGroup(user: IdentityRef, groupName: string): Promise<void> {
    await this.edit("LeaveGroup", user, identities.leaveGroup(user.accountId, groupName))
  }

  private async edit(name: string, ref: IdentityRef, edit: IdentityEdit): Promise<void> {
    await this.directory.change(identities.editIdentity(name, ref, edit))
  }

  async createPolicy(accountId: AccountId, policy: NewPolicy): Promise<ManagedPolicyRecord> {
    const { name, path, description, tags, text } = policy
    checkName("policy", name)
    checkPath(path)
    checkDescription(description)
    checkPolicyText(this.parse, text)
    const record = { name, path, description, tags: checkTags(tags), id: this.drawId("policy") }
    return this.directory.change(policies.createPolicy(accountId, record, text))
  }

  async getPolicy(accountId: AccountId, arn: string): Promise<ManagedPolicyRecord> {
    return policies.needPolicy(this.directory.rows, accountId, arn)
  }

  *listPolicies(accountId: AccountId, after: string): Generator<ManagedPolicyRecord> {
    const range = startAfter(accountRange(accountId), accountRowKey(accountId, after))
    for (const [, row] of this.directory.rows.range("managedPolicies", range)) yield decodeManagedPolicy(row.value)
  }

  async addPolicyVersion(accountId: AccountId, arn: string, text: string, isDefault: boolean) {
    checkPolicyText(this.parse, text)
    return this.editPolicy("AddPolicyVersion", accountId, arn, policies.addVersion(text, isDefault))
  }

  async removePolicyVersion(accountId: AccountId, arn: string, number: number): Promise<void> {
    await this.editPolicy("RemovePolicyVersion", accountId, arn, policies.removeVersion(number))
  }

  async setDefaultPolicyVersion(accountId: AccountId, arn: string, number: number): Promise<void> {
    await this.editPolicy("SetDefaultPolicyVersion", accountId, arn, policies.setDefaultVersion(number))
  }

  async setPolicyTags(accountId: AccountId, arn: string, tags: Tags, removed: readonly string[]): Promise<void> {
    await this.editPolicy("TagPolicy", accountId, arn, record => ({
      ...record,
      tags: changeTags(record.tags, tags, removed),
    }))
  }

  private editPolicy(name: string, accountId: AccountId, arn: string, edit: policies.PolicyEdit) {
    return this.directory.change(policies.editPolicy(name, accountId, arn, edit))
  }

  async removePolicy(accountId: AccountId, arn: string): Promise<void> {
    await this.directory.change(policies.deletePolicy(accountId, arn))
  }

  policyHolders(accountId: AccountId, arn: string): readonly PolicyHolder[] {
    const { rows } = this.directory
    const of = (link: string, isBoundary: boolean): PolicyHolder[] =>
      Array.from(identities.linkedTo(rows, accountId, link), holder => ({
        identity: identities.needIdentity(rows, { accountId, ...holder }),
        isBoundary,
      }))
    return [...of(identities.linkToPolicy(arn), false), ...of(identities.linkToBoundary(arn), true)]
  }

  async createProvider(accountId: AccountId, provider: Omit<IdentityProviderRecord, "createdMs">) {
    return this.directory.change(providers.createProvider(accountId, checkProvider(provider)))
  }

  async getProvider(accountId: AccountId, url: string): Promise<IdentityProviderRecord> {
    return providers.needProvider(this.directory.rows, accountId, url)
  }

  listProviders(accountId: AccountId): readonly IdentityProviderRecord[] {
    return [...providers.listProviders(this.directory.rows, accountId)]
  }

  async updateProvider(accountId: AccountId, url: string, change: ProviderChange): Promise<void> {
    const edit = (record: IdentityProviderRecord) => changeProvider(record, change)
    await this.directory.change(providers.editProvider("UpdateIdentityProvider", accountId, url, edit))
  }

  async removeProvider(accountId: AccountId, url: string): Promise<void> {
    await this.directory.change(providers.deleteProvider(accountId, url))
  }
}

function checkDescription(text: string): void {
  if (text.length > DESCRIPTION_CHARACTERS_MAX) {
    throw fail("invalidArgument", {
      message: `The description has more than ${DESCRIPTION_CHARACTERS_MAX} characters.`,
    })
  }
}

/** From the first row behind `after`, where that is in the range. */
const startAfter = (range: ReturnType<typeof accountRange>, after: string) => {
  const start = rowKeyOf(`${after}\x00`)
  return start > range.start ? { ...range, start } : range
}
