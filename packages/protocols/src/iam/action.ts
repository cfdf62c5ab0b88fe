/**
 * Actions: their rows in the tables, and their inputs.
 *
 *   on          the targets of the action; the caller's policies must allow all of them before it does anything
 *   parameters  the parameters that it accepts; a request with any other is refused
 */
import type { Accounts, Identities, KnownAccessKey, Sessions } from "@hayloft/access/contract.js"
import type { RequestContext } from "@hayloft/access/index.js"
import type { AccountId, AccountNumber } from "@hayloft/base/ids.js"
import type { XmlWriter } from "@hayloft/base/text/xml-writer.js"
import type { IdentityKind } from "@hayloft/engine/format/accounts/identity-records.js"
import type { Parameters } from "./parameters.js"
import type { LdapSignIn } from "./ldap-sign-in.js"
import type { WebIdentities } from "./web-identities.js"
import type { Tags } from "@hayloft/base/tags.js"

export type IamService = "iam" | "sts"

/** A resource that an action acts on. */
export interface IamTarget {
  readonly arn: string
  /** The action on this target, if it differs from the request's own: `iam:TagUser`. */
  readonly action?: string
  readonly tags?: Tags
  /** The permissions boundary of a user or role. */
  readonly boundary?: string | undefined
}

/** The input of an action that needs no signature. */
export interface OpenCall {
  readonly parameters: Parameters
  readonly accounts: Accounts
  readonly identities: Identities
  readonly sessions: Sessions
  readonly webIdentities: WebIdentities
  /** It is undefined if no directory is configured. */
  readonly ldap: LdapSignIn | undefined
  /** AssumeRole acts as the caller if its RoleArn names no account of this store. */
  readonly ignoresUnknownRoles: boolean
  /** The address from which the request comes. */
  readonly remoteAddress: string
  readonly requestId: string
  /** Condition keys of the request, for policies. */
  readonly context: RequestContext
  readonly nowMs: number
}

export interface IamCall extends OpenCall {
  readonly caller: KnownAccessKey
  /** The caller's account, which IAM acts in. */
  readonly accountId: AccountId
  readonly number: AccountNumber
}

/** Writes the content of `<…Result>`; undefined if the response has none. */
export type IamResult = ((xml: XmlWriter) => void) | undefined

type Act<Input> = (call: Input) => Promise<IamResult | void>

type Targets = (call: IamCall) => Promise<IamTarget | readonly IamTarget[]>

interface WithParameters {
  readonly parameters: readonly string[]
}

export type Action =
  /** A policy must allow it. */
  | (WithParameters & { readonly kind: "guarded"; readonly on: Targets; readonly act: Act<IamCall> })
  /** Every signed caller may call it; the action itself decides what to return. */
  | (WithParameters & { readonly kind: "signed"; readonly act: Act<IamCall> })
  /** Needs no signature. */
  | (WithParameters & { readonly kind: "open"; readonly act: Act<OpenCall> })
  /** Known but not supported. */
  | { readonly kind: "refused" }

/** By name. */
export type Actions = Readonly<Record<string, Action>>

/** For tables: the names of parameters in one text, separated by blanks. */
export const guarded = (on: Targets, parameters: string, act: Act<IamCall>): Action => ({
  kind: "guarded",
  on,
  parameters: namesIn(parameters),
  act,
})
export const signed = (parameters: string, act: Act<IamCall>): Action => ({
  kind: "signed",
  parameters: namesIn(parameters),
  act,
})
export const open = (parameters: string, act: Act<OpenCall>): Action => ({
  kind: "open",
  parameters: namesIn(parameters),
  act,
})
export const REFUSED: Action = { kind: "refused" }

/** Merges the tables of actions. */
export const joined = (tables: readonly Actions[]): Actions =>
  Object.fromEntries(tables.flatMap(table => Object.entries(table)))

const namesIn = (text: string): readonly string[] => text.split(" ").filter(name => name !== "")

/** The three kinds of identity that most actions exist for. */
export const KINDS = [
  { kind: "user", Kind: "User", name: "UserName" },
  { kind: "group", Kind: "Group", name: "GroupName" },
  { kind: "role", Kind: "Role", name: "RoleName" },
] as const satisfies readonly { kind: IdentityKind; Kind: string; name: string }[]

export type IamKindWords = (typeof KINDS)[number]
