/**
 * Says who is signed in. The server keeps the session in a cookie that scripts cannot read, and says who it is of; this page keeps
 * only the token that changes need beside it.
 */
import { signal } from "@preact/signals"
import { api, asApiError, onSessionEnd, setProof, type ApiError } from "../api/client.js"
import type { Redirection, Session, SignInOffers } from "../api/session-shapes.js"

export type SessionState =
  | { readonly kind: "unknown" }
  | { readonly kind: "signedOut"; readonly offers: SignInOffers; readonly notice?: string }
  | { readonly kind: "signedIn"; readonly name: string; readonly session: Session }
  | { readonly kind: "failed"; readonly error: ApiError }

export type Credentials =
  | { readonly token: string }
  | { readonly accessKeyId: string; readonly secretAccessKey: string }
  | { readonly ldap: { readonly username: string; readonly password: string } }

export const session = signal<SessionState>({ kind: "unknown" })

let offers: SignInOffers = { token: true, key: true, ldap: false }

/** Asks the server who is signed in. */
export async function loadSession(): Promise<void> {
  try {
    enter(await api.get<Session>("/v1/session"))
  } catch (error) {
    session.value = { kind: "failed", error: asApiError(error) }
  }
}

function enter(found: Session): void {
  offers = found.methods
  if (found.who === undefined) return leave(failedSignIn())
  setProof(found.csrf === undefined ? {} : { csrf: found.csrf })
  session.value = { kind: "signedIn", name: nameOf(found.who), session: found }
}

function nameOf(who: NonNullable<Session["who"]>): string {
  switch (who.kind) {
    case "operator":
      return "Operator"
    case "token":
      return who.name
    case "principal":
      return who.isRoot ? "Root user" : who.arn.slice(who.arn.lastIndexOf("/") + 1)
  }
}

/** The reason why a sign-in by the provider has failed, by the name of the failure. */
const FAILED: Readonly<Record<string, string>> = {
  accessDenied: "your account there may take no role here",
  requestExpired: "it took too long, or was begun in another browser. Try again",
  invalidIdentityToken: "its answer was not valid for the sign-in that this browser began. Try again",
  tokenExpired: "its answer had expired. Try again, and check the clocks of both servers",
  providerUnreachable: "the provider does not answer. Try again later",
  rateExceeded: "too many attempts from your address. Try again in a minute",
}

/** The provider of OpenID Connect sends people back to an address that says what went wrong. */
function failedSignIn(): string | undefined {
  const code = new URLSearchParams(location.search).get("signInFailed")
  if (code === null) return undefined
  history.replaceState(null, "", location.pathname)
  return `The sign-in by the provider failed: ${FAILED[code] ?? code.slice(0, 60)}.`
}

function leave(notice?: string): void {
  setProof({})
  session.value = { kind: "signedOut", offers, ...(notice === undefined ? {} : { notice }) }
}

/** Throws an `ApiError` if the server does not accept them. */
export async function signIn(credentials: Credentials): Promise<void> {
  enter(await api.post<Session>("/v1/session", credentials))
}

/** Leaves this page for the provider. */
export async function signInByProvider(): Promise<void> {
  const returnTo = location.pathname
  const next = await api.post<Redirection>("/v1/session", { oidc: { returnTo } })
  location.assign(next.location)
}

export async function signOut(): Promise<void> {
  try {
    await api.delete("/v1/session")
    leave("You are signed out.")
  } catch (error) {
    leave(`The server did not confirm the sign-out: ${asApiError(error).message}. Sign in and sign out again.`)
  }
}

/** When the server no longer knows the session, the page stays where it is, behind the form to sign in. */
export const watchSession = (): void =>
  onSessionEnd(() => {
    if (session.value.kind === "signedIn") leave("Your session has ended. Sign in to go on.")
  })

/** Returns true if the one who has signed in may use an operation of the admin API, at least on something. */
export const mayUse = (operation: string): boolean =>
  session.value.kind === "signedIn" && session.value.session.operations.includes(operation)

/** Returns true if the store refuses an operation because it has it switched off. */
export const isSwitchedOff = (operation: string): boolean =>
  session.value.kind === "signedIn" && session.value.session.off?.includes(operation) === true

/** The account of the one who has signed in with a key; the operator and tokens have none. */
export function ownAccount(): string | undefined {
  const { value } = session
  const who = value.kind === "signedIn" ? value.session.who : undefined
  return who?.kind === "principal" ? who.accountId : undefined
}

/** Returns where clients find S3, as the server says. */
export function s3Place(): { readonly endpoint: string; readonly region: string } {
  const { value } = session
  const found = value.kind === "signedIn" ? value.session.s3 : undefined
  return found ?? { endpoint: "ENDPOINT", region: "us-east-1" }
}

export const s3Endpoint = (): string => s3Place().endpoint
