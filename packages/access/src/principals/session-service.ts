/** Temporary credentials: who receives them, and for how long. See `contract.ts` for the promises. */
import { must } from "@hayloft/base/assert.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { AccessKeyId, AccountId } from "@hayloft/base/ids.js"
import type { KeySession, PersonSession, RoleSession } from "@hayloft/engine/format/accounts/session-token.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { readAccount, readAssumableRole, type AssumableRole } from "../accounts/account-queries-core.js"
import type { AccessBackend } from "../backend.js"
import type {
  AssumedRole,
  AssumeRequest,
  IssuedSession,
  KnownAccessKey,
  Person,
  PersonCredentials,
  SessionRequest,
  Sessions,
  WebIdentity,
} from "../contract.js"
import type { Directory } from "../accounts/directory.js"
import { randomSecret, randomTemporaryKeyId } from "../accounts/random-ids.js"
import type { ParsePolicy } from "../policy/contract.js"
import { readEntriesAmong } from "../identities/entry-commands-core.js"
import { normalDn } from "@hayloft/base/seams/ldap/dn-core.js"
import { noSuchPolicy } from "../identities/managed-policy-commands-core.js"
import { hostAndPath, identityArn, providerArn, sessionArn } from "../identities/names.js"
import { checkPolicyText } from "../identities/policy-texts.js"
import { checkTags } from "../identities/tags.js"
import type { AccessRequest, FederatedCaller, PrincipalPolicies } from "../policy/contract.js"
import { withResourceTags } from "../policy/condition-keys.js"
import { decide, NO_POLICIES } from "../policy/decide.js"
import { DeniedAccess } from "../policy/denied-access.js"
import { POLICY_LIMITS } from "../policy/limits.js"
import type { KnownPrincipal } from "./principal.js"
import { personPrincipal } from "./principals-of-records.js"
import { markOf } from "../secrets/secret-marks.js"
import { SESSION_TOKENS, type SessionTokens } from "./session-tokens.js"

const HOUR_SECONDS = 3_600
const LEAST_SECONDS = 900
const KEY_SECONDS = { usual: 12 * HOUR_SECONDS, most: 36 * HOUR_SECONDS, mostOfRoot: HOUR_SECONDS } as const
/** MinIO's: whether the person still counts is asked at use. */
const PERSON_SECONDS_MAX = 365 * 24 * HOUR_SECONDS
const SESSION_NAME = /^[\w+=,.@-]{2,64}$/
const SESSION_POLICIES_MAX = 10
/** Limits the length of a chain of sessions. */
const ROOTS_MAX = 8

/** The caller that requests a role, and the origin that its session records. */
interface Assumer {
  readonly principal: KnownPrincipal | FederatedCaller
  readonly policies: PrincipalPolicies
  readonly action: "sts:AssumeRole" | "sts:AssumeRoleWithWebIdentity"
  /** For error messages. */
  readonly name: string
  readonly origin: Pick<RoleSession, "roots" | "claims">
}

export class SessionService implements Sessions {
  private readonly random: Random

  private readonly directory: Directory
  private readonly tokens: SessionTokens
  private readonly parse: ParsePolicy

  constructor(
    { random, directory, tokens, parse }: AccessBackend,
    /** The account of people of a directory. */
    private readonly accountId: AccountId,
  ) {
    this.directory = directory
    this.tokens = tokens
    this.parse = parse
    this.random = random.fork("sessions")
  }

  ofKey(caller: KnownAccessKey, { seconds, policy, nowMs }: SessionRequest): IssuedSession {
    if (caller.session !== undefined) {
      throw fail("accessDenied", { message: "Cannot call GetSessionToken with session credentials" })
    }
    if (policy !== undefined && caller.policies.session !== undefined) {
      const message = "A key with a policy of its own has no sessions with a further policy"
      throw fail("accessDenied", { message })
    }
    const limits = this.sessionPolicy(policy)
    const most = caller.principal.kind === "root" ? KEY_SECONDS.mostOfRoot : KEY_SECONDS.most
    const length = checkSeconds(seconds ?? Math.min(KEY_SECONDS.usual, most), most)
    const mark = markOf("session", caller.secret)
    const { userId } = caller.principal
    return this.issue({ kind: "key", sourceKey: caller.id, userId, mark, policy: limits }, length, nowMs)
  }

