/** The operator's master key file: 64 hex digits, or 32 raw bytes. */
import { bytesOfHex } from "../../base/bytes.js"
import { fail } from "../../base/failures.js"
import { MASTER_KEY_BYTES } from "../../access/index.js"
import { readRecordFile } from "../../device/index.js"
import type { Disk } from "../../seams/disk/contract.js"

/** Throws `invalidConfig` if the file is missing or holds no key. */
export async function readMasterKeyFile(disk: Disk, path: string): Promise<Uint8Array> {
  const bytes = await readRecordFile(disk, path)
  if (!bytes)
    throw fail("invalidConfig", {
      message: `the master key file ${path} does not exist; create it with: openssl rand -hex 32 > ${path}`,
    })
  const key = bytes.length === MASTER_KEY_BYTES ? bytes : bytesOfHex(Buffer.from(bytes).toString("latin1").trim())
  if (key?.length !== MASTER_KEY_BYTES) {
    throw fail("invalidConfig", { message: `${path} holds no master key: 64 hex digits or 32 bytes are expected` })
  }
  return key
}
