/** Managed policies and their versions. */
import { BUILT_IN_POLICIES, type PolicyHolder, type UsedPolicy } from "@hayloft/access/index.js"
import { isoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import type { XmlWriter } from "@hayloft/base/text/xml-writer.js"
import type { ManagedPolicyRecord, PolicyVersion } from "@hayloft/engine/format/accounts/identity-records.js"
import { guarded, KINDS, type Actions, type IamCall, type IamResult } from "../action.js"
import { byName, nameBefore, iamPageOf, PAGING, writeList, writePage } from "../paging.js"
import { invalidIamParameter } from "../parameters.js"
import { arnOfPolicy, codedPolicy, isBuiltIn, writePolicy } from "../shapes.js"
import { onAll, onNewPolicy, onPolicy, policyArnOf } from "../targets.js"

const paging = PAGING.join(" ")
const USES = ["PermissionsPolicy", "PermissionsBoundary"] as const

export const MANAGED_POLICIES: Actions = {
  CreatePolicy: guarded(onNewPolicy, "PolicyName Path PolicyDocument Description Tags", createPolicy),
  GetPolicy: guarded(onPolicy, "PolicyArn", getPolicy),
  ListPolicies: guarded(onAll("policy"), `Scope OnlyAttached PathPrefix PolicyUsageFilter ${paging}`, listPolicies),
  DeletePolicy: guarded(onPolicy, "PolicyArn", async call => call.identities.removePolicy(call.accountId, arnIn(call))),
  CreatePolicyVersion: guarded(onPolicy, "PolicyArn PolicyDocument SetAsDefault", createPolicyVersion),
  GetPolicyVersion: guarded(onPolicy, "PolicyArn VersionId", getPolicyVersion),
  ListPolicyVersions: guarded(onPolicy, `PolicyArn ${paging}`, listPolicyVersions),
  DeletePolicyVersion: guarded(onPolicy, "PolicyArn VersionId", async call =>
    call.identities.removePolicyVersion(call.accountId, arnIn(call), versionIn(call)),
  ),
  SetDefaultPolicyVersion: guarded(onPolicy, "PolicyArn VersionId", async call =>
    call.identities.setDefaultPolicyVersion(call.accountId, arnIn(call), versionIn(call)),
  ),
  ListEntitiesForPolicy: guarded(
    onPolicy,
    `PolicyArn EntityFilter PathPrefix PolicyUsageFilter ${paging}`,
    listEntitiesForPolicy,
  ),
}

const arnIn = (call: IamCall): string => policyArnOf(call, call.parameters.text("PolicyArn"))

function versionIn({ parameters }: IamCall): number {
  const [, digits] = /^v([1-9]\d{0,8})$/.exec(parameters.text("VersionId")) ?? []
  if (digits === undefined) throw invalidIamParameter("VersionId must look like v1.")
  return Number(digits)
}

async function createPolicy(call: IamCall): Promise<IamResult> {
  const { parameters, identities, accountId, number } = call
  const record = await identities.createPolicy(accountId, {
    name: parameters.text("PolicyName"),
    path: parameters.optional("Path") ?? "/",
    description: parameters.optional("Description") ?? "",
    tags: parameters.tags(),
    text: parameters.text("PolicyDocument"),
  })
  const unused = { attachments: 0, boundaries: 0 }
  return xml => void xml.group("Policy", shown => writePolicy(shown, record, arnOfPolicy(record, number), unused))
}

async function getPolicy(call: IamCall): Promise<IamResult> {
  const arn = arnIn(call)
  const record = await call.identities.getPolicy(call.accountId, arn)
  const use = await call.identities.policyUse(call.accountId, arn)
  return xml => void xml.group("Policy", shown => writePolicy(shown, record, arn, use))
}

async function listPolicies(call: IamCall): Promise<IamResult> {
  const { parameters, number } = call
  const scope = parameters.word("Scope", ["All", "AWS", "Local"]) ?? "All"
  const listed = scope === "Local" ? ownPolicies(call) : withBuiltIn(call, scope === "All")
  const page = await iamPageOf(parameters, matchingPolicies(call, listed), ({ record }) => sortKeyOf(record))
  return xml =>
    writePage(xml, "Policies", page, (member, { record, use }) =>
      writePolicy(member, { ...record, tags: [] }, arnOfPolicy(record, number), use),
    )
}

const ownPolicies = ({ identities, accountId, parameters }: IamCall): AsyncIterable<UsedPolicy> =>
  identities.listPolicies(accountId, nameBefore(parameters))

/** The built-in policies, and the account's own if the request includes them. */
async function* withBuiltIn(call: IamCall, withOwn: boolean): AsyncGenerator<UsedPolicy> {
  const { identities, accountId } = call
  const policies: UsedPolicy[] = []
  for (const [arn, record] of BUILT_IN_POLICIES) {
    policies.push({ record, use: await identities.policyUse(accountId, arn) })
  }
  if (withOwn) for await (const policy of ownPolicies(call)) policies.push(policy)
  yield* byName(policies, ({ record }) => sortKeyOf(record))
}

/** An account's own policy may have the name of a built-in one. No name contains a blank. */
const sortKeyOf = (record: ManagedPolicyRecord): string => `${record.name} ${isBuiltIn(record) ? 1 : 0}`

/** The policies with the requested path prefix and usage. */
async function* matchingPolicies(
  { parameters }: IamCall,
  policies: AsyncIterable<UsedPolicy>,
): AsyncGenerator<UsedPolicy> {
  const onlyAttached = parameters.flag("OnlyAttached")
  const usage = parameters.word("PolicyUsageFilter", USES)
  const prefix = parameters.optional("PathPrefix") ?? "/"
  for await (const policy of policies) {
    const { record, use } = policy
    if (!record.path.startsWith(prefix) || (onlyAttached && use.attachments === 0)) continue
    if (usage !== undefined && (usage === "PermissionsPolicy" ? use.attachments : use.boundaries) === 0) continue
    yield policy
  }
}

function writeVersion(xml: XmlWriter, { number, createdMs }: PolicyVersion, record: ManagedPolicyRecord): void {
  xml.text("VersionId", `v${number}`).text("IsDefaultVersion", number === record.defaultVersion)
  xml.text("CreateDate", isoDate(createdMs))
}

async function createPolicyVersion(call: IamCall): Promise<IamResult> {
  const { parameters, identities, accountId } = call
  const isDefault = parameters.flag("SetAsDefault")
  const text = parameters.text("PolicyDocument")
  const record = await identities.addPolicyVersion(accountId, arnIn(call), text, isDefault)
  const created = record.versions.find(({ number }) => number === record.lastVersion)
  return xml =>
    void xml.group("PolicyVersion", shown => {
      if (created !== undefined) writeVersion(shown, created, record)
    })
}

async function getPolicyVersion(call: IamCall): Promise<IamResult> {
  const record = await call.identities.getPolicy(call.accountId, arnIn(call))
  const wanted = versionIn(call)
  const found = record.versions.find(({ number }) => number === wanted)
  if (found === undefined) {
    throw fail("noSuchEntity", { message: `Policy ${record.name} version v${wanted} does not exist.` })
  }
  return xml =>
    void xml.group("PolicyVersion", shown => {
      shown.text("Document", codedPolicy(found.text))
      writeVersion(shown, found, record)
    })
}

async function listPolicyVersions(call: IamCall): Promise<IamResult> {
  const record = await call.identities.getPolicy(call.accountId, arnIn(call))
  const newestFirst = [...record.versions].reverse()
  return xml => {
    writeList(xml, "Versions", newestFirst, (member, version) => writeVersion(member, version, record))
    xml.text("IsTruncated", false)
  }
}

async function listEntitiesForPolicy(call: IamCall): Promise<IamResult> {
  const { parameters, identities, accountId } = call
  const arn = arnIn(call)
  await identities.getPolicy(accountId, arn)
  const filter = parameters.word("EntityFilter", ["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"])
  const usage = parameters.word("PolicyUsageFilter", USES)
  const prefix = parameters.optional("PathPrefix") ?? "/"
  // An identity that has the policy in both ways is listed once.
  const holders = new Map<string, PolicyHolder["identity"]>()
  for await (const { identity, isBoundary } of identities.policyHolders(accountId, arn)) {
    if (usage !== undefined && isBoundary !== (usage === "PermissionsBoundary")) continue
    if (!identity.path.startsWith(prefix) || (filter ?? identity.kind).toLowerCase() !== identity.kind) continue
    holders.set(nameOfIdentity(identity), identity)
  }
  const page = await iamPageOf(parameters, byName(holders.values(), nameOfIdentity), nameOfIdentity)
  return xml => {
    for (const { kind, Kind } of KINDS) {
      const ofKind = page.items.filter(holder => holder.kind === kind)
      writeList(xml, `Policy${Kind}s`, ofKind, (member, { name, id }) => {
        member.text(`${Kind}Name`, name).text(`${Kind}Id`, id)
      })
    }
    xml.text("IsTruncated", page.marker !== undefined).text("Marker", page.marker)
  }
}

const nameOfIdentity = ({ kind, name }: { readonly kind: string; readonly name: string }): string => `${kind} ${name}`
