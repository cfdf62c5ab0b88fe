/** The service that runs the commands of users, groups, roles, policies and providers. See `../contract.ts`. */
import { fail } from "@hayloft/base/failures.js"
import type { AccountId, RowKey } from "@hayloft/base/ids.js"
import type {
  IdentityKind,
  IdentityProviderRecord,
  IdentityRecord,
  ManagedPolicyRecord,
  RoleTerms,
} from "@hayloft/engine/format/accounts/identity-records.js"
import { accountRowKey } from "@hayloft/engine/format/row-key.js"
import type { Command } from "@hayloft/engine/metadata/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { AccessBackend } from "../backend.js"
import { randomText, KEY_LETTERS } from "../accounts/random-ids.js"
import type {
  Identities,
  IdentityRef,
  NewIdentity,
  NewPolicy,
  PolicyHolder,
  ManagedPolicyUse,
  ProviderChange,
  SimulatedCaller,
  UsedPolicy,
} from "../contract.js"
import type { Directory } from "../accounts/directory.js"
import { POLICY_LIMITS } from "../policy/limits.js"
import type { ParsePolicy } from "../policy/contract.js"
import { sessionPrincipal, userPrincipal } from "../principals/principals-of-records.js"
import { attachedPolicies } from "./attached-policies.js"
import * as identities from "./identity-commands-core.js"
import { membershipRange, boundaryMembership, groupMembership, policyMembership } from "./identity-links-core.js"
import {
  readIdentities,
  readIdentity,
  readLinked,
  readLinkedEntries,
  readPolicies,
  readPolicy,
  readPolicyNamed,
  readPolicyUse,
  readProvider,
  readProviders,
  readWithPolicies,
} from "./identity-queries-core.js"
import * as policies from "./managed-policy-commands-core.js"
import { checkName, checkPath } from "./names.js"
import type { PolicyPrincipals } from "./policy-principals.js"
import { checkInlineSize, checkPolicyText } from "./policy-texts.js"
import * as providers from "./provider-commands-core.js"
import { checkProvider } from "./provider-terms.js"
import { checkNotReserved, checkTags } from "./tags.js"
import type { Tags } from "@hayloft/base/tags.js"
import { rowKeyAfter } from "@hayloft/base/ids.js"

const ID_BEGINNINGS = { user: "AIDA", group: "AGPA", role: "AROA", policy: "ANPA" } as const
const ID_LETTERS = 17
const DESCRIPTION_CHARACTERS_MAX = 1_000
const SESSION_SECONDS = { least: 3_600, most: 43_200 } as const

export class IdentityService implements Identities {
  private readonly random: Random

  private readonly directory: Directory
  private readonly parse: ParsePolicy
  private readonly principals: PolicyPrincipals

  constructor({ random, directory, parse, principals }: AccessBackend) {
    this.directory = directory
    this.parse = parse
    this.principals = principals
    this.random = random.fork("identities")
  }

  async create({ accountId, kind, name, path, tags, boundary, role }: NewIdentity): Promise<IdentityRecord> {
    checkName(kind, name)
    checkPath(path)
    checkTags(tags)
    checkNotReserved(tags.map(([key]) => key))
    const identity = {
      kind,
      name,
      path,
      id: this.randomId(kind),
      tags,
      boundary,
      inline: [],
      attached: [],
      groups: [],
      keys: [],
      role: role && { ...role, ...(await this.checkRole(role)) },
    }
    return this.shown(await this.directory.change(identities.createIdentity(accountId, identity)))
  }

  /** The displayed form of a record: a trust policy is stored with unique ids. */
  private async shown(record: IdentityRecord): Promise<IdentityRecord> {
    const { role } = record
    if (role === undefined) return record
    return { ...record, role: { ...role, trust: await this.principals.shown(role.trust) } }
  }

  private randomId(kind: IdentityKind | "policy"): string {
    return ID_BEGINNINGS[kind] + randomText(this.random, KEY_LETTERS, ID_LETTERS)
  }

