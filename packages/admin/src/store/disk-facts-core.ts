/** Facts about a disk as Linux and `smartctl --json` state them. Pure. */
import { z } from "zod"
import { DISK_HEALTH, DISK_IO } from "./store-schemas.js"

type DiskIo = z.output<typeof DISK_IO>
export type DiskHealth = z.output<typeof DISK_HEALTH>

/** A sector of `/sys/dev/block/…/stat`, whatever the disk has. */
const SECTOR_BYTES = 512

/** Returns undefined for a text that is not that of `/sys/dev/block/…/stat`. */
export function ioOf(stat: string): DiskIo | undefined {
  const [reads, , sectorsRead, readMs, writes, , sectorsWritten, writeMs, inFlight] = stat
    .trim()
    .split(/\s+/)
    .map(Number)
  const parsed = DISK_IO.safeParse({
    reads,
    readBytes: (sectorsRead ?? Number.NaN) * SECTOR_BYTES,
    readMs,
    writes,
    writtenBytes: (sectorsWritten ?? Number.NaN) * SECTOR_BYTES,
    writeMs,
    inFlight,
  })
  return parsed.data
}

const SMART = z.object({
  model_name: z.string().optional(),
  serial_number: z.string().optional(),
  smart_status: z.object({ passed: z.boolean() }).optional(),
  temperature: z.object({ current: z.number() }).optional(),
  power_on_time: z.object({ hours: z.number() }).optional(),
  nvme_smart_health_information_log: z.object({ percentage_used: z.number().optional() }).optional(),
  ata_smart_attributes: z
    .object({ table: z.array(z.object({ id: z.number(), raw: z.object({ value: z.number() }) })) })
    .optional(),
})

const REALLOCATED_SECTORS = 5

function parseSmart(text: string): z.output<typeof SMART> | undefined {
  try {
    return SMART.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

/** Returns undefined if the text of `smartctl` tells nothing of the disk, as without the permission. */
export function healthOf(text: string): DiskHealth | undefined {
  const smart = parseSmart(text)
  if (smart?.smart_status === undefined && smart?.temperature === undefined) return undefined
  const reallocated = smart.ata_smart_attributes?.table.find(({ id }) => id === REALLOCATED_SECTORS)
  const facts = {
    model: smart.model_name,
    serial: smart.serial_number,
    isHealthy: smart.smart_status?.passed,
    celsius: smart.temperature?.current,
    powerOnHours: smart.power_on_time?.hours,
    wearPercent: smart.nvme_smart_health_information_log?.percentage_used,
    reallocatedSectors: reallocated?.raw.value,
  }
  return DISK_HEALTH.parse(Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)))
}

/** The files of a block device, by the number that file systems state. */
export function sysFolderOf(disk: string): string {
  const number = BigInt(disk)
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n)
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n)
  return `/sys/dev/block/${major}:${minor}`
}

/** Returns undefined for a text that is not that of `/sys/dev/block/…/uevent`. */
export const nameIn = (uevent: string): string | undefined => /^DEVNAME=([\w!-]+)$/m.exec(uevent)?.[1]
