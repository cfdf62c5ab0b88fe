/**
 * Item history: what clients of K2V were told, and what that requires of each later read.
 *
 * Every value has a name of its own. A token of a read covers exactly the values that the read returned: others that it
 * might cover were gone by then.
 *
 * Promises  A value that was acknowledged, or was read once, is in each later read until a write begins whose token
 *           covers it. It is in none that begins after such a write was acknowledged, or after a read without it.
 */
import { check } from "./checks.js"

interface Value {
  readonly key: string
  readonly name: string
  readonly beginTick: number
  /** It is certainly there from then on. */
  thereTick: number | undefined
  /** When the first write began whose token covers it. */
  coveredFromTick: number | undefined
  /** It is certainly gone from then on. */
  goneTick: number | undefined
  isRefused: boolean
}

/** A write whose response is awaited. `name` undefined: a tombstone. */
export interface ItemWriteBegun {
  readonly key: string
  readonly name: string | undefined
  readonly covers: ReadonlySet<string>
}

export class ItemHistory {
  private readonly values = new Map<string, Value>()
  private readonly told: string[] = []
  private tick = 0

  now(): number {
    this.tick += 1
    return this.tick
  }

  get count(): number {
    return this.told.length
  }

  /** For the digest of a run. */
  story(): string {
    return this.told.join("\n")
  }

  begin(key: string, name: string | undefined, covers: ReadonlySet<string>): ItemWriteBegun {
    const beginTick = this.now()
    for (const covered of covers) {
      const value = this.values.get(covered)
      if (value !== undefined) value.coveredFromTick ??= beginTick
    }
    if (name !== undefined) {
      const open = { thereTick: undefined, coveredFromTick: undefined, goneTick: undefined, isRefused: false }
      this.values.set(name, { key, name, beginTick, ...open })
    }
    return { key, name, covers }
  }

  /** `refused`: by the contract it had no effect. A write that never ends may have happened. */
  end({ key, name, covers }: ItemWriteBegun, outcome: "done" | "refused"): void {
    const endTick = this.now()
    this.told.push(`${key} ${name ?? "deleted"} ${outcome}`)
    const value = name === undefined ? undefined : this.values.get(name)
    if (outcome === "refused") {
      if (value !== undefined) value.isRefused = true
      return
    }
    if (value !== undefined) value.thereTick ??= endTick
    for (const covered of covers) {
      const old = this.values.get(covered)
      if (old !== undefined) old.goneTick ??= endTick
    }
  }

  read(key: string, names: readonly string[], beginTick: number): void {
    const endTick = this.now()
    this.told.push(`${key} has ${names.join()}`)
    const found = new Set(names)
    check("valuesStay", found.size === names.length, () => `${key} has ${names.join()}: one of them twice`)
    for (const name of found) this.checkFound(key, name, beginTick, endTick)
    for (const value of this.values.values()) {
      if (value.key !== key || found.has(value.name)) continue
      const isThere = value.thereTick !== undefined && value.thereTick < beginTick
      if (!isThere) continue
      check("valuesStay", value.coveredFromTick !== undefined && value.coveredFromTick < endTick, () => {
        return `${key} has ${names.join() || "nothing"}: "${value.name}" is lost, which no token has covered`
      })
      value.goneTick ??= endTick
    }
  }

  private checkFound(key: string, name: string, beginTick: number, endTick: number): void {
    const value = this.values.get(name)
    const isKnown = value !== undefined && value.key === key && value.beginTick < endTick
    check("noPartialWrites", isKnown, () => `${key} has "${name}", which nobody wrote`)
    check("refusedStaysOut", !value.isRefused, () => `${key} has "${name}", which was refused`)
    const isGone = value.goneTick !== undefined && value.goneTick < beginTick
    check("valuesGo", !isGone, () => `${key} has "${name}", which a token had replaced`)
    value.thereTick ??= endTick
  }
}
