/**
 * History of rows whose every value is written by one operation alone, and whose every change returns the value before.
 * So the order of all changes is known, and it must be one that real time allows.
 */
import assert from "node:assert/strict"

type Value = string | undefined

interface Operation {
  readonly key: string
  readonly before: Value
  /** The same as before: it only read. */
  readonly after: Value
  readonly beganMs: number
  readonly endedMs: number
}

export class History {
  private readonly operations: Operation[] = []

  constructor(private readonly nowMs: () => number) {}

  /** Returns the function that records the operation's effect, once it has succeeded. */
  begin(): (key: string, before: Value, after: Value) => void {
    const beganMs = this.nowMs()
    return (key, before, after) => void this.operations.push({ key, before, after, beganMs, endedMs: this.nowMs() })
  }

  /** Throws if the operations, then the final values, are not as if one had come after the other. */
  check(keys: readonly string[], last: readonly Value[]): void {
    for (const [at, key] of keys.entries()) {
      const own = this.operations.filter(operation => operation.key === key)
      checkKey(own, last[at], message => `${key}: ${message}`)
    }
  }
}

const isChange = ({ before, after }: Operation): boolean => before !== after

function checkKey(operations: readonly Operation[], last: Value, say: (message: string) => string): void {
  const changes = operations.filter(isChange)
  const makers = new Map(changes.map(change => [change.after, change]))
  const enders = new Map<Value, Operation>()
  for (const change of changes) {
    if (change.before === undefined) continue
    assert.ok(!enders.has(change.before), say(`${change.before} was replaced twice`))
    assert.ok(makers.has(change.before), say(`${change.before} was replaced, and nobody was told that it was written`))
    enders.set(change.before, change)
  }
  for (const value of makers.keys()) {
    const isGone = value === undefined || enders.has(value)
    assert.equal(isGone ? undefined : value, isGone ? undefined : last, say(`${value} was written, and is lost`))
  }
  assert.ok(last === undefined || (makers.has(last) && !enders.has(last)), say(`${last} is there, and was replaced`))
  const made = changes.filter(({ before }) => before === undefined).length
  const deleted = changes.filter(({ after }) => after === undefined).length
  assert.equal(made - deleted, last === undefined ? 0 : 1, say(`made ${made} times, deleted ${deleted} times`))
  for (const { before: value, beganMs, endedMs } of operations) {
    if (value === undefined) continue
    const [maker, ender] = [makers.get(value), enders.get(value)]
    assert.ok(maker !== undefined && maker.beganMs <= endedMs, say(`${value} was seen before it was written`))
    assert.ok(ender === undefined || ender.endedMs >= beganMs, say(`${value} was seen after it was replaced`))
  }
}