  /** Returns the text without white space, since it is sent with each request. Throws `malformedPolicy`, `limitExceeded`. */
  private sessionPolicy(text: string | undefined): string | undefined {
    if (text === undefined) return undefined
    checkPolicyText(this.parse, text, "identity", POLICY_LIMITS.sessionCharactersMax)
    return JSON.stringify(JSON.parse(text))
  }

  async assume(caller: KnownAccessKey, request: AssumeRequest): Promise<AssumedRole> {
    const { principal, policies, roots } = caller
    // AWS refuses this, too. The root user may do everything and needs no role: trust policies need not provide for it.
    if (principal.kind === "root") throw fail("accessDenied", { message: "Roles may not be assumed by root accounts." })
    // The session of the role would not end with the person.
    if (caller.session === "person")
      throw fail("accessDenied", { message: "Roles may not be assumed by people of a directory." })
    const name = principal.kind === "session" ? principal.sessionArn : principal.arn
    if (roots.length > ROOTS_MAX) throw refuse(`A chain of sessions must have at most ${ROOTS_MAX} links`)
    const origin = { roots, claims: [] }
    // A session derived from a session is short, so that chaining cannot extend access indefinitely.
    const secondsMax = caller.session === "role" ? HOUR_SECONDS : Infinity
    return this.assumeAs({ principal, policies, action: "sts:AssumeRole", name, origin }, request, secondsMax)
  }

  async assumeByWeb(identity: WebIdentity, request: AssumeRequest): Promise<AssumedRole> {
    const { provider, claims } = identity
    const arn = providerArn(identity.account.number, provider.url)
    const assumer: Assumer = {
      principal: { kind: "federated", providerArn: arn, claims },
      policies: NO_POLICIES,
      action: "sts:AssumeRoleWithWebIdentity",
      name: identity.subject,
      origin: {
        roots: [{ kind: "provider", accountId: identity.account.id, url: provider.url }],
        claims: recordedClaims(identity, arn),
      },
    }
    return this.assumeAs(assumer, request, Infinity)
  }

  async ofPerson(
    person: Person,
    { seconds = HOUR_SECONDS, policy, nowMs }: SessionRequest,
  ): Promise<PersonCredentials> {
    const length = checkSeconds(seconds, PERSON_SECONDS_MAX)
    const text = this.sessionPolicy(policy)
    const { dn, login, userName, groups } = person
    const { accountId } = this
    const own = normalDn(dn)
    const entries = await this.directory.ask(readEntriesAmong(accountId, [own, ...groups]))
    if (entries.length === 0) {
      const message = `no policy is attached to ${own}, nor to one of its ${groups.length} groups in the directory`
      throw fail("accessDenied", { message })
    }
    const known = entries.map(entry => entry.dn).filter(entry => entry !== own)
    const session = { kind: "person", accountId, dn, login, userName, groups: known, policy: text } as const
    const issued = this.issue(session, length, nowMs)
    const account = must(await this.directory.ask(readAccount(accountId)), "the root account exists")
    return { ...issued, arn: personPrincipal(account, { dn: own, userName }, []).arn }
  }

