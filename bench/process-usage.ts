/** The resource usage of a process, from /proc (Linux); on other systems a row reports that it is not available. */
import { readFile } from "node:fs/promises"
import { must } from "../src/base/assert.js"
import { Unmeasured } from "./row.js"

/** The kernel's clock ticks per second for programs, on every Linux. */
const TICKS_PER_SECOND = 100

async function procText(pid: number, name: string): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/${name}`, "utf8")
  } catch {
    throw new Unmeasured(`needs /proc/PID/${name}`)
  }
}

/** Seconds of processor time of all threads, user and system. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  return parseStat(await procText(pid, "stat"))
}

/** The name of the process is in parentheses, and may contain parentheses itself. */
export function parseStat(text: string): number {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

async function statusMegabytes(pid: number, name: string): Promise<number> {
  const text = await procText(pid, "status")
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]
  return (Number(must(kib, `the status has ${name}`)) * 1024) / 1e6
}

/** Current resident memory. */
export const residentMegabytes = (pid: number): Promise<number> => statusMegabytes(pid, "VmRSS")

/** Peak resident memory. */
export const peakMegabytes = (pid: number): Promise<number> => statusMegabytes(pid, "VmHWM")

/** Bytes written to disks since its start. */
export async function writtenBytesOf(pid: number): Promise<number> {
  const text = await procText(pid, "io")
  return Number(must(/^write_bytes: (\d+)$/m.exec(text)?.[1], "io has write_bytes"))
}