  /** The stored form of the terms: the trust policy with unique ids. One set earlier may name a deleted identity. */
  private async checkRole(terms: Partial<RoleTerms>): Promise<Partial<RoleTerms>> {
    const { description, trust, sessionSecondsMax } = terms
    if (description !== undefined) checkDescription(description)
    if (trust !== undefined) checkPolicyText(this.parse, trust, "trust", POLICY_LIMITS.trustCharactersMax)
    const { least, most } = SESSION_SECONDS
    if (sessionSecondsMax !== undefined && (sessionSecondsMax < least || sessionSecondsMax > most)) {
      throw fail("invalidArgument", { message: `MaxSessionDuration must be between ${least} and ${most}` })
    }
    if (trust === undefined) return terms
    return { ...terms, trust: await this.principals.pin(this.parse(trust, "trust"), trust) }
  }

  async get(ref: IdentityRef): Promise<IdentityRecord> {
    return this.shown(await this.directory.ask(readIdentity(ref)))
  }

  async asCaller(ref: IdentityRef, sessionName: string): Promise<SimulatedCaller> {
    const { account, identity, attached } = await this.directory.ask(readWithPolicies(ref))
    const policies = attachedPolicies(this.parse, attached)
    if (ref.kind === "user") return { principal: userPrincipal(account, identity), policies, isWholeRoot: false }
    const session = { sessionName, tags: [], claims: [] }
    return { principal: sessionPrincipal(account, identity, session), policies, isWholeRoot: false }
  }

  async *list(accountId: AccountId, kind: IdentityKind, after: string): AsyncGenerator<IdentityRecord> {
    const start = rowKeyAfter(accountRowKey(accountId, kind, after))
    for await (const page of this.directory.pages(start, from => readIdentities(accountId, kind, from))) {
      for (const record of page) yield await this.shown(record)
    }
  }

  async *members({ accountId, name }: IdentityRef, after: string): AsyncGenerator<IdentityRecord> {
    const membership = groupMembership(name)
    yield* this.linked(accountId, membership, rowKeyAfter(accountRowKey(accountId, membership, `user ${after}`)))
  }

  private async *linked(accountId: AccountId, membership: string, start: RowKey): AsyncGenerator<IdentityRecord> {
    for await (const page of this.directory.pages(start, from => readLinked(accountId, membership, from))) yield* page
  }

  async update(
    ref: IdentityRef,
    { name, path }: { name: string | undefined; path: string | undefined },
  ): Promise<void> {
    if (path !== undefined) checkPath(path)
    if (name === undefined || name === ref.name) return this.change(identities.setPath(ref, path))
    checkName(ref.kind, name)
    if (ref.kind !== "user") throw fail("notImplemented", { message: `A ${ref.kind} cannot get another name.` })
    await this.change(identities.renameUser(ref, name, path))
  }

  async updateRole(ref: IdentityRef, change: Partial<RoleTerms>): Promise<void> {
    await this.change(identities.updateRole(ref, await this.checkRole(change)))
  }

  async remove(ref: IdentityRef): Promise<void> {
    await this.change(identities.deleteIdentity(ref))
  }

  async setTags(ref: IdentityRef, tags: Tags, removed: readonly string[], by: "caller" | "store" = "caller") {
    if (by === "caller") checkNotReserved([...tags.map(([key]) => key), ...removed])
    await this.change(identities.setTags(ref, tags, removed))
  }

  async putInline(ref: IdentityRef, policyName: string, text: string): Promise<void> {
    checkName("policy", policyName)
    checkInlineSize(ref.kind, [{ name: policyName, text }])
    checkPolicyText(this.parse, text, "identity", Infinity)
    await this.change(identities.putInline(ref, policyName, text))
  }

  async removeInline(ref: IdentityRef, policyName: string): Promise<void> {
    await this.change(identities.removeInline(ref, policyName))
  }

  async attach(ref: IdentityRef, arn: string): Promise<void> {
    await this.change(identities.attachPolicy(ref, arn))
  }

  async detach(ref: IdentityRef, arn: string): Promise<void> {
    await this.change(identities.detachPolicy(ref, arn))
  }

  async setBoundary(ref: IdentityRef, arn: string | undefined): Promise<void> {
    await this.change(identities.setBoundary(ref, arn))
  }

  async joinGroup(user: IdentityRef, groupName: string): Promise<void> {
    await this.change(identities.joinGroup(user, groupName))
  }

