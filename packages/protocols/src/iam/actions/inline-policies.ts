/** Policies that belong to one user, group or role. */
import { fail } from "@hayloft/base/failures.js"
import { guarded, joined, KINDS, type Actions, type IamCall, type IamKindWords, type IamResult } from "../action.js"
import { byName, iamPageOf, PAGING } from "../paging.js"
import { codedPolicy } from "../shapes.js"
import { identityOf, onIdentity, refOf } from "../targets.js"

const actionsOf = (words: IamKindWords): Actions => ({
  [`Put${words.Kind}Policy`]: guarded(onIdentity(words), `${words.name} PolicyName PolicyDocument`, async call =>
    call.identities.putInline(
      refOf(call, words),
      call.parameters.text("PolicyName"),
      call.parameters.text("PolicyDocument"),
    ),
  ),
  [`Get${words.Kind}Policy`]: guarded(onIdentity(words), `${words.name} PolicyName`, getPolicy(words)),
  [`Delete${words.Kind}Policy`]: guarded(onIdentity(words), `${words.name} PolicyName`, async call =>
    call.identities.removeInline(refOf(call, words), call.parameters.text("PolicyName")),
  ),
  [`List${words.Kind}Policies`]: guarded(onIdentity(words), `${words.name} ${PAGING.join(" ")}`, listPolicies(words)),
})

export const INLINE_POLICIES: Actions = joined(KINDS.map(actionsOf))

function getPolicy(words: IamKindWords): (call: IamCall) => Promise<IamResult> {
  return async call => {
    const identity = await identityOf(call, words)
    const name = call.parameters.text("PolicyName")
    const found = identity.inline.find(policy => policy.name === name)
    if (found === undefined) {
      throw fail("noSuchEntity", { message: `The ${words.kind} policy with name ${name} cannot be found.` })
    }
    return xml => {
      xml.text(words.name, identity.name).text("PolicyName", found.name)
      xml.text("PolicyDocument", codedPolicy(found.text))
    }
  }
}

function listPolicies(words: IamKindWords): (call: IamCall) => Promise<IamResult> {
  return async call => {
    const { inline } = await identityOf(call, words)
    const names = byName(
      inline.map(({ name }) => name),
      name => name,
    )
    const page = await iamPageOf(call.parameters, names, name => name)
    return xml => {
      xml.texts("PolicyNames", page.items)
      xml.text("IsTruncated", page.marker !== undefined).text("Marker", page.marker)
    }
  }
}
