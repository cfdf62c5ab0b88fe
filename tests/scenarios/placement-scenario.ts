/**
 * Placement, step by step: devices with weights and failure domains, their planned layout, and the next layout
 * after each change. With few partitions the whole table is printed.
 */
import { must } from "@hayloft/base/assert.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { parsePolicy, shardCount } from "@hayloft/base/policy.js"
import {
  aliveSlots,
  isSound,
  movement,
  planLayout,
  planNext,
  replaceDevice,
  slotsPerDevice,
  usableBytes,
  weightsFor,
  type FailureDomains,
  type Layout,
  type LayoutDevice,
} from "@hayloft/engine/placement/index.js"
import { aliveHistogram, idealUsableBytes, riskiestFirst } from "@hayloft/engine/placement/testing-placement.js"
import { numberOf, shownBytes, type Call } from "./call.js"
import { idOf, nameOf } from "./devices.js"
import type { Subject } from "./run-scenario.js"

const TABLE_PARTITIONS_MAX = 32
/** Partitions on one line of a table. */
const TABLE_COLUMNS = 8
const RISKS_SHOWN = 4
const LEVELS = ["zone", "machine", "disk"] as const

export class PlacementScenario implements Subject {
  private devices: readonly LayoutDevice[] = []
  private capacities = new Map<DeviceId, number>()
  private current: Layout | undefined

  readonly commands = {
    devices: (call: Call) => this.open(call),
    table: () => this.table(),
    spread: (call: Call) => this.spread(call.word()),
    change: (call: Call) => this.change(call),
    replace: (call: Call) => this.replace(call),
    capacity: (call: Call) => this.capacity(call),
    offline: (call: Call) => this.offline(call),
    weights: (call: Call) => this.weights(call),
  }

  private get layout(): Layout {
    return must(this.current, "the scenario begins with devices")
  }

  private get partitions(): number {
    return this.layout.table.length / this.layout.width
  }

  private open(call: Call): readonly string[] {
    const [partitions, width] = [call.number("partitions", PARTITIONS), call.number("width")]
    this.devices = call.inputCalls().map(line => this.deviceOf(line))
    if (this.devices.filter(({ weight }) => weight > 0).length < width)
      call.reject("needs as many devices as its width")
    this.current = planLayout(this.devices, width, 1, partitions)
    return this.shown(this.layout)
  }

  /** `a weight=2 zone=east machine=m1 disk=d1 capacity=4T read-only` */
  private deviceOf(line: Call): LayoutDevice {
    const id = idOf(line.name)
    const named = LEVELS.flatMap(level => {
      const name = line.optional(level)
      return name === undefined ? [] : [[level, name] as const]
    })
    const domains: FailureDomains = Object.fromEntries(named)
    const capacity = line.number("capacity", 0)
    if (capacity > 0) this.capacities.set(id, capacity)
    const device = { id, weight: line.number("weight", 1), mayGain: !line.flag("read-only"), domains }
    line.checkAllRead()
    return device
  }

  /** Each device with its slots and their share of all slots. */
  private shown(layout: Layout): readonly string[] {
    const held = slotsPerDevice(layout)
    const all = layout.table.length
    const lines = layout.devices.map((id, i) => {
      const weight = this.devices.find(device => device.id === id)?.weight
      const [slots, share] = [held[i] ?? 0, ((100 * (held[i] ?? 0)) / all).toFixed(1)]
      return `${nameOf(id)} weight ${weight}: ${slots} slots, ${share} %`
    })
    const sound = isSound(layout) ? "" : ", NOT SOUND"
    return [`layout ${layout.version}: ${this.partitions} partitions of ${layout.width} slots${sound}`, ...lines]
  }

  private table(): readonly string[] {
    const { width, table, devices } = this.layout
    const names = Array.from({ length: Math.min(this.partitions, TABLE_PARTITIONS_MAX) }, (_, partition) =>
      Array.from(table.subarray(partition * width, (partition + 1) * width), index =>
        nameOf(must(devices[index], "layouts name their devices")),
      ).join(""),
    )
    return Array.from({ length: Math.ceil(names.length / TABLE_COLUMNS) }, (_, row) =>
      names.slice(row * TABLE_COLUMNS, (row + 1) * TABLE_COLUMNS).join(" "),
    )
  }

  /**
   * The numbers of slots of a partition in the domains of a level: counts of partitions by pattern, most frequent
   * first.
   */
  private spread(level: string): readonly string[] {
    const { width, table, devices } = this.layout
    const domainOf = devices.map(id => this.domainOf(id, level))
    const patterns = new Map<string, number>()
    for (let at = 0; at < table.length; at += width) {
      const counts = new Map<string, number>()
      for (const index of table.subarray(at, at + width)) {
        const domain = domainOf[index] ?? ""
        counts.set(domain, (counts.get(domain) ?? 0) + 1)
      }
      const shown = level === "zone" ? [...counts].map(([name, count]) => `${name} ${count}`).sort() : sorted(counts)
      const pattern = shown.join(", ")
      patterns.set(pattern, (patterns.get(pattern) ?? 0) + 1)
    }
    return [...patterns].sort(([, a], [, b]) => b - a).map(([pattern, count]) => `${count} partitions: ${pattern}`)
  }

