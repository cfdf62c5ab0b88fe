/** Tags of users, roles, policies and providers. */
import { guarded, KINDS, type Action, type Actions, type IamCall, type IamTarget } from "../action.js"
import { byName, iamPageOf, PAGING, writePage } from "../paging.js"
import { identityOf, onIdentity, onPolicy, onProvider, policyArnOf, providerOf, refOf } from "../targets.js"
import type { Tags } from "@hayloft/base/tags.js"

interface Tagged {
  readonly on: (call: IamCall) => Promise<IamTarget>
  /** The name of the parameter that identifies it. */
  readonly name: string
  readonly read: (call: IamCall) => Promise<Tags>
  readonly change: (call: IamCall, added: Tags, removed: readonly string[]) => Promise<void>
}

const [USER, , ROLE] = KINDS

const tagged = (words: typeof USER | typeof ROLE): Tagged => ({
  on: onIdentity(words),
  name: words.name,
  read: async call => (await identityOf(call, words)).tags,
  change: (call, added, removed) => call.identities.setTags(refOf(call, words), added, removed),
})

const policyIn = (call: IamCall): string => policyArnOf(call, call.parameters.text("PolicyArn"))

const POLICY: Tagged = {
  on: onPolicy,
  name: "PolicyArn",
  read: async call => (await call.identities.getPolicy(call.accountId, policyIn(call))).tags,
  change: (call, added, removed) => call.identities.setPolicyTags(call.accountId, policyIn(call), added, removed),
}

const PROVIDER: Tagged = {
  on: onProvider,
  name: "OpenIDConnectProviderArn",
  read: async call => (await call.identities.getProvider(call.accountId, providerOf(call))).tags,
  change: (call, tags, removeTags) =>
    call.identities.updateProvider(call.accountId, providerOf(call), { tags, removeTags }),
}

const tag = ({ on, name, change }: Tagged): Action =>
  guarded(on, `${name} Tags`, async call => change(call, call.parameters.tags(), []))

const untag = ({ on, name, change }: Tagged): Action =>
  guarded(on, `${name} TagKeys`, async call => change(call, [], call.parameters.list("TagKeys")))

const list = ({ on, name, read }: Tagged): Action =>
  guarded(on, `${name} ${PAGING.join(" ")}`, async call => {
    const tags = byName(await read(call), ([key]) => key)
    const page = await iamPageOf(call.parameters, tags, ([key]) => key)
    return xml =>
      writePage(xml, "Tags", page, (member, [key, value]) => {
        member.text("Key", key).text("Value", value)
      })
  })

export const TAGS: Actions = {
  TagUser: tag(tagged(USER)),
  UntagUser: untag(tagged(USER)),
  ListUserTags: list(tagged(USER)),
  TagRole: tag(tagged(ROLE)),
  UntagRole: untag(tagged(ROLE)),
  ListRoleTags: list(tagged(ROLE)),
  TagPolicy: tag(POLICY),
  UntagPolicy: untag(POLICY),
  ListPolicyTags: list(POLICY),
  TagOpenIDConnectProvider: tag(PROVIDER),
  UntagOpenIDConnectProvider: untag(PROVIDER),
  ListOpenIDConnectProviderTags: list(PROVIDER),
}
