/** Planted bugs of the frame of signed protocols, which tests must catch in each of them. */
import type { Edit, TestedPlant } from "./plants.js"

const FRAME = "packages/protocols/src/signed/frame.ts"
const PROTOCOLS = "tests/signed/protocols"

const plant = (bug: string, ...edits: readonly Edit[]): TestedPlant => ({
  bug: `signed protocols: ${bug}`,
  edits,
  caughtBy: PROTOCOLS,
})

export const SIGNED_PLANTS: readonly TestedPlant[] = [
  plant("the account of a request is not counted", {
    file: FRAME,
    find: "this.meters.proved(exchange, key.account.id)",
    put: "exchange.proveAccount()",
  }),
  plant("limits of a key do not hold", {
    file: FRAME,
    find: "await this.settings.rates.enter(key.limited, exchange)",
    put: "await this.settings.rates.enter(undefined, exchange)",
  }),
  plant("the operation of a request that is refused is not in the metrics", {
    file: FRAME,
    find: 'if (route.operation !== "") exchange.note({',
    put: 'if (route.operation !== "" && request.isKnown) exchange.note({',
  }),
  plant("who has signed in is not limited", {
    file: "packages/protocols/src/coord-api/handler.ts",
    find: "await admit(holder.key)",
    put: "void admit",
  }),
  plant("a key is noted as used before its owner has proved to have it", {
    file: "packages/protocols/src/signed/key-gate.ts",
    find: "const verified = this.sources.attempts.attempt({ address, id: key.id }, prove)\n    this.sources.accounts.noteUse(key, nowMs, use.service, use.region ?? verified.region)",
    put: 'this.sources.accounts.noteUse(key, nowMs, use.service, use.region ?? "")\n    const verified = this.sources.attempts.attempt({ address, id: key.id }, prove)',
  }),
  plant("a bucket does not count what it lets in", {
    file: FRAME,
    find: "exchange.countIn(this.meters.ofBucket(bucket.name))",
    put: "this.meters.ofBucket(bucket.name)",
  }),
  plant("the operator finds no denial", {
    file: "packages/protocols/src/signed/refusals.ts",
    find: "if (isDenial(failure, status)) this.denials.note(denied(), failure)",
    put: "if (isDenial(failure, status) && status < 0) this.denials.note(denied(), failure)",
  }),
  plant("a busy server shares its places by addresses only", {
    file: FRAME,
    find: "return claimedAccount(accounts, head, clock.wallMs())",
    put: 'return head.rawTarget === "" ? claimedAccount(accounts, head, clock.wallMs()) : undefined',
  }),
]
