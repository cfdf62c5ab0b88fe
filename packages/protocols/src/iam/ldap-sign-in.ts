/**
 * Sign-in of people of an LDAP directory by STS, as MinIO has it: a name and a password for temporary credentials.
 *
 * Promises  Wrong passwords count by the client's address, as at every door. Each sign-in, done or refused, is in the audit
 *           log, and none with its password.
 * Source    "AssumeRoleWithLDAPIdentity", MinIO.
 */
import {
  type AuditLog,
  type IssuedSession,
  type People,
  type SessionRequest,
  type SecretAttempts,
  type Sessions,
} from "@hayloft/access/index.js"

const OPERATION = "sts:AssumeRoleWithLDAPIdentity"

interface Parts {
  readonly people: Pick<People, "signIn">
  readonly sessions: Pick<Sessions, "ofPerson">
  readonly attempts: Pick<SecretAttempts, "signInBy">
  readonly audit: Pick<AuditLog, "begin">
}

/** The name and the password that a client sends. */
interface Claim {
  readonly login: string
  readonly password: string
}

/** The source of a request. */
interface Source {
  readonly remoteAddress: string
  readonly requestId: string
}

export class LdapSignIn {
  constructor(private readonly parts: Parts) {}

  /**
   * Throws `accessDenied`, `rateExceeded`, `directoryUnavailable`, `tooManyInFlight`, `malformedPolicy`,
   * `invalidArgument`, `limitExceeded`.
   */
  async begin({ login, password }: Claim, request: SessionRequest, from: Source): Promise<IssuedSession> {
    const { people, sessions, attempts, audit } = this.parts
    const { remoteAddress: address, requestId } = from
    const by = { address, requestId, id: undefined, operation: OPERATION, target: login }
    const issued = await attempts.signInBy(by, async () => {
      const person = await people.signIn(login, password)
      return sessions.ofPerson(person, request)
    })
    const caller = { kind: "key", id: issued.accessKeyId, name: issued.arn, address } as const
    const nothing = async (): Promise<undefined> => undefined
    const change = { caller, requestId, operation: OPERATION, target: login, request: undefined }
    await (await audit.begin(change, nothing)).end("done", nothing)
    return issued
  }
}
