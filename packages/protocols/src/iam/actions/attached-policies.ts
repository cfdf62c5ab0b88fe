/** Managed policies of users, groups and roles: attached ones and permissions boundaries. */
import { parseIdentityArn } from "@hayloft/access/index.js"
import { guarded, joined, KINDS, type Actions, type IamCall, type IamKindWords, type IamResult } from "../action.js"
import { byName, iamPageOf, PAGING, writePage } from "../paging.js"
import { identityOf, onIdentity, policyArnOf, refOf } from "../targets.js"

const attachment = (words: IamKindWords): Actions => ({
  [`Attach${words.Kind}Policy`]: guarded(onIdentity(words), `${words.name} PolicyArn`, async call =>
    call.identities.attach(refOf(call, words), policyArnOf(call, call.parameters.text("PolicyArn"))),
  ),
  [`Detach${words.Kind}Policy`]: guarded(onIdentity(words), `${words.name} PolicyArn`, async call =>
    call.identities.detach(refOf(call, words), policyArnOf(call, call.parameters.text("PolicyArn"))),
  ),
  [`ListAttached${words.Kind}Policies`]: guarded(
    onIdentity(words),
    `${words.name} PathPrefix ${PAGING.join(" ")}`,
    listAttached(words),
  ),
})

const boundary = (words: IamKindWords): Actions => ({
  [`Put${words.Kind}PermissionsBoundary`]: guarded(onIdentity(words), `${words.name} PermissionsBoundary`, async call =>
    call.identities.setBoundary(refOf(call, words), policyArnOf(call, call.parameters.text("PermissionsBoundary"))),
  ),
  [`Delete${words.Kind}PermissionsBoundary`]: guarded(onIdentity(words), words.name, async call =>
    call.identities.setBoundary(refOf(call, words), undefined),
  ),
})

export const ATTACHED_POLICIES: Actions = joined([
  ...KINDS.map(attachment),
  ...KINDS.filter(({ kind }) => kind !== "group").map(boundary),
])

function listAttached(words: IamKindWords): (call: IamCall) => Promise<IamResult> {
  return async call => {
    const { attached } = await identityOf(call, words)
    const prefix = call.parameters.optional("PathPrefix") ?? "/"
    const policies = attached.flatMap(arn => {
      const parsed = parseIdentityArn("policy", arn)
      return parsed?.path.startsWith(prefix) === true ? [{ arn, name: parsed.name }] : []
    })
    const page = await iamPageOf(
      call.parameters,
      byName(policies, ({ arn }) => arn),
      ({ arn }) => arn,
    )
    return xml =>
      writePage(xml, "AttachedPolicies", page, (member, { arn, name }) => {
        member.text("PolicyName", name).text("PolicyArn", arn)
      })
  }
}
