/** The machines and zones of a store, and what is known of their safety. Pure. */
import type { Policy } from "@hayloft/base/policy.js"
import type { DomainLevel } from "./safety-blocks-core.js"

export type DomainLevelName = "machines" | "zones"

/** States whether all devices of a machine, or of a zone, may fail together. */
export interface DomainSafety {
  readonly count: number
  /** How many arbitrary ones may fail without a loss; -1 if something is not readable now. */
  readonly now: number
  /** The same once every device is back or replaced and has all that the layout assigns to it. */
  readonly whole: number
  /** The domains that must not fail now: the loss of one alone loses something. */
  readonly critical: readonly string[]
  /** The reason why none may fail even then: a block under the policy has up to `shards` in one of them, and can lose `spare`. */
  readonly crowded?: { readonly policy: Policy; readonly shards: number; readonly spare: number }
}

export interface NamedLevel extends DomainLevel {
  readonly name: DomainLevelName
  /** By number of the domain. */
  readonly names: readonly string[]
}

interface Named {
  readonly zone?: string
  readonly machine?: string
}

const machineOf = ({ zone, machine = "" }: Named): string => (zone === undefined ? machine : `${zone}/${machine}`)

/** Machines if any device has a home, and zones if any is named. */
export function namedDomains(devices: readonly Named[]): readonly NamedLevel[] {
  if (devices.every(({ machine }) => machine === undefined)) return []
  const machines = levelOf("machines", devices.map(machineOf))
  if (devices.every(({ zone }) => zone === undefined)) return [machines]
  return [
    machines,
    levelOf(
      "zones",
      devices.map(({ zone = "" }) => zone),
    ),
  ]
}

function levelOf(name: DomainLevelName, ofDevices: readonly string[]): NamedLevel {
  const names = [...new Set(ofDevices)]
  const numbers = new Map(names.map((each, number) => [each, number]))
  return { name, names, count: names.length, numbers: Uint16Array.from(ofDevices, each => numbers.get(each) ?? 0) }
}
