/**
 * The S3 layer over the model, served on loopback: for tests, and as a command to try a client without an engine.
 *
 *   node dist/tests/s3/over-model.js [PORT]
 */
import { fileURLToPath } from "node:url"
import { attemptsWith } from "@hayloft/access/secrets/testing-attempts.js"
import { FakeAudit } from "@hayloft/access/audit/testing-audit.js"
import type { Account, Accounts, Keyring, KnownAccessKey } from "@hayloft/access/contract.js"
import { fail } from "@hayloft/base/failures.js"
import {
  Denials,
  parseAccessPolicy,
  RateLimiter,
  type AccessPolicy,
  type SecretAttempts,
} from "@hayloft/access/index.js"
import { checkPrincipals } from "@hayloft/access/policy/bucket-policy.js"
import { parseAccessKeyId, parseAccountId } from "@hayloft/base/ids.js"
import type { AccessKeyId, AccountId, AccountNumber } from "@hayloft/base/ids.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { HTTP_LIMITS, HttpServer, type Protocol } from "@hayloft/protocols/http/index.js"
import type { S3Services } from "@hayloft/protocols/s3/index.js"
import { healthGuest } from "@hayloft/server/minio/health-guest.js"
import { PortRouter } from "@hayloft/server/ports/port-router.js"
import { createS3Handler } from "@hayloft/protocols/s3/index.js"
import type { S3Settings } from "@hayloft/protocols/s3/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { hashOnce } from "@hayloft/base/seams/compute/hashes.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { createModel } from "../../sim/model/index.js"

const WELL = { ready: true, reasons: [] }

export interface Key {
  readonly id: string
  readonly secret: string
}

export const OWNER: Key = { id: "AKIAOWNEROWNEROWNER0", secret: "owner-secret/with+signs" }
export const STRANGER: Key = { id: "AKIASTRANGERSTRANGER", secret: "stranger-secret" }
export const OWNER_ACCOUNT = parseAccountId("a".repeat(64))
export const STRANGER_ACCOUNT = parseAccountId("b".repeat(64))

const accountOf = (id: AccountId, name: string): Account => ({
  id,
  number: accountNumberOf(id),
  displayName: name,
  email: `${name}@example.com`,
  createdMs: 0,
})

/** Two accounts with a permanent key each; others have the keys that a test adds. */
export const strangerAccount = accountOf(STRANGER_ACCOUNT, "stranger")
export const ownerAccount = accountOf(OWNER_ACCOUNT, "owner")
const KEYS = [
  { key: OWNER, account: ownerAccount },
  { key: STRANGER, account: strangerAccount },
]

type NewAccount = Parameters<Accounts["createAccount"]>[0]

class FixedKeys
  implements Keyring, Pick<Accounts, "getAccount" | "listAccounts" | "accountOfNumber" | "createAccount">
{
  private readonly accounts: Map<AccountId, Account>

  constructor(private readonly further: readonly KnownAccessKey[]) {
    this.accounts = new Map([...KEYS, ...further].map(({ account }) => [account.id, account]))
  }

  async secretOf(id: AccessKeyId, token: string | undefined): Promise<KnownAccessKey | undefined> {
    if (token !== undefined) throw fail("invalidToken")
    const found = KEYS.find(({ key }) => key.id === id)
    if (found === undefined) return this.further.find(key => key.id === id)
    return rootKeyOf(id, found.key.secret, found.account)
  }

  knownSecret(): undefined {
    return undefined
  }

  /** Finds principals of any type by ARN, and accounts by id and number. */
  pinPrincipals(policy: AccessPolicy, text: string): string {
    const known = this.further.map(({ principal }) => principal.arn)
    const accounts = KEYS.flatMap(({ account: { id, number } }) => [id, number, `arn:aws:iam::${number}:root`])
    const existing = new Set(["*", ...known, ...accounts])
    checkPrincipals(policy, ({ value }) => existing.has(value))
    return text
  }

  showPrincipals(text: string): string {
    return text
  }

  noteUse(): void {}

  async getAccount(id: AccountId): Promise<Account | undefined> {
    return this.accounts.get(id)
  }

  async accountOfNumber(number: AccountNumber): Promise<Account | undefined> {
    return [...this.accounts.values()].find(account => account.number === number)
  }

  async createAccount({ id = parseAccountId("e".repeat(64)), displayName }: NewAccount): Promise<Account> {
    if (this.accounts.has(id)) throw fail("accountExists", { account: id })
    const account = accountOf(id, displayName)
    this.accounts.set(id, account)
    return account
  }

  async listAccounts(): Promise<readonly Account[]> {
    return [...this.accounts.values()]
  }
}

/** A key of an account's root, as stored. */
export const rootKeyOf = (id: AccessKeyId, secret: string, account: Account): KnownAccessKey => ({
  id,
  secret,
  account,
  principal: {
    kind: "root",
    accountId: account.id,
    accountNumber: account.number,
    arn: `arn:aws:iam::${account.number}:root`,
    userId: account.number,
    tags: [],
    issuedMs: undefined,
  },
  policies: { identity: [], boundary: undefined, session: undefined },
  isWholeRoot: true,
  session: undefined,
  roots: [{ kind: "key", id }],
  expiresMs: undefined,
})

