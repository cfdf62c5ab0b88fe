/**
 * `hayloft key move-out`: moves the master key of a stopped store from its data folders to a file of the operator.
 *
 * Promises  The file has the key, durably, before the folders lose it. An existing file is never overwritten.
 */
import { constants } from "node:fs"
import { open } from "node:fs/promises"
import { resolve } from "node:path"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { RealLocks } from "@hayloft/base/seams/folder-lock/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import type { StoppedStore } from "@hayloft/node/index.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { answer, type OutputOptions } from "../output.js"
import { localFolders, type StoreOptions } from "../stores.js"
import { printable } from "../text.js"

const OWNER_ONLY = 0o600

export async function moveKeyOut(io: CliIo, file: string, options: StoreOptions & OutputOptions): Promise<void> {
  const path = resolve(io.workingFolder, file)
  const folders = await localFolders(io, options)
  const store = await openStopped(folders)
  if (store === undefined) throw new CliError("notFound", `no store in ${folders.join(", ")}`)
  try {
    await move(store, path)
  } finally {
    await store.close()
  }
  await answer(io, options, { file: path }, `the master key is only in ${printable(path)} now: keep a copy elsewhere\n`)
}

async function openStopped(folders: readonly string[]): Promise<StoppedStore | undefined> {
  // Loaded on demand, because most commands need a running store.
  const { StoppedStore: Stopped } = await import("@hayloft/node/index.js")
  try {
    return await Stopped.open(new RealClock(), new RealRandom(), new RealDisk(), new RealLocks(), folders)
  } catch (error) {
    if (isFailure(error, "folderInUse")) throw new CliError("failed", "the store runs: stop it first")
    throw error
  }
}

async function move(stoppedStore: StoppedStore, path: string): Promise<void> {
  const { openSecrets, sealSecrets } = await import("@hayloft/node/index.js")
  const { record, here } = stoppedStore
  const missing = record.devices.filter(({ id }) => !here.has(id))
  if (missing.length > 0) {
    const devices = missing.map(({ id, pathHint }) => `${id} (last at ${pathHint})`).join(", ")
    throw new CliError("failed", `devices of this store are missing, and would keep the key: ${printable(devices)}`)
  }
  const secrets = openSecrets(record, { current: undefined })
  await writeNew(path, `${hexOf(secrets.masterKey)}\n`)
  await stoppedStore.commit({ ...record, secrets: sealSecrets({ ...secrets, keyInRecord: false }, new RealRandom()) })
}

/** Throws if the file exists. */
async function writeNew(path: string, text: string): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, OWNER_ONLY).catch(
    (error: unknown) => {
      const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
      throw new CliError("failed", `cannot create ${printable(path)} (${code})`)
    },
  )
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}
