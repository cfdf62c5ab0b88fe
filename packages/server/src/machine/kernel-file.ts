/** Reads files that the kernel makes: they have no size, and are read until they end. */
import type { Disk } from "@hayloft/base/seams/disk/contract.js"

/** Returns "" if there is no such file, or it may not be read. */
export async function kernelFile(disk: Pick<Disk, "open">, path: string, bytesMax: number): Promise<string> {
  const bytes = new Uint8Array(bytesMax)
  let length = 0
  try {
    const file = await disk.open(path, "read")
    try {
      for (;;) {
        const read = await file.read(bytes.subarray(length), length)
        length += read
        if (read === 0 || length === bytes.length) break
      }
    } finally {
      await file.close()
    }
  } catch {
    return ""
  }
  return new TextDecoder().decode(bytes.subarray(0, length))
}
