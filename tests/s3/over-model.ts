/**
 * The S3 layer over the model, served on loopback: for tests, and as a command for whoever wants to
 * try a client without an engine.
 *
 *   node dist/tests/s3/over-model.js [PORT]
 */
import { fileURLToPath } from "node:url"
import type { Account, AccessKey, Accounts } from "../../src/access/contract.js"
import { fail } from "../../src/base/failures.js"
import { parseAccessKeyId, parseAccountId } from "../../src/base/ids.js"
import type { AccessKeyId, AccountId } from "../../src/base/ids.js"
import { HTTP_LIMITS, HttpServer } from "../../src/http/index.js"
import type { ObjectServices } from "../../src/object/contract.js"
import { createS3Handler } from "../../src/s3/index.js"
import type { S3Settings } from "../../src/s3/index.js"
import { RealClock } from "../../src/seams/clock/real.js"
import { hashOnce } from "../../src/seams/compute/hashes.js"
import { RealRandom } from "../../src/seams/random/real.js"
import { SimTelemetry } from "../../src/seams/telemetry/sim.js"
import { createModel } from "../../sim/model/index.js"

export interface Key {
  readonly id: string
  readonly secret: string
}

export const OWNER: Key = { id: "AKIAOWNEROWNEROWNER0", secret: "owner-secret/with+signs" }
export const STRANGER: Key = { id: "AKIASTRANGERSTRANGER", secret: "stranger-secret" }
export const OWNER_ACCOUNT = parseAccountId("a".repeat(64))
export const STRANGER_ACCOUNT = parseAccountId("b".repeat(64))

/** Two accounts with a key each, for ever. */
class FixedAccounts implements Accounts {
  private readonly accounts: readonly Account[] = [
    { id: OWNER_ACCOUNT, displayName: "owner", email: "owner@example.com", createdMs: 0 },
    { id: STRANGER_ACCOUNT, displayName: "stranger", email: "stranger@example.com", createdMs: 0 },
  ]

  async secretOf(id: AccessKeyId): ReturnType<Accounts["secretOf"]> {
    const at = [OWNER, STRANGER].findIndex(key => key.id === id)
    const [key, account] = [[OWNER, STRANGER][at], this.accounts[at]]
    return key === undefined || account === undefined ? undefined : { secret: key.secret, account }
  }

  knownSecret(): undefined {
    return undefined
  }

  async getAccount(id: AccountId): Promise<Account | undefined> {
    return this.accounts.find(account => account.id === id)
  }

  async listAccounts(): Promise<readonly Account[]> {
    return this.accounts
  }

  async listKeys(): Promise<readonly AccessKey[]> {
    return [OWNER, STRANGER].flatMap(({ id }, at) => {
      const accountId = this.accounts[at]?.id
      return accountId === undefined ? [] : [{ id: parseAccessKeyId(id), accountId, createdMs: 0 }]
    })
  }

  createAccount(): Promise<never> {
    return refuse()
  }

  createKey(): Promise<never> {
    return refuse()
  }

  importKey(): Promise<never> {
    return refuse()
  }

  removeKey(): Promise<never> {
    return refuse()
  }
}

const refuse = (): Promise<never> => Promise.reject(fail("notImplemented", { message: "these accounts are fixed" }))

export interface Served {
  readonly port: number
  readonly endpoint: string
  readonly services: ObjectServices
  readonly telemetry: SimTelemetry
  stop(): Promise<void>
}

/** What a test may put in place of the usual; `services` wraps the model. */
export interface Variations extends Partial<Pick<S3Settings, "region" | "domains" | "clock" | "allowSha1Forms">> {
  readonly services?: (model: ObjectServices) => ObjectServices
  readonly port?: number
}

/** The S3 layer over a model of its own. */
export function handleModel(
  { services: wrap, port: _port, ...variations }: Variations = {},
  telemetry: SimTelemetry = new SimTelemetry(),
) {
  const [clock, random] = [new RealClock(), new RealRandom()]
  const model = createModel(clock, random)
  const services = wrap?.(model) ?? model
  const handler = createS3Handler({
    services,
    accounts: new FixedAccounts(),
    region: undefined,
    domains: [],
    adminUrl: "http://127.0.0.1:9001",
    allowSha1Forms: false,
    clock,
    random,
    metrics: telemetry.metrics,
    hash: hashOnce,
    ...variations,
  })
  return { handler, services }
}

export async function serveModel(variations: Variations = {}): Promise<Served> {
  const [clock, random, telemetry] = [new RealClock(), new RealRandom(), new SimTelemetry()]
  const { handler, services } = handleModel(variations, telemetry)
  const { port = 0 } = variations
  const limits = { ...HTTP_LIMITS, stopMs: 2_000 }
  const settings = { name: "s3", host: "127.0.0.1", port, serverHeader: "Hayloft", limits }
  const server = new HttpServer(clock, random, telemetry, handler, settings)
  const bound = await server.listen()
  const stopping = new AbortController()
  const running = server.run(stopping.signal)
  const stop = async (): Promise<void> => {
    stopping.abort()
    await running
  }
  return { port: bound.port, endpoint: `http://127.0.0.1:${bound.port}`, services, telemetry, stop }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { endpoint, stop } = await serveModel({ port: Number(process.argv[2] ?? 9000) })
  process.stdout.write(`${endpoint}\n${OWNER.id} ${OWNER.secret}\n${STRANGER.id} ${STRANGER.secret}\n`)
  process.once("SIGINT", () => void stop())
  process.once("SIGTERM", () => void stop())
}
