/** Accounts, identities and sessions over rows in memory, for tests of authentication and permissions. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MasterKeys, openAccess, type IdentityRef, type KnownAccessKey } from "@hayloft/access/index.js"
import { decide, NO_RESOURCE_POLICIES } from "@hayloft/access/policy/decide.js"
import type { RequestContext } from "@hayloft/access/policy/contract.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId } from "@hayloft/base/ids.js"
import type { AccessKeyId, AccountId } from "@hayloft/base/ids.js"
import type { IdentityKind } from "@hayloft/engine/format/accounts/identity-records.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"

export const ROOT_KEY = {
  accountId: parseAccountId("root"),
  accessKeyId: parseAccessKeyId("HLROOT"),
  secret: "root-secret",
  createdMs: 1,
}
export const NOW_MS = Date.UTC(2026, 5, 1)
export const HOUR_MS = 3_600_000
export const NO_CONTEXT: RequestContext = { valuesOf: () => undefined }

export const allow = (action: string, resource = "*"): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: action, Resource: resource }] })
export const trust = (principal: unknown, effect = "Allow", action = "sts:AssumeRole"): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: effect, Principal: principal, Action: action }] })

export async function rejects(kind: FailureKind, work: Promise<unknown> | (() => unknown)): Promise<void> {
  await assert.rejects(
    async () => (typeof work === "function" ? work() : work),
    error => isFailure(error, kind) || assert.fail(`${String(error)} instead of ${kind}`),
  )
}

/** Runs a test over metadata that answers synchronously, and over metadata that answers later. */
export function testBothWays(name: string, run: (answersLater: boolean) => Promise<void>): void {
  for (const answersLater of [false, true]) {
    test(`${name} (${answersLater ? "answered later" : "answered synchronously"})`, () => run(answersLater))
  }
}

export async function collect<Item>(items: AsyncIterable<Item>): Promise<readonly Item[]> {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}

export class AccessWorld {
  readonly metadata = new MemoryMetadata()
  private readonly random = new SimRandom(7)
  access = openAccess(this.random, this.metadata, new MasterKeys(new Uint8Array(32).fill(9)), ROOT_KEY)
  readonly account = ROOT_KEY.accountId

  static async open(answersLater = false): Promise<AccessWorld> {
    const world = new AccessWorld()
    if (answersLater) world.metadata.later = () => new Promise(resolve => setImmediate(resolve))
    await world.access.accounts.ensureRoot()
    return world
  }

  /** The state after a start of the process. */
  async restart(): Promise<void> {
    this.access = openAccess(this.random, this.metadata, new MasterKeys(new Uint8Array(32).fill(9)), ROOT_KEY)
    await this.access.accounts.ensureRoot()
  }

  ref(kind: IdentityKind, name: string, accountId: AccountId = this.account): IdentityRef {
    return { accountId, kind, name }
  }

  async create(kind: IdentityKind, name: string, trustText?: string, accountId: AccountId = this.account) {
    const role = trustText === undefined ? undefined : { description: "", trust: trustText, sessionSecondsMax: 3_600 }
    const ref = this.ref(kind, name, accountId)
    await this.access.identities.create({ ...ref, path: "/", tags: [], boundary: undefined, role })
    return ref
  }

  async user(name: string, action?: string): Promise<{ ref: IdentityRef; id: AccessKeyId }> {
    const ref = await this.create("user", name)
    if (action !== undefined) await this.access.identities.putInline(ref, "own", allow(action))
    const { key } = await this.access.accounts.createKey({ accountId: this.account, userName: name })
    return { ref, id: key.id }
  }

  async known(id: AccessKeyId, token?: string, nowMs = NOW_MS): Promise<KnownAccessKey | undefined> {
    return this.access.accounts.secretOf(id, token, nowMs)
  }

  async mustKnow(id: AccessKeyId, token?: string, nowMs = NOW_MS): Promise<KnownAccessKey> {
    const known = await this.known(id, token, nowMs)
    assert.ok(known !== undefined, `${id} counts`)
    return known
  }

  /** Returns true if the key's owner may do this to a resource of its own account. */
  async may(id: AccessKeyId, action: string, token?: string, nowMs = NOW_MS): Promise<boolean> {
    const { principal, policies, account } = await this.mustKnow(id, token, nowMs)
    const owner = { accountId: account.id, accountNumber: account.number }
    const request = { principal, action, resource: "arn:aws:s3:::b/k", owner, nowMs, context: NO_CONTEXT }
    return decide(request, policies, NO_RESOURCE_POLICIES).outcome === "allow"
  }
}
