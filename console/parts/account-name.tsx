/** Accounts by their names. The id, of 64 digits, shows when the name is pointed at. */
import { useLive } from "../api/live.js"
import type { Accounts } from "../api/shapes.js"
import { mayUse, session } from "../shell/session.js"

const EVERY_MS = 60_000
const DIGITS = 8

/** The account of the one who has signed in, if it is one's own. */
function ownName(id: string): string | undefined {
  const { value } = session
  const who = value.kind === "signedIn" ? value.session.who : undefined
  return who?.kind === "principal" && who.accountId === id ? "your account" : undefined
}

/** Returns the name of an account; the first digits of its id where the name may not be seen. */
export function useAccountNames(): (id: string) => string {
  const accounts = useLive<Accounts>(mayUse("listAccounts") ? "/v1/accounts" : undefined, EVERY_MS)
  const names = new Map(accounts.value?.accounts.map(({ id, displayName }) => [id, displayName]))
  return id => names.get(id) ?? ownName(id) ?? (id.length > DIGITS ? `${id.slice(0, DIGITS)}…` : id)
}

export function AccountName({ id, nameOf }: { readonly id: string; readonly nameOf: (id: string) => string }) {
  return <span title={`Account ${id}`}>{nameOf(id)}</span>
}
