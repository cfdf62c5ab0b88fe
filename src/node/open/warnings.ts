/** Warnings for the operator before this start is trusted with data: one line each. */
import type { Disk } from "../../seams/disk/contract.js"
import type { ListenAddress, ServeConfig } from "../../config/index.js"
import type { OpenedStore } from "./open-store.js"

const VOLATILE = new Set(["tmpfs", "ramfs"])
const REMOTE = new Set(["nfs", "cifs", "smb", "smb2", "fuse"])

export async function warningsOf(
  disk: Disk,
  config: ServeConfig,
  store: OpenedStore,
  isLoopback: (address: ListenAddress) => boolean,
): Promise<string[]> {
  const warnings: string[] = []
  if (!config.tls && !isLoopback(config.listen)) {
    warnings.push(
      `S3 listens on ${config.listen.host} without TLS: requests can be read in transit; pass --tls-cert and --tls-key`,
    )
  }
  if (!config.tls && !isLoopback(config.adminListen)) {
    warnings.push(`the admin port listens on ${config.adminListen.host} without TLS: its token can be read in transit`)
  }
  warnings.push(...store.notes)
  for (const { id, pathHint, state } of store.record.devices) {
    if (state === "offline") warnings.push(`missing: device ${id}, last at ${pathHint}`)
  }
  for (const { identity } of store.devices) {
    const folder = identity.path
    const { fileSystemKind } = await disk.space(folder)
    if (VOLATILE.has(fileSystemKind))
      warnings.push(`${folder} is on ${fileSystemKind}: its contents are lost in a power cut`)
    if (REMOTE.has(fileSystemKind))
      warnings.push(`${folder} is on ${fileSystemKind}: durability depends on how that server handles a sync`)
  }
  return warnings
}
