/** Policies that belong to one user, group or role. */
import { fail } from "../../base/failures.js"
import { guarded, joined, KINDS, type Actions, type Call, type KindWords, type Result } from "../action.js"
import { byName, pageOf, PAGING } from "../paging.js"
import { codedPolicy } from "../shapes.js"
import { identityOf, onIdentity, refOf } from "../targets.js"

const actionsOf = (words: KindWords): Actions => ({
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

function getPolicy(words: KindWords): (call: Call) => Promise<Result> {
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

function listPolicies(words: KindWords): (call: Call) => Promise<Result> {
  return async call => {
    const { inline } = await identityOf(call, words)
    const names = byName(
      inline.map(({ name }) => name),
      name => name,
    )
    const page = await pageOf(call.parameters, names, name => name)
    return xml => {
      xml.texts("PolicyNames", page.items)
      xml.text("IsTruncated", page.marker !== undefined).text("Marker", page.marker)
    }
  }
}
