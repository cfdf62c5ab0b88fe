/**
 * Asks a disk for its health by `smartctl`, where it is installed and permitted; a disk that sleeps is not woken.
 *
 * Limits  `TIMEOUT_MS` a disk.
 */
import { execFile } from "node:child_process"

const TIMEOUT_MS = 10_000
const OUTPUT_BYTES_MAX = 1024 * 1024
const ARGUMENTS = ["--json", "--nocheck=standby", "--info", "--health", "--attributes"]

/** Returns "" without the program. Its status is a sum of bits, some of which only tell of the disk: its text says what it knows. */
export const smartctl = (device: string): Promise<string> =>
  new Promise(resolve => {
    execFile("smartctl", [...ARGUMENTS, device], { timeout: TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX }, (_, text) =>
      resolve(text),
    )
  })
