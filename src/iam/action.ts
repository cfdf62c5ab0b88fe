/**
 * Actions: what the tables say of each, and what one is given.
 *
 *   on          what it acts on; the caller's policies are asked about all of that, and nothing is done before
 *   parameters  those that it has; a request with another is refused
 */
import type { Accounts, Identities, KnownKey, Sessions } from "../access/contract.js"
import type { RequestContext } from "../access/index.js"
import type { AccountId, AccountNumber } from "../base/ids.js"
import type { XmlWriter } from "../base/xml-writer.js"
import type { IdentityKind, Tags } from "../format/identity-records.js"
import type { Parameters } from "./parameters.js"
import type { WebIdentities } from "./web-identities.js"

export type IamService = "iam" | "sts"

/** What an action acts on. */
export interface Target {
  readonly arn: string
  /** What is done to it, where that is not the request's own action: `iam:TagUser`. */
  readonly action?: string
  readonly tags?: Tags
  /** Of a user or role: what limits it. */
  readonly boundary?: string | undefined
}

/** What somebody may ask who is nobody yet. */
export interface OpenCall {
  readonly parameters: Parameters
  readonly accounts: Accounts
  readonly identities: Identities
  readonly sessions: Sessions
  readonly webIdentities: WebIdentities
  /** What policies may ask of the request. */
  readonly context: RequestContext
  readonly nowMs: number
}

export interface Call extends OpenCall {
  readonly caller: KnownKey
  /** The caller's account: what IAM acts in. */
  readonly accountId: AccountId
  readonly number: AccountNumber
}

/** Writes what is within `<…Result>`; undefined: the answer has none. */
export type Result = ((xml: XmlWriter) => void) | undefined

type Acts<Given> = (call: Given) => Promise<Result | void>

type Targets = (call: Call) => Promise<Target | readonly Target[]>

interface Described {
  readonly parameters: readonly string[]
}

export type Action =
  /** A policy has to allow it. */
  | (Described & { readonly kind: "guarded"; readonly on: Targets; readonly act: Acts<Call> })
  /** Whoever signs may ask; the action itself decides what they get. */
  | (Described & { readonly kind: "signed"; readonly act: Acts<Call> })
  /** Nobody has to sign. */
  | (Described & { readonly kind: "open"; readonly act: Acts<OpenCall> })
  /** Known, and not supported. */
  | { readonly kind: "refused" }

/** By name. */
export type Actions = Readonly<Record<string, Action>>

/** For tables: names of parameters in one text. */
export const guarded = (on: Targets, parameters: string, act: Acts<Call>): Action => ({
  kind: "guarded",
  on,
  parameters: namesIn(parameters),
  act,
})
export const signed = (parameters: string, act: Acts<Call>): Action => ({
  kind: "signed",
  parameters: namesIn(parameters),
  act,
})
export const open = (parameters: string, act: Acts<OpenCall>): Action => ({
  kind: "open",
  parameters: namesIn(parameters),
  act,
})
export const REFUSED: Action = { kind: "refused" }

/** Tables of a few actions each, as one. */
export const joined = (tables: readonly Actions[]): Actions =>
  Object.fromEntries(tables.flatMap(table => Object.entries(table)))

const namesIn = (text: string): readonly string[] => text.split(" ").filter(name => name !== "")

/** What most actions come in three of. */
export const KINDS = [
  { kind: "user", Kind: "User", name: "UserName" },
  { kind: "group", Kind: "Group", name: "GroupName" },
  { kind: "role", Kind: "Role", name: "RoleName" },
] as const satisfies readonly { kind: IdentityKind; Kind: string; name: string }[]

export type KindWords = (typeof KINDS)[number]
