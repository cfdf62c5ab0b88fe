/**
 * Root credentials from a store's data folders, for a running or stopped store: for `hayloft env` and for signing
 * requests of the command line. Only reads; takes no lock.
 */
import { fail } from "@hayloft/base/failures.js"
import {
  newestControlRecord,
  readControlRecord,
  readRecordFile,
  readSuperblock,
  type PresentDevice,
} from "@hayloft/engine/device/index.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { parseRuntimeFile, RUNTIME_FILE_NAME, type RuntimeFile, type StoreCredentials } from "@hayloft/client/index.js"
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { openSecrets, readMasterKeyFiles } from "@hayloft/node/index.js"

const ENDPOINT_DEFAULT = "http://127.0.0.1:9000"
const ADMIN_ENDPOINT_DEFAULT = "http://127.0.0.1:9001"

/**
 * Unseals the root credentials in the data folders of a running or stopped store.
 * Throws `wrongMasterKey`, `foreignFolder`, `folderNotEmpty`, `devicesMissing`, or `invalidConfig` if there is no
 * store.
 */
export async function unsealRootCredentials(
  dataFolders: readonly string[],
  masterKeyFile: string | undefined,
  nextMasterKeyFile?: string,
): Promise<StoreCredentials> {
  const disk = new RealDisk()
  const present: PresentDevice[] = []
  const candidates: { folder: string; incarnation: number }[] = []
  for (const folder of dataFolders) {
    const superblock = await readSuperblock(disk, folder)
    if (!superblock) continue
    const { deviceId: id, storeId, incarnation } = superblock
    candidates.push({ folder, incarnation })
    present.push({ id, storeId, path: folder, record: await readControlRecord(disk, folder) })
  }
  const chosen = newestControlRecord(present)
  if (!chosen) throw fail("invalidConfig", { message: `no store in ${dataFolders.join(", ")}` })
  const files = await readMasterKeyFiles(disk, { masterKeyFile, nextMasterKeyFile })
  const { root, adminToken } = openSecrets(chosen.record, files)
  // A folder that was absent has the address of an earlier process.
  candidates.sort((a, b) => b.incarnation - a.incarnation)
  const newestFirst = candidates.map(({ folder }) => folder)
  return { ...(await endpointsOf(disk, newestFirst, chosen.record)), ...pairOf(root), adminToken }
}

const pairOf = (root: { accessKeyId: string; secret: string }) => ({
  accessKeyId: root.accessKeyId,
  secretAccessKey: root.secret,
})

async function endpointsOf(
  disk: RealDisk,
  dataFolders: readonly string[],
  record: ControlRecord,
): Promise<Omit<RuntimeFile, "pid">> {
  for (const folder of dataFolders) {
    const bytes = await readRecordFile(disk, `${folder}/${RUNTIME_FILE_NAME}`)
    const runtime = bytes && parseRuntimeFile(Buffer.from(bytes).toString("utf8"))
    if (runtime === undefined) continue
    const { pid: _, ...endpoints } = runtime
    return endpoints
  }
  const region = record.region === "" ? REGION_DEFAULT : record.region
  return { endpoint: ENDPOINT_DEFAULT, adminEndpoint: ADMIN_ENDPOINT_DEFAULT, region }
}