  private async assumeAs(assumer: Assumer, request: AssumeRequest, secondsMax: number): Promise<AssumedRole> {
    const { sessionName, seconds = HOUR_SECONDS, nowMs } = request
    if (!SESSION_NAME.test(sessionName))
      throw refuse("RoleSessionName must have 2 to 64 of the characters A-Za-z0-9_+=,.@-")
    const tags = checkTags(request.tags)
    const policyArns = request.policyArns.slice(0, SESSION_POLICIES_MAX)
    const found = await this.directory.ask(readAssumableRole(request.roleArn, policyArns))
    if (found === undefined) {
      const message = notAuthorized(assumer, assumer.action, request.roleArn)
      throw fail("accessDenied", { message, reason: "there is no such role" })
    }
    this.checkTrust(found, assumer, assumer.action, request)
    if (tags.length > 0) this.checkTrust(found, assumer, "sts:TagSession", request)
    const { account, role } = found
    const session: RoleSession = {
      kind: "role",
      accountId: account.id,
      roleName: role.name,
      roleId: role.id,
      sessionName,
      ...assumer.origin,
      limits: this.checkLimits(found, request),
      tags,
    }
    const issued = this.issue(
      session,
      checkSeconds(seconds, Math.min(found.terms.sessionSecondsMax, secondsMax)),
      nowMs,
    )
    return { ...issued, userId: `${role.id}:${sessionName}`, arn: sessionArn(account.number, role.name, sessionName) }
  }

  private checkTrust(
    { account, role, terms }: AssumableRole,
    assumer: Assumer,
    action: string,
    request: AssumeRequest,
  ): void {
    const accessRequest: AccessRequest = {
      principal: assumer.principal,
      action,
      resource: identityArn(account.number, role),
      owner: { accountId: account.id, accountNumber: account.number },
      nowMs: request.nowMs,
      context: withResourceTags(request.context, role.tags),
    }
    const policy = { name: `role ${role.name}: trust policy`, policy: this.parse(terms.trust, "trust") }
    const decision = decide(accessRequest, assumer.policies, { policy, acl: undefined })
    if (decision.outcome === "allow") return
    throw new DeniedAccess(accessRequest, decision, { message: notAuthorized(assumer, action, request.roleArn) })
  }

  /** Throws `malformedPolicy`, `limitExceeded`, `noSuchEntity`. */
  private checkLimits({ missingPolicy }: AssumableRole, { policy, policyArns }: AssumeRequest): RoleSession["limits"] {
    if (policy === undefined && policyArns.length === 0) return undefined
    if (policyArns.length > SESSION_POLICIES_MAX) {
      throw fail("limitExceeded", { message: `Cannot exceed quota for PolicyArns: ${SESSION_POLICIES_MAX}` })
    }
    const text = this.sessionPolicy(policy)
    if (missingPolicy !== undefined) throw noSuchPolicy(missingPolicy)
    return { texts: text === undefined ? [] : [text], arns: policyArns }
  }

  /** Throws `limitExceeded`. */
  private issue(session: KeySession | RoleSession | PersonSession, seconds: number, nowMs: number): IssuedSession {
    const accessKeyId: AccessKeyId = randomTemporaryKeyId(this.random)
    const secret = randomSecret(this.random)
    const expiresMs = nowMs + seconds * 1000
    const token = this.tokens.seal({ accessKeyId, secret, issuedMs: nowMs, expiresMs, session })
    // No server opens a longer one: the credentials would be refused at each use.
    if (token.length > SESSION_TOKENS.charactersMax) {
      const message =
        "the session policies, the tags, the claims and the groups with policies are together too long for one session"
      throw fail("limitExceeded", { message })
    }
    return { accessKeyId, secret, token, expiresMs }
  }
}

const refuse = (message: string): Failure => fail("invalidArgument", { message })

function checkSeconds(seconds: number, most: number): number {
  if (Number.isInteger(seconds) && seconds >= LEAST_SECONDS && seconds <= most) return seconds
  throw refuse(`The requested DurationSeconds must be between ${LEAST_SECONDS} and ${most}`)
}

const notAuthorized = ({ name }: Assumer, action: string, resource: string): string =>
  `User: ${name} is not authorized to perform: ${action} on resource: ${resource.slice(0, 2_048)}`

/** The claims by which policies distinguish sessions. */
function recordedClaims({ provider, audience, subject }: WebIdentity, arn: string): RoleSession["claims"] {
  const issuer = hostAndPath(provider.url)
  return [
    [`${issuer}:aud`, audience],
    [`${issuer}:sub`, subject],
    ["aws:FederatedProvider", arn],
  ]
}
