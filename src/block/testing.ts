/** Devices in memory that come and go, fail and fill up, for tests of what rests on blocks. */
import { must } from "../base/assert.js"
import { parseDeviceId, parseIncarnation, type DeviceId } from "../base/ids.js"
import { SimDisk } from "../seams/disk/index.js"
import { openVolumes, type NeedleId, type Volumes } from "../volume/index.js"
import type { ShardDevice } from "./contract.js"
import { ALL_NEEDLES } from "./survey-core.js"

export const deviceIdOf = (number: number): DeviceId => parseDeviceId(number.toString(16).padStart(16, "0"))

/** What a test does to a shard that is read or written: throws, or waits. */
export type Meddle = (what: "append" | "read", id: NeedleId, device: DeviceId) => void | Promise<void>

/** The rows that an index lies in. */
export type MakeRows = () => Promise<Parameters<typeof openVolumes>[1]>

export class TestDevices {
  readonly disk = new SimDisk()
  /** Those that take part now. */
  readonly live = new Map<DeviceId, ShardDevice>()
  /** Devices that take no new needles. */
  readonly down = new Set<DeviceId>()
  readonly full = new Set<DeviceId>()
  meddle: Meddle = () => undefined
  private readonly all = new Map<DeviceId, ShardDevice>()

  constructor(private readonly makeRows: MakeRows) {}

  /** An empty device, in a folder of its own. */
  async add(number: number): Promise<DeviceId> {
    const id = deviceIdOf(number)
    const home = { folder: `/d${number}`, deviceId: id, incarnation: parseIncarnation(1) }
    const volumes = await openVolumes(this.disk.boot(), await this.makeRows(), home, undefined)
    const { down, full } = this
    const device: ShardDevice = {
      id,
      volumes: meddled(volumes, (what, needle) => this.meddle(what, needle, id)),
      get isWritable() {
        return !down.has(id)
      },
      get isFull() {
        return full.has(id)
      },
    }
    this.all.set(id, device)
    this.live.set(id, device)
    return id
  }

  takeOut(id: DeviceId): void {
    this.live.delete(id)
  }

  /** As it was when it was taken out. */
  bringBack(id: DeviceId): void {
    this.live.set(id, must(this.all.get(id), "it was here before"))
  }

  /** Needles that a device holds, whether it takes part or not. */
  needlesOn(id: DeviceId): number {
    const { volumes } = must(this.all.get(id), "it was here before")
    return [...volumes.indexed(ALL_NEEDLES)].length
  }
}

/** The same volumes, with somebody who is told first of what is appended and read. */
const meddled = (volumes: Volumes, meddle: (what: "append" | "read", id: NeedleId) => void | Promise<void>): Volumes =>
  changed(volumes, {
    append: async needle => {
      await meddle("append", needle.id)
      await volumes.append(needle)
    },
    read: async (id, range, allocate) => {
      await meddle("read", id)
      return volumes.read(id, range, allocate)
    },
  })

/** The same volumes, but for what is changed. */
export function changed(volumes: Volumes, changes: Partial<Volumes>): Volumes {
  return new Proxy(volumes, {
    get(of, name): unknown {
      const change: unknown = Reflect.get(changes, name)
      if (change !== undefined) return change
      const value: unknown = Reflect.get(of, name)
      return typeof value === "function" ? value.bind(of) : value
    },
  })
}
