/** `hayloft volume inspect FILE`: what a file of a data folder holds, one finding a line. */
import { open } from "node:fs/promises"
import { resolve } from "node:path"
import { CliError } from "./exit-codes.js"
import { inspectFile, type Finding, type ReadAt } from "./inspect.js"
import type { CliIo } from "./io.js"
import { answer, type OutputOptions } from "./output.js"
import { printable } from "./text.js"

export async function inspectCommand(io: CliIo, path: string, options: OutputOptions): Promise<void> {
  const file = await open(resolve(io.workingFolder, path), "r")
  try {
    const read: ReadAt = async (offsetBytes, lengthBytes) => {
      const buffer = Buffer.alloc(lengthBytes)
      const { bytesRead } = await file.read(buffer, 0, lengthBytes, offsetBytes)
      return buffer.subarray(0, bytesRead)
    }
    const findings = await inspectFile(read)
    if (findings === undefined) throw new CliError("failed", `${path} begins like no file that a data folder holds`)
    let [count, damaged] = [0, 0]
    for await (const finding of findings) {
      await answer(io, options, finding, findingText(finding))
      count += 1
      if (!finding.intact) damaged += 1
    }
    if (damaged > 0) throw new CliError("failed", `${path}: ${damaged} of ${count} findings are damaged`)
  } finally {
    await file.close()
  }
}

const INDENT: Readonly<Record<Finding["what"], string>> = {
  volume: "",
  group: "",
  needle: "  ",
  batch: "",
  entry: "  ",
  end: "",
  superblock: "",
  control: "",
  device: "  ",
  tablet: "  ",
}

function findingText({ what, offsetBytes, intact, fields }: Finding): string {
  const shown = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "string" ? printable(value) || '""' : value}`,
  )
  return `${String(offsetBytes).padStart(12)}  ${INDENT[what]}${what}${intact ? "" : " DAMAGED"} ${shown.join(" ")}\n`
}
