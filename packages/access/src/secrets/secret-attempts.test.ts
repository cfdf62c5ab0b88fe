/** Attempts to prove secrets: who has to wait, for how long, who does not, and what is recorded of them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { SecretAttempts } from "./secret-attempts.js"
import { FakeAudit } from "../audit/testing-audit.js"

const MINUTE_MS = 60_000
const [HERE, ELSEWHERE] = ["203.0.113.7", "203.0.113.8"]
const wrong = (): never => {
  throw fail("signatureMismatch")
}
const right = () => "proved"

function world() {
  const clock = new SimClock()
  const audit = new FakeAudit()
  const telemetry = new SimTelemetry()
  const attempts = new SecretAttempts({ clock, log: telemetry.log, audit })
  /** "proved", the kind of the failure, or how many seconds the client has to wait. */
  const attempt = (prove: () => string, id = "KEY1", address = HERE): string | number => {
    try {
      return attempts.attempt({ address, id }, prove)
    } catch (error) {
      if (isFailure(error, "rateExceeded")) return Number(error.details["retryAfterSeconds"])
      assert.ok(isFailure(error))
      return error.kind
    }
  }
  const times = (count: number, ...[prove, id, address]: Parameters<typeof attempt>): void => {
    for (let i = 0; i < count; i += 1) attempt(prove, id, address)
  }
  return { clock, audit, telemetry, attempts, attempt, times }
}

test("after wrong secrets of one key an address waits for this key, longer each time, and for no other", async () => {
  const { clock, attempt, times } = world()
  for (let i = 0; i < 5; i += 1) assert.equal(attempt(wrong), "signatureMismatch")
  assert.deepEqual([attempt(wrong), attempt(right)], [1, 1], "during a wait nothing is compared")
  assert.equal(attempt(right, "KEY2"), "proved")
  assert.equal(attempt(right, "KEY1", ELSEWHERE), "proved", "the owner, who is elsewhere")
  assert.equal(attempt(wrong, "KEY1", ELSEWHERE), "signatureMismatch")
  await clock.advance(1_000)
  assert.equal(attempt(wrong), "signatureMismatch")
  assert.equal(attempt(right), 2)
  for (let i = 0; i < 10; i += 1) {
    await clock.advance(30_000)
    times(2, wrong)
  }
  assert.equal(attempt(right), 30, "not without end")
  await clock.advance(15 * MINUTE_MS)
  for (let i = 0; i < 5; i += 1) assert.equal(attempt(wrong), "signatureMismatch", "it was a while ago")
})

test("an IPv6 prefix is one client", () => {
  const { attempt, times } = world()
  times(5, wrong, "KEY1", "2001:db8:1:2::1")
  assert.equal(attempt(right, "KEY1", "2001:db8:1:2:9::1"), 1)
  assert.equal(attempt(right, "KEY1", "2001:db8:1:3::1"), "proved")
})

test("a client that proves the secret between wrong attempts does not wait", async () => {
  const { clock, attempt, times } = world()
  assert.equal(attempt(right), "proved")
  times(5, wrong)
  assert.equal(attempt(right), 1, "nothing is kept of those who have proved it before the first wrong attempt")
  await clock.advance(1_000)
  assert.equal(attempt(right), "proved")
  for (let i = 0; i < 20; i += 1) {
    assert.equal(attempt(wrong), "signatureMismatch")
    assert.equal(attempt(right), "proved")
  }
  assert.equal(attempt(wrong, "KEY1", ELSEWHERE), "signatureMismatch")
  times(4, wrong, "KEY1", ELSEWHERE)
  assert.equal(attempt(wrong, "KEY1", ELSEWHERE), 1, "it helps nobody at another address")
  await clock.advance(15 * MINUTE_MS)
  times(5, wrong)
  assert.equal(attempt(right), 1)
})

test("failures that tell nothing of the secret do not count", () => {
  const { attempt, times } = world()
  for (const kind of ["invalidUri", "databaseUnreachable", "internal"] as const) {
    times(10, () => {
      throw fail(kind)
    })
  }
  assert.equal(attempt(wrong), "signatureMismatch")
})

