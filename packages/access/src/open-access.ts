/** Opens accounts, keys and identities over one metadata engine. */
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { AccountService } from "./accounts/account-service.js"
import { AdminTokens } from "./admin-port/admin-tokens.js"
import { AuditLog, type AuditSeams } from "./audit/audit-log.js"
import { ConsoleSessions } from "./admin-port/console-sessions.js"
import type { DirectoryEntries } from "./contract.js"
import { Directory } from "./accounts/directory.js"
import { cachePolicies } from "./identities/attached-policies.js"
import { IdentityService } from "./identities/identity-service.js"
import { EntriesOfAccount } from "./ldap/directory-entries.js"
import { PolicyPrincipals } from "./identities/policy-principals.js"
import type { MasterKeys } from "./secrets/master-keys.js"
import type { RootKey } from "./principals/known-keys.js"
import { parseAccessPolicy } from "./policy/parse-access-policy.js"
import { SessionService } from "./principals/session-service.js"
import { SealedTexts } from "./secrets/sealed-texts.js"
import { SESSION_TOKENS } from "./principals/session-tokens.js"

/** The services of accounts, identities and sessions. */
export interface Access {
  readonly accounts: AccountService
  readonly identities: IdentityService
  readonly sessions: SessionService
  readonly entries: DirectoryEntries
}

/** `prepare` resolves once the devices refuse releases that do not know the policies of a directory's entries. */
export function openAccess(
  random: Random,
  metadata: Metadata,
  masterKeys: MasterKeys,
  root: RootKey,
  prepare: () => Promise<void> = () => Promise.resolve(),
): Access {
  const directory = new Directory(metadata)
  const parse = cachePolicies(parseAccessPolicy)
  const tokens = new SealedTexts(SESSION_TOKENS, masterKeys, random)
  const principals = new PolicyPrincipals(directory)
  const backend = { random, directory, tokens, parse, principals }
  const accounts = new AccountService(backend, masterKeys, root)
  return {
    accounts,
    identities: new IdentityService(backend),
    sessions: new SessionService(backend, root.accountId),
    entries: new EntriesOfAccount(directory, root.accountId, prepare),
  }
}

/** `prepare` resolves once the devices refuse releases that do not know tokens. */
export const openAdminTokens = (
  clock: Pick<Clock, "wallMs">,
  random: Random,
  metadata: Metadata,
  prepare: () => Promise<void>,
): AdminTokens => new AdminTokens(clock, random, new Directory(metadata), prepare)

/** `prepare` as for tokens. */
export const openAuditLog = (seams: AuditSeams, metadata: Metadata, prepare: () => Promise<void>): AuditLog =>
  new AuditLog(seams, new Directory(metadata), prepare)

type OfSessions = ConstructorParameters<typeof ConsoleSessions>

/** `prepare` as for tokens. */
export const openConsoleSessions = (
  seams: OfSessions[0],
  metadata: Metadata,
  sources: Omit<OfSessions[1], "directory">,
): ConsoleSessions => new ConsoleSessions(seams, { ...sources, directory: new Directory(metadata) })
