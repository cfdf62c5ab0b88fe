/** Operations on what describes a key: aliases, policies and tags. */
import { fail } from "@hayloft/base/failures.js"
import { aliasArnOf, aliasFault, parseKeyPolicy, type NamedAlias, type NamedKey } from "@hayloft/access/keys/index.js"
import { KmsRefusal } from "./failures.js"
import { secondsOf } from "./times.js"
import { operation, type KmsCall, type Operations, type KmsResult } from "./operation.js"
import { kmsPageOf } from "./pages.js"

const POLICY_NAME = "default"

/**
 * The stored form of a policy. Refused if its caller could not change it again. `key`: whose policy it becomes;
 * undefined for one that does not exist yet.
 */
export async function checkedPolicy(call: KmsCall, text: string, key: NamedKey | undefined): Promise<string> {
  const { services, caller, holder, input } = call
  const stored = await services.accounts.pinPrincipals(parseKeyPolicy(text), text)
  if (input.flag("BypassPolicyLockoutSafetyCheck")) return stored
  const future: NamedKey =
    key === undefined ? services.keys.future(holder, stored) : { ...key, record: { ...key.record, policy: stored } }
  const decision = services.policies.decide(caller, future, { action: "kms:PutKeyPolicy" })
  if (decision.outcome === "allow") return stored
  throw fail("malformedPolicy", {
    message: "The new key policy will not allow you to update the key policy in the future.",
  })
}

function newAlias({ input }: KmsCall): string {
  const name = input.text("AliasName")
  const fault = aliasFault(name)
  if (fault === undefined) return name
  throw new KmsRefusal(
    fault.kind === "reserved" ? "NotAuthorizedException" : "InvalidAliasNameException",
    fault.message,
  )
}

/** The caller needs the permission on the alias, on the key, and on the key that the alias points to until now. */
async function putAlias(call: KmsCall, isNew: boolean): Promise<void> {
  const { services, holder } = call
  const name = newAlias(call)
  const { record } = await call.ownKey("TargetKeyId")
  call.checkIdentity(aliasArnOf(services.keys.region, holder.accountNumber, name))
  if (!isNew) call.check(await services.keys.find(name, holder), call.name)
  await services.keys.putAlias(holder.accountId, name, record.id, isNew)
}

async function deleteAlias(call: KmsCall): Promise<void> {
  const { services, holder } = call
  const name = newAlias(call)
  call.checkIdentity(aliasArnOf(services.keys.region, holder.accountNumber, name))
  call.check(await services.keys.find(name, holder), "DeleteAlias")
  await services.keys.deleteAlias(holder.accountId, name)
}

async function listAliases(call: KmsCall): Promise<KmsResult> {
  const { services, holder, input } = call
  call.checkIdentity()
  const ofKey = input.has("KeyId") ? (await services.keys.find(input.text("KeyId"), holder)).record.id : undefined
  const wanted = async function* (): AsyncGenerator<NamedAlias> {
    for await (const alias of services.keys.aliases(holder.accountId)) {
      if (ofKey === undefined || alias.keyId === ofKey) yield alias
    }
  }
  const { items, end } = await kmsPageOf(input, wanted(), ({ name }) => name, { usual: 50, most: 100 })
  const Aliases = items.map(({ name, keyId, createdMs, updatedMs }) => ({
    AliasName: name,
    AliasArn: aliasArnOf(services.keys.region, holder.accountNumber, name),
    TargetKeyId: keyId,
    CreationDate: secondsOf(createdMs),
    LastUpdatedDate: secondsOf(updatedMs),
  }))
  return { Aliases, ...end }
}

function checkPolicyName({ input }: KmsCall): void {
  const name = input.optional("PolicyName") ?? POLICY_NAME
  if (name !== POLICY_NAME) throw fail("noSuchKmsKey", { message: "No such policy exists" })
}

async function putPolicy(call: KmsCall): Promise<void> {
  checkPolicyName(call)
  const key = await call.ownKey()
  const policy = await checkedPolicy(call, call.input.text("Policy", Infinity), key)
  await call.services.keys.change(key.record.id, { kind: "setPolicy", policy })
}

export const POLICY_OPERATIONS: Operations = {
  CreateAlias: operation("AliasName TargetKeyId", call => putAlias(call, true)),
  UpdateAlias: operation("AliasName TargetKeyId", call => putAlias(call, false)),
  DeleteAlias: operation("AliasName", deleteAlias),
  ListAliases: operation("KeyId Limit Marker", listAliases),
  PutKeyPolicy: operation("KeyId PolicyName Policy BypassPolicyLockoutSafetyCheck", putPolicy),
  GetKeyPolicy: operation("KeyId PolicyName", async call => {
    checkPolicyName(call)
    const { record } = await call.ownKey()
    return { Policy: await call.services.accounts.showPrincipals(record.policy), PolicyName: POLICY_NAME }
  }),
  ListKeyPolicies: operation("KeyId Limit Marker", async call => {
    await call.ownKey()
    return { PolicyNames: [POLICY_NAME], Truncated: false }
  }),
  TagResource: operation("KeyId Tags", async call => {
    const tags = call.input.tags()
    const { record } = await call.ownKey()
    await call.services.keys.change(record.id, { kind: "tag", tags })
  }),
  UntagResource: operation("KeyId TagKeys", async call => {
    const names = call.input.texts("TagKeys")
    const { record } = await call.ownKey()
    await call.services.keys.change(record.id, { kind: "untag", names })
  }),
  ListResourceTags: operation("KeyId Limit Marker", async call => {
    const { record } = await call.ownKey()
    const tags = [...record.tags].sort(([a], [b]) => (a < b ? -1 : 1))
    const { items, end } = await kmsPageOf(call.input, tags, ([name]) => name, { usual: 50, most: 50 })
    return { Tags: items.map(([TagKey, TagValue]) => ({ TagKey, TagValue })), ...end }
  }),
}
