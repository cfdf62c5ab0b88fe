/** The operator's master key files: 64 hex digits, or 32 raw bytes. */
import { bytesOfHex } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { MASTER_KEY_BYTES } from "@hayloft/access/index.js"
import { readRecordFile } from "@hayloft/engine/device/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { MasterKeyFiles } from "./secrets.js"

interface Paths {
  readonly masterKeyFile?: string | undefined
  readonly nextMasterKeyFile?: string | undefined
}

/** Throws `invalidConfig` if a file is missing or holds no key. */
export async function readMasterKeyFiles(
  disk: Disk,
  { masterKeyFile, nextMasterKeyFile }: Paths,
): Promise<MasterKeyFiles> {
  const other = nextMasterKeyFile === undefined ? "" : `, or after a rotation ${nextMasterKeyFile} as --master-key-file`
  const lacking = `a new store gets one with: openssl rand -hex 32 > FILE; a store that exists needs the file that it had${other}`
  const lackingNext =
    "create it with: openssl rand -hex 32 > FILE; after its rotation the store needs the file that it had"
  return {
    current: masterKeyFile === undefined ? undefined : await readKey(disk, masterKeyFile, lacking),
    next: nextMasterKeyFile === undefined ? undefined : await readKey(disk, nextMasterKeyFile, lackingNext),
  }
}

/** `advice`: if there is no such file. */
async function readKey(disk: Disk, path: string, advice: string): Promise<Uint8Array> {
  const bytes = await readRecordFile(disk, path)
  if (!bytes) throw fail("invalidConfig", { message: `the master key file ${path} does not exist; ${advice}` })
  const key = bytes.length === MASTER_KEY_BYTES ? bytes : bytesOfHex(Buffer.from(bytes).toString("latin1").trim())
  if (key?.length !== MASTER_KEY_BYTES) {
    throw fail("invalidConfig", { message: `${path} holds no master key: 64 hex digits or 32 bytes are expected` })
  }
  return key
}