test("at a door where no key is named, addresses wait, whatever succeeds in between", async () => {
  const { attempts, clock } = world()
  const by = { address: HERE, id: undefined, operation: "signIn", requestId: "R" }
  for (let i = 0; i < 5; i += 1) {
    assert.equal(await attempts.signIn(by, right), "proved")
    assert.equal(await attempts.signIn(by, () => undefined), undefined)
  }
  await assert.rejects(attempts.signIn(by, right), error => isFailure(error, "rateExceeded"))
  assert.throws(
    () => attempts.checkWait(by),
    error => isFailure(error, "rateExceeded"),
  )
  assert.equal(await attempts.signIn({ ...by, operation: "useToken" }, right), "proved", "another door")
  assert.equal(attempts.attempt({ address: HERE, id: "KEY1" }, right), "proved", "a key")
  await clock.advance(1_000)
  attempts.checkWait(by)
})

test("the audit log has each wrong attempt to sign in that is compared, up to a number an hour, and no secret", async () => {
  const { attempts, audit, clock } = world()
  const by = { address: HERE, id: "KEY1", operation: "swift:SignIn", requestId: "R" }
  for (let i = 0; i < 9; i += 1) await assert.rejects(attempts.signIn(by, wrong))
  assert.equal(audit.all.length, 5, "attempts during the wait are not there")
  assert.deepEqual(audit.last("swift:SignIn"), {
    id: "0000000000007-eeeeeeee",
    atMs: 7,
    operation: "swift:SignIn",
    target: "KEY1",
    requestId: "R",
    caller: { kind: "anonymous", id: "", name: "", address: HERE },
    request: undefined,
    before: undefined,
    after: undefined,
    ended: { atMs: 8, outcome: "signatureMismatch" },
  })
  await attempts.signIn({ ...by, address: ELSEWHERE }, right)
  assert.equal(audit.all.length, 5)
  await attempts.signIn({ ...by, address: "10.1.1.1", target: "x".repeat(60_000) }, () => undefined)
  assert.equal(audit.last("swift:SignIn")?.target, "x".repeat(256), "strangers do not fill the log")
  for (let i = 0; i < 150; i += 1) await attempts.signIn({ ...by, address: `10.0.0.${i}` }, () => undefined)
  assert.equal(audit.all.length, 100)
  await clock.advance(60 * MINUTE_MS)
  await attempts.signIn(by, () => undefined)
  assert.equal(audit.all.length, 101)
})

test("each wait is logged once", () => {
  const { telemetry, times } = world()
  times(9, wrong)
  assert.deepEqual(
    telemetry.entries("wrong_secrets").map(({ fields }) => fields),
    [{ remote: HERE, key: "KEY1", count: 5 }],
  )
})

test("the subjects that are kept are limited: the oldest is forgotten", () => {
  const { attempt, times } = world()
  times(5, wrong)
  for (let i = 0; i < 9_999; i += 1) attempt(wrong, `OTHER${i}`)
  assert.equal(attempt(right), 1)
  attempt(wrong, "ONEMORE")
  assert.equal(attempt(right), "proved")
})

test("threads that tell each other what counts are like one", async () => {
  const threads = [world(), world(), world()]
  for (const { attempts } of threads) {
    attempts.onCounted = counted => {
      for (const other of threads)
        if (other.attempts !== attempts) other.attempts.countElsewhere(structuredClone(counted))
    }
  }
  const [one, two, three] = threads
  assert.ok(one !== undefined && two !== undefined && three !== undefined)
  two.times(2, wrong)
  one.times(3, wrong)
  assert.deepEqual([one.attempt(right), two.attempt(right), three.attempt(right)], [1, 1, 1])
  assert.equal(three.attempt(right, "KEY2"), "proved")
  for (const { clock } of threads) await clock.advance(1_000)
  assert.equal(three.attempt(right), "proved")
  for (const { times, attempt } of threads) {
    times(10, wrong)
    assert.equal(attempt(right), "proved", "it is known to have proved the secret")
  }
  assert.equal(threads.flatMap(({ telemetry }) => telemetry.entries("wrong_secrets")).length, 1)
})
