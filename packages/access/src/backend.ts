/** Access backend: what the services of accounts, identities and sessions share. */
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Directory } from "./accounts/directory.js"
import type { PolicyPrincipals } from "./identities/policy-principals.js"
import type { ParsePolicy } from "./policy/contract.js"
import type { SessionTokens } from "./principals/session-tokens.js"

export interface AccessBackend {
  readonly random: Random
  readonly directory: Directory
  readonly tokens: SessionTokens
  readonly parse: ParsePolicy
  readonly principals: PolicyPrincipals
}
