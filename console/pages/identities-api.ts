/** Paths of the admin API and addresses of pages about the identities of an account. */
import { api } from "../api/client.js"
import { useLive, useLiveValue, type Live } from "../api/live.js"
import type { Account, Groups, Keys, ManagedPolicies, Users } from "../api/shapes.js"
import type { Pick } from "../parts/pick-list.js"
import { addressOf } from "../api/client.js"
import { pathTo } from "../shell/router.js"
import { session } from "../shell/session.js"

/** In the place of an account's id, the root account. */
export const ROOT_ACCOUNT = "~"

export type Kind = "user" | "group" | "role"

export const accountPath = (account: string, ...parts: readonly string[]): string =>
  ["/v1/accounts", ...[account, ...parts].map(encodeURIComponent)].join("/")

/** The page about one of them: `pageOf("~", "users", "ann")`. */
export const pageOf = (account: string, ...segments: readonly string[]): string =>
  pathTo(["identities", account, ...segments])

/** A tab of the list. */
export const listOf = (account: string, tab: string): string => pathTo(["identities"], { account, tab })

/** Returns the member of a request body that names the account; a body without it means the root account. */
export const named = (account: string): { readonly accountId?: string } =>
  account === ROOT_ACCOUNT ? {} : { accountId: account }

/** Returns the account where holders of a key begin: their own. */
export function ownAccount(): string {
  const { value } = session
  const who = value.kind === "signedIn" ? value.session.who : undefined
  return who?.kind === "principal" ? who.accountId : ROOT_ACCOUNT
}

/** Keys of an account, or of one of its users. */
export function useKeys(account: string, userName?: string): Live<Keys> {
  const fetchKeys = async (signal: AbortSignal): Promise<Keys> => {
    const accountId = account === ROOT_ACCOUNT ? (await api.get<Account>(accountPath(account), { signal })).id : account
    return api.get<Keys>(addressOf("/v1/keys", { accountId, userName }), { signal })
  }
  return useLiveValue(`${account} ${userName ?? ""}`, fetchKeys)
}

export interface Picks {
  readonly picks: readonly Pick[]
  /** More exist than are listed. */
  readonly isCut: boolean
}

const NONE: Picks = { picks: [], isCut: false }

const USUAL = ["readonly", "readwrite", "writeonly"]

const rankOf = ({ name, isBuiltIn }: ManagedPolicies["policies"][number]): number =>
  isBuiltIn ? (USUAL.includes(name) ? 1 : 2) : 0

/** Managed policies to choose from, those of the account first; the value is the ARN. */
export function usePolicyPicks(account: string): Picks {
  const { value } = useLive<ManagedPolicies>(accountPath(account, "policies"))
  if (value === undefined) return NONE
  const sorted = value.policies.toSorted((a, b) => rankOf(a) - rankOf(b))
  const picks = sorted.map(({ arn, name, description }) => ({ value: arn, title: name, note: description }))
  return { picks, isCut: value.next !== undefined }
}

const byName = (all: readonly { readonly name: string }[]): readonly Pick[] =>
  all.map(({ name }) => ({ value: name, title: name }))

export function useGroupPicks(account: string): Picks {
  const { value } = useLive<Groups>(accountPath(account, "groups"))
  return value === undefined ? NONE : { picks: byName(value.groups), isCut: value.next !== undefined }
}

export function useUserPicks(account: string): Picks {
  const { value } = useLive<Users>(accountPath(account, "users"))
  return value === undefined ? NONE : { picks: byName(value.users), isCut: value.next !== undefined }
}