/** A key of a user (by default of the owner's account), with identity policies as text. */
export function userKeyOf(
  { id, secret }: Key,
  userName: string,
  identity: readonly string[],
  limits: { readonly session?: string; readonly boundary?: string } = {},
  account: Account = ownerAccount,
): KnownAccessKey {
  const root = rootKeyOf(parseAccessKeyId(id), secret, account)
  const { principal } = root
  const named = (text: string) => ({ name: "test", policy: parseAccessPolicy(text, "identity") })
  return {
    ...root,
    principal: {
      kind: "user",
      accountId: principal.accountId,
      accountNumber: principal.accountNumber,
      arn: `arn:aws:iam::${principal.accountNumber}:user/${userName}`,
      userId: `AIDA${userName}`,
      userName,
      tags: [],
      issuedMs: undefined,
    },
    policies: {
      identity: identity.map(named),
      boundary: limits.boundary === undefined ? undefined : named(limits.boundary),
      session: limits.session === undefined ? undefined : [named(limits.session)],
    },
    isWholeRoot: false,
  }
}

export interface Served {
  readonly port: number
  readonly endpoint: string
  readonly services: S3Services
  readonly telemetry: SimTelemetry
  stop(): Promise<void>
}

/** Replacements that a test may supply; `services` wraps the model. */
export interface Variations extends Partial<
  Pick<
    S3Settings,
    | "accounts"
    | "region"
    | "domains"
    | "clock"
    | "refuseSignatureV2"
    | "denials"
    | "audit"
    | "newBuckets"
    | "allowSseCWithoutTls"
    | "kms"
    | "lifecycleDays"
    | "rates"
  >
> {
  readonly services?: (model: S3Services) => S3Services
  readonly port?: number
  readonly attempts?: SecretAttempts
  /** Additional to those of the two accounts. */
  readonly keys?: readonly KnownAccessKey[]
}

/** The S3 layer over a new model. */
export function handleModel(
  { services: wrap, port: _port, keys = [], attempts = attemptsWith(new RealClock()), ...variations }: Variations = {},
  telemetry: SimTelemetry = new SimTelemetry(),
) {
  const [clock, random] = [new RealClock(), new RealRandom()]
  const model = createModel(clock, random)
  const services = wrap?.(model) ?? model
  const accounts = new FixedKeys(keys)
  const settings: S3Settings = {
    services,
    accounts,
    region: undefined,
    domains: [],
    adminUrl: "http://127.0.0.1:9001",
    onLoopback: true,
    refuseSignatureV2: false,
    denials: new Denials(),
    audit: new FakeAudit(),
    newBuckets: { allowPublicBuckets: false, allowAcls: false, encryptNewBuckets: false },
    allowSseCWithoutTls: false,
    clock,
    random,
    metrics: telemetry.metrics,
    rates: new RateLimiter(clock, telemetry.metrics, () => 1),
    attempts,
    hash: hashOnce,
    ...variations,
  }
  return { handler: createS3Handler(settings), services, settings, accounts, attempts }
}

export async function serveModel(variations: Variations = {}): Promise<Served> {
  const telemetry = new SimTelemetry()
  const { handler, services, settings: s3 } = handleModel(variations, telemetry)
  const { port = 0 } = variations
  const protocol = new PortRouter(
    [healthGuest({ health: () => WELL, liveness: () => WELL }, s3.domains, handler)],
    handler,
  )
  return { ...(await listenTo(protocol, { name: "s3", port, telemetry })), services, telemetry }
}

/** A protocol, served on loopback. */
export async function listenTo(
  protocol: Protocol,
  { name, port = 0, telemetry }: { readonly name: string; readonly port?: number; readonly telemetry: SimTelemetry },
): Promise<Pick<Served, "port" | "endpoint" | "stop">> {
  const [clock, random] = [new RealClock(), new RealRandom()]
  const limits = { ...HTTP_LIMITS, stopMs: 2_000 }
  const settings = { name, host: "127.0.0.1", port, serverHeader: "Hayloft", limits }
  const server = new HttpServer({ clock, random, telemetry }, protocol, settings)
  const bound = await server.listen()
  const stopping = new AbortController()
  const running = server.run(stopping.signal)
  const stop = async (): Promise<void> => {
    stopping.abort()
    await running
  }
  return { port: bound.port, endpoint: `http://127.0.0.1:${bound.port}`, stop }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { endpoint, stop } = await serveModel({ port: Number(process.argv[2] ?? 9000) })
  process.stdout.write(`${endpoint}\n${OWNER.id} ${OWNER.secret}\n${STRANGER.id} ${STRANGER.secret}\n`)
  process.once("SIGINT", () => void stop())
  process.once("SIGTERM", () => void stop())
}