  async leaveGroup(user: IdentityRef, groupName: string): Promise<void> {
    await this.change(identities.leaveGroup(user, groupName))
  }

  private async change(command: Command<unknown>): Promise<void> {
    await this.directory.change(command)
  }

  async createPolicy(accountId: AccountId, policy: NewPolicy): Promise<ManagedPolicyRecord> {
    const { name, path, description, tags, text } = policy
    checkName("policy", name)
    checkPath(path)
    checkDescription(description)
    checkPolicyText(this.parse, text)
    const record = { name, path, description, tags: checkTags(tags), id: this.randomId("policy") }
    return this.directory.change(policies.createPolicy(accountId, record, text))
  }

  async getPolicy(accountId: AccountId, arn: string): Promise<ManagedPolicyRecord> {
    return this.directory.ask(readPolicy(accountId, arn))
  }

  async findPolicyNamed(accountId: AccountId, name: string): Promise<ManagedPolicyRecord | undefined> {
    return this.directory.ask(readPolicyNamed(accountId, name))
  }

  async policyUse(accountId: AccountId, arn: string): Promise<ManagedPolicyUse> {
    return this.directory.ask(readPolicyUse(accountId, arn))
  }

  async *listPolicies(accountId: AccountId, after: string): AsyncGenerator<UsedPolicy> {
    const start = rowKeyAfter(accountRowKey(accountId, after))
    for await (const page of this.directory.pages(start, from => readPolicies(accountId, from))) yield* page
  }

  async addPolicyVersion(accountId: AccountId, arn: string, text: string, isDefault: boolean) {
    checkPolicyText(this.parse, text)
    return this.directory.change(policies.addVersion(accountId, arn, text, isDefault))
  }

  async removePolicyVersion(accountId: AccountId, arn: string, number: number): Promise<void> {
    await this.change(policies.removeVersion(accountId, arn, number))
  }

  async setDefaultPolicyVersion(accountId: AccountId, arn: string, number: number): Promise<void> {
    await this.change(policies.setDefaultVersion(accountId, arn, number))
  }

  async setPolicyTags(accountId: AccountId, arn: string, tags: Tags, removed: readonly string[]): Promise<void> {
    await this.change(policies.setPolicyTags(accountId, arn, tags, removed))
  }

  async removePolicy(accountId: AccountId, arn: string): Promise<void> {
    await this.change(policies.deletePolicy(accountId, arn))
  }

  async *policyHolders(accountId: AccountId, arn: string): AsyncGenerator<PolicyHolder> {
    for (const [membership, isBoundary] of [
      [policyMembership(arn), false] as const,
      [boundaryMembership(arn), true] as const,
    ]) {
      const { start } = membershipRange(accountId, membership)
      for await (const identity of this.linked(accountId, membership, start)) yield { identity, isBoundary }
    }
    const membership = policyMembership(arn)
    const { start } = membershipRange(accountId, membership)
    for await (const page of this.directory.pages(start, from => readLinkedEntries(accountId, membership, from)))
      for (const dn of page) yield { identity: { kind: "entry", path: "/", name: dn, id: "" }, isBoundary: false }
  }

  async createProvider(accountId: AccountId, provider: Omit<IdentityProviderRecord, "createdMs">) {
    return this.directory.change(providers.createProvider(accountId, checkProvider(provider)))
  }

  async getProvider(accountId: AccountId, url: string): Promise<IdentityProviderRecord> {
    return this.directory.ask(readProvider(accountId, url))
  }

  async listProviders(accountId: AccountId): Promise<readonly IdentityProviderRecord[]> {
    return this.directory.ask(readProviders(accountId))
  }

  async updateProvider(accountId: AccountId, url: string, change: ProviderChange): Promise<void> {
    await this.change(providers.updateProvider(accountId, url, change))
  }

  async removeProvider(accountId: AccountId, url: string): Promise<void> {
    await this.change(providers.deleteProvider(accountId, url))
  }
}

function checkDescription(text: string): void {
  if (text.length > DESCRIPTION_CHARACTERS_MAX) {
    throw fail("invalidArgument", {
      message: `The description has more than ${DESCRIPTION_CHARACTERS_MAX} characters.`,
    })
  }
}
