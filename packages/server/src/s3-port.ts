/** The protocols of the S3 port over the parts of a store, in whichever thread serves it. */
import type { AuditLog, Denials, RateLimiter, SecretAttempts } from "@hayloft/access/index.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { RealWeb } from "@hayloft/base/seams/web/real.js"
import type { ListenAddress, ServeConfig } from "@hayloft/node/config/index.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { StoreStatus } from "@hayloft/node/index.js"
import { filtered, type Filter, type Protocol } from "@hayloft/protocols/http/index.js"
import { createIamHandler, speaksIam } from "@hayloft/protocols/iam/index.js"
import { createS3Handler, type S3Settings } from "@hayloft/protocols/s3/index.js"
import { healthGuest } from "./health-guest.js"
import { PortRouter, type Guest } from "./port-router.js"

const LOOPBACK = /^(127\.|::1$|localhost$)/

export const isLoopback = ({ host }: ListenAddress): boolean => LOOPBACK.test(host)

/** The parts of a store that requests to the S3 port use. */
export interface S3PortParts {
  readonly config: ServeConfig
  readonly clock: Clock
  readonly random: Random
  readonly metrics: Metrics
  readonly engine: Pick<Engine, "services" | "accounts" | "identities" | "sessions" | "namedKeys">
  readonly rates: RateLimiter
  readonly attempts: SecretAttempts
  readonly denials: Pick<Denials, "note">
  readonly audit: AuditLog
  readonly hash: Compute["hash"]
  readonly web: RealWeb
  readonly transforms?: S3Settings["transforms"]
  readonly remotes?: S3Settings["remotes"]
}

/** `adminUrl`: where the admin port listens. */
export function s3SettingsOf(parts: S3PortParts, adminUrl: string): S3Settings {
  const { config, engine, clock, random, metrics, rates, attempts, denials, audit, hash } = parts
  const { region, domains, refuseSignatureV2, allowSseCWithoutTls } = config
  const { services, accounts } = engine
  return {
    services,
    accounts,
    clock,
    random,
    region,
    domains,
    refuseSignatureV2,
    denials,
    audit,
    newBuckets: config,
    rates,
    attempts,
    allowSseCWithoutTls,
    kms: engine.namedKeys.of("s3"),
    adminUrl,
    metrics,
    onLoopback: isLoopback(config.listen),
    hash,
    lifecycleDays: services.core.days,
    transforms: parts.transforms,
    remotes: parts.remotes,
  }
}

/** IAM and STS, which the S3 port and the admin port serve. */
export function iamGuest(parts: S3PortParts): Guest {
  const { engine, clock, metrics, rates, attempts, denials, audit, web } = parts
  const { accounts, identities, sessions } = engine
  const shared = { web, audit, clock, metrics, denials, rates, attempts }
  return { protocol: createIamHandler({ accounts, identities, sessions, ...shared }), speaks: speaksIam }
}

export function s3PortOf(
  settings: S3Settings,
  iam: Guest,
  status: Pick<StoreStatus, "health" | "liveness">,
  filters: readonly Filter[],
): Protocol {
  const own = createS3Handler(settings)
  return filtered(new PortRouter([healthGuest(status, settings.domains, own), iam], own), "s3", filters)
}