  private domainOf(id: DeviceId, level: string): string {
    const domains = this.devices.find(device => device.id === id)?.domains ?? {}
    const path = LEVELS.slice(0, 1 + LEVELS.findIndex(each => each === level)).map(each => domains[each] ?? "")
    return path.join("/")
  }

  /** Input: `add e weight=2`, `remove a`, `weight b 3`, `read-only c`, `writable c`. */
  private change(call: Call): readonly string[] {
    const width = call.number("width", this.layout.width)
    for (const line of call.inputCalls()) this.applyChange(line)
    if (this.devices.filter(({ weight }) => weight > 0).length < width) call.reject("leaves too few devices")
    const { layout: before } = this
    this.current = planNext(before, this.devices, width, before.version + 1)
    return [...this.moved(before), ...this.shown(this.layout)]
  }

  private applyChange(line: Call): void {
    if (line.name === "add") {
      this.devices = [...this.devices, this.deviceOf(line.shifted())]
      return
    }
    const id = idOf(line.word())
    const edit = (change: Partial<LayoutDevice>): void => {
      this.devices = this.devices.map(device => (device.id === id ? { ...device, ...change } : device))
    }
    if (!this.devices.some(device => device.id === id)) line.reject("names no device of the layout")
    if (line.name === "remove") this.devices = this.devices.filter(device => device.id !== id)
    else if (line.name === "weight") edit({ weight: numberOf(line.word()) ?? line.reject("needs a weight") })
    else if (line.name === "read-only") edit({ mayGain: false })
    else if (line.name === "writable") edit({ mayGain: true })
    else line.reject("is none of add, remove, weight, read-only, writable")
    line.checkAllRead()
  }

  private moved(before: Layout): readonly string[] {
    const { moved, added, dropped, share, devices } = movement(before, this.layout)
    const changes = [`moved ${moved} slots (${(100 * share).toFixed(1)} %)`]
    if (added > 0) changes.push(`added ${added}`)
    if (dropped > 0) changes.push(`dropped ${dropped}`)
    const flows = [...devices]
      .filter(([, { slotsIn, offlineSlots }]) => slotsIn + offlineSlots > 0)
      .map(([id, { slotsIn, offlineSlots }]) => `${nameOf(id)} +${slotsIn} -${offlineSlots}`)
    return [changes.join(", "), ...(flows.length > 0 ? [flows.join(", ")] : [])]
  }

  private replace(call: Call): readonly string[] {
    const [old, by] = [idOf(call.word()), idOf(call.text("by"))]
    const { layout: before } = this
    this.current = replaceDevice(before, old, by, before.version + 1)
    this.devices = this.devices.map(device => (device.id === old ? { ...device, id: by } : device))
    return [...this.moved(before), ...this.shown(this.layout)]
  }

  private capacity(call: Call): readonly string[] {
    const policy = parsePolicy(call.word())
    const usable = usableBytes(this.layout, this.capacities, policy)
    const ideal = idealUsableBytes([...this.capacities.values()], policy)
    const share = ((100 * usable) / ideal).toFixed(1)
    return [`usable ${shownBytes(usable)}, ${share} % of the ${shownBytes(ideal)} that any placement could use`]
  }

  /** The remaining shards of each partition while devices are offline. */
  private offline(call: Call): readonly string[] {
    const slots = shardCount(parsePolicy(call.text("policy")))
    const offline = call.rest().map(idOf)
    const counting = new Set(this.layout.devices.filter(id => !offline.includes(id)))
    const alive = aliveSlots(this.layout, counting, slots)
    const histogram = aliveHistogram(alive, slots).flatMap((partitions, count) =>
      partitions > 0 ? [`partitions with ${count} of ${slots} shards: ${partitions}`] : [],
    )
    const risks = riskiestFirst(alive, slots, RISKS_SHOWN).map(risk => `${risk.partition} (${risk.alive})`)
    return [...histogram, ...(risks.length > 0 ? [`repaired first: partitions ${risks.join(", ")}`] : [])]
  }

  private weights(call: Call): readonly string[] {
    const capacities = call.rest().map(text => numberOf(text) ?? call.reject(`has ${text}, which is not a capacity`))
    return [weightsFor(capacities).join(" ")]
  }
}

/** Only the counts: `2 1 1`. */
const sorted = (counts: ReadonlyMap<string, number>): readonly string[] => [
  [...counts.values()].sort((a, b) => b - a).join(" "),
]
