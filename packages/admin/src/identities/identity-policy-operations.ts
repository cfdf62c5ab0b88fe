/**
 * The operations of `/v1/accounts/{account}` on the policies of one user, group or role: its own by name, managed ones that
 * are attached to it, and its permissions boundary.
 */
import type { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import type { IdentityKind } from "@hayloft/engine/format/accounts/identity-records.js"
import {
  type Answering,
  type CommandOf,
  CommandProblem,
  type Given,
  type OperationInput,
  parseBody,
  type Values,
} from "@hayloft/features/operator/index.js"
import * as schema from "./identity-schemas.js"
import {
  ACCOUNT,
  accountIn,
  arnOfPolicy,
  documentOf,
  KIND_WORDS,
  onIdentity,
  refIn,
  type IdentityKindWords,
} from "./identity-targets.js"
import { action, type AdminOperation, operation, type AdminServices } from "../operation.js"

const KINDS = ["user", "group", "role"] as const
const NAME_ONE = "name one of --user, --group, --role"

interface Holder {
  readonly kind: IdentityKind
  readonly name: string
}

/** The options of a command that name one user, group or role. */
export const holderInputs = (what: string) => ({
  user: { flags: "--user <NAME>", help: `${what} user` },
  group: { flags: "--group <NAME>", help: `${what} group` },
  role: { flags: "--role <NAME>", help: `${what} role` },
})

/** The one that is named, if any. Throws a `CommandProblem`. */
export function holderIn(given: Given): Holder | undefined {
  const named = KINDS.map(kind => ({ kind, name: given(kind) })).filter(({ name }) => name !== "")
  if (named.length > 1) throw new CommandProblem("usage", NAME_ONE)
  return named[0]
}

/** Throws a `CommandProblem` if several are named. */
export function checkHolder(given: Given): Values {
  holderIn(given)
  return {}
}

function requiredHolderIn(given: Given): Holder {
  const holder = holderIn(given)
  if (holder === undefined) throw new CommandProblem("usage", NAME_ONE)
  return holder
}

/** The operations on the policies of one kind. */
interface PoliciesOfKind {
  readonly attach: AdminOperation & Answering<undefined>
  readonly detach: AdminOperation & Answering<undefined>
  readonly get: AdminOperation & Answering<z.output<typeof schema.INLINE_POLICY>>
  readonly put: AdminOperation & Answering<undefined>
  readonly remove: AdminOperation & Answering<undefined>
}

/** One command for all kinds. */
const attachCommand = (verb: "attach" | "detach"): CommandOf<undefined> => ({
  name: `policy ${verb}`,
  help: `${verb} a managed policy ${verb === "attach" ? "to" : "from"} a user, group or role`,
  inputs: {
    account: ACCOUNT,
    policy: { flags: "<POLICY>", help: "readonly, readwrite, writeonly, a policy of the account, an ARN" },
    ...holderInputs(verb === "attach" ? "to this" : "from this"),
  },
  sends(given) {
    const { kind, name } = requiredHolderIn(given)
    return { [kind]: name }
  },
  async run({ given, call }) {
    await call(POLICIES_OF[requiredHolderIn(given).kind][verb])
    const policy = given("policy")
    return { json: { policy, [`${verb}ed`]: true }, text: `${verb}ed policy ${policy}\n` }
  },
})

/** The policies of one kind: its own by name, and managed ones. */
function policiesOf({ kind, Kind }: IdentityKindWords): PoliciesOfKind {
  const one = `/v1/accounts/{account}/${kind}s/{${kind}}`
  const own = `${one}/policies/{policy}`
  const on =
    (action: string) =>
    async (services: AdminServices, { segment }: OperationInput) =>
      onIdentity(services, await accountIn(services, segment), { kind, name: segment(kind) }, [action])
  const attaching = (verb: "attach" | "detach", summary: string) =>
    action(`${verb}${Kind}Policy`, `POST ${one}/${verb}`, {
      summary,
      request: schema.ATTACHED_POLICY,
      async permission(services, { segment, body }) {
        const account = await accountIn(services, segment)
        const arn = await arnOfPolicy(services, account, parseBody(schema.ATTACHED_POLICY, body).policy)
        const action = `iam:${verb === "attach" ? "Attach" : "Detach"}${Kind}Policy`
        return onIdentity(services, account, { kind, name: segment(kind) }, [action], [["iam:policyarn", arn]])
      },
      async run(services, { segment, body }) {
        const account = await accountIn(services, segment)
        const arn = await arnOfPolicy(services, account, parseBody(schema.ATTACHED_POLICY, body).policy)
        await services.identities[verb]({ accountId: account.id, kind, name: segment(kind) }, arn)
      },
      // The operation on users has the command, which is the same for all kinds.
      commands: kind === "user" ? [attachCommand(verb)] : [],
    })
  return {
    attach: attaching("attach", `Attaches a managed policy to a ${kind}.`),
    detach: attaching("detach", `Detaches a managed policy from a ${kind}.`),
    get: operation(`get${Kind}Policy`, `GET ${own}`, {
      summary: `Returns a policy of a ${kind} itself.`,
      answer: schema.INLINE_POLICY,
      permission: on(`iam:Get${Kind}Policy`),
      async run(services, { segment }) {
        const { inline } = await services.identities.get(await refIn(services, segment, kind))
        const found = inline.find(policy => policy.name === segment("policy"))
        if (found === undefined) {
          throw fail("noSuchEntity", { message: `The ${kind} policy with name ${segment("policy")} cannot be found.` })
        }
        return { name: found.name, document: documentOf(found.text) }
      },
    }),
    put: action(`put${Kind}Policy`, `PUT ${own}`, {
      request: schema.POLICY_DOCUMENT,
      summary: `Gives a ${kind} a policy of its own, in place of one of the same name.`,
      permission: on(`iam:Put${Kind}Policy`),
      async run(services, { segment, body }) {
        const text = JSON.stringify(parseBody(schema.POLICY_DOCUMENT, body))
        await services.identities.putInline(await refIn(services, segment, kind), segment("policy"), text)
      },
    }),
    remove: action(`delete${Kind}Policy`, `DELETE ${own}`, {
      summary: `Deletes a policy of a ${kind} itself.`,
      permission: on(`iam:Delete${Kind}Policy`),
      run: async (services, { segment }) =>
        services.identities.removeInline(await refIn(services, segment, kind), segment("policy")),
    }),
  }
}

export const POLICIES_OF: Readonly<Record<IdentityKind, PoliciesOfKind>> = {
  user: policiesOf(KIND_WORDS.user),
  group: policiesOf(KIND_WORDS.group),
  role: policiesOf(KIND_WORDS.role),
}

/** All of them. */
export function policyOperations(kind: IdentityKind): readonly AdminOperation[] {
  const { attach, detach, get, put, remove } = POLICIES_OF[kind]
  return [attach, detach, get, put, remove]
}

/** The permissions boundary of a kind. */
export function boundaryOf({ kind, Kind }: IdentityKindWords): readonly AdminOperation[] {
  const path = `/v1/accounts/{account}/${kind}s/{${kind}}/boundary`
  return [
    action(`set${Kind}Boundary`, `PUT ${path}`, {
      request: schema.ATTACHED_POLICY,
      summary: `Limits a ${kind} to what a managed policy allows: its permissions boundary.`,
      async permission(services, { segment, body }) {
        const account = await accountIn(services, segment)
        const arn = await arnOfPolicy(services, account, parseBody(schema.ATTACHED_POLICY, body).policy)
        const actions = [`iam:Put${Kind}PermissionsBoundary`]
        return onIdentity(services, account, { kind, name: segment(kind) }, actions, [["iam:permissionsboundary", arn]])
      },
      async run(services, { segment, body }) {
        const account = await accountIn(services, segment)
        const arn = await arnOfPolicy(services, account, parseBody(schema.ATTACHED_POLICY, body).policy)
        await services.identities.setBoundary({ accountId: account.id, kind, name: segment(kind) }, arn)
      },
    }),
    action(`remove${Kind}Boundary`, `DELETE ${path}`, {
      summary: `Removes the permissions boundary of a ${kind}.`,
      permission: async (services, { segment }) =>
        onIdentity(services, await accountIn(services, segment), { kind, name: segment(kind) }, [
          `iam:Delete${Kind}PermissionsBoundary`,
        ]),
      run: async (services, { segment }) =>
        services.identities.setBoundary(await refIn(services, segment, kind), undefined),
    }),
  ]
}
