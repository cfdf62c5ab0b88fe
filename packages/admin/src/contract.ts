/** The services and options that the admin API requires from the program that starts it. */
import type { Soon } from "@hayloft/base/soon.js"
import type { IssuedSession } from "@hayloft/access/contract.js"
import type { RequestContext } from "@hayloft/access/index.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { SettingDocuments } from "@hayloft/objects/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"

/** Files that the admin port serves: the documentation, or the web console. */
export interface StaticFiles {
  /** Names such as `install.md` or `clients/restic.md`, sorted. */
  list(): Promise<readonly string[]>
  /** Returns undefined if there is no such file. Reads only names in `list`. */
  read(name: string): Promise<Uint8Array | undefined>
}

/** A request without its body. */
export interface AdminHead {
  readonly method: string
  /** Path and query as on the wire. */
  readonly rawTarget: string
  /** The connection has TLS. */
  readonly isEncrypted: boolean
  /** For the audit log. */
  readonly from: { readonly requestId: string; readonly address: string }
  /** By lower-case name. */
  readonly header: (name: string) => string | undefined
}

export interface AdminRequest extends AdminHead {
  /** Fires when the client has left. */
  readonly signal?: AbortSignal
  /** Reads the body. Throws `entityTooLarge` above the limit. */
  body(bytesMax: number): Promise<Uint8Array>
}

/** A browser that is on its way to a provider of OpenID Connect, and what it is to bring back. */
export interface WebSignIn {
  readonly issuer: string
  /** Returns where to send the browser; `state` is what its cookie keeps. Throws `providerUnreachable`. */
  begin(redirectUri: string, nowMs: number): Promise<{ readonly location: string; readonly state: WebSignInState }>
  /**
   * The credentials of the role that the provider's user may assume. Throws `accessDenied`, `invalidIdentityToken`,
   * `tokenExpired`, `providerUnreachable`.
   */
  end(
    state: WebSignInState,
    query: ReadonlyMap<string, string>,
    nowMs: number,
    context: RequestContext,
  ): Promise<IssuedSession>
}

/** Sign-in by a name and a password of an LDAP directory. */
export interface LdapDoor {
  /** The credentials of the person. Throws `accessDenied`, `directoryUnavailable`, `tooManyInFlight`. */
  begin(login: string, password: string, nowMs: number): Promise<IssuedSession>
}

interface WebSignInState {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  readonly redirectUri: string
}

export interface AdminOptions {
  readonly version: string
  readonly clock: Pick<Clock, "wallMs" | "monotonicMs" | "alarm">
  /** The port listens on loopback only: `/metrics` needs no token. */
  readonly onLoopback: boolean
  /** Names by which browsers reach the port, in lower case, beside those of loopback. */
  readonly hosts: readonly string[]
  /** Default owner of new buckets; its keys include the root key. */
  readonly rootAccount: AccountId
  /** In ARNs; by default REGION_DEFAULT. */
  readonly region?: string | undefined
  /** The initial settings of new buckets. */
  readonly newBucketSettings: SettingDocuments
  /** Prometheus text, rendered when scraped. */
  readonly metricsText: () => Soon<string>
}
