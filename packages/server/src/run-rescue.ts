/** Runs a rescue of real folders: opens seams, sources and the new store, and closes all of them in order. */
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { RealTelemetry } from "@hayloft/base/seams/telemetry/real.js"
import type { CliIo } from "@hayloft/cli/io.js"
import { runStore } from "./run-store.js"
import { realSeams } from "./serve.js"
import { readMasterKeyFiles } from "@hayloft/node/open/master-key-file.js"
import type { MasterKeyFiles } from "@hayloft/node/open/secrets.js"
import type { RescueSummary } from "@hayloft/node/rescue/report.js"
import { Rescue, type RescueRequest } from "@hayloft/node/rescue/rescue.js"
import { SourceDisk } from "@hayloft/node/rescue/source-disk.js"
import { SourceShards } from "@hayloft/node/rescue/source-shards.js"
import { openSources, type Sources } from "@hayloft/node/rescue/sources.js"
import { isBegun } from "@hayloft/node/rescue/begun-rescue.js"
import { StoreTarget } from "@hayloft/node/rescue/store-target.js"
import { DryTarget } from "@hayloft/node/rescue/target.js"

/** Reads only decode missing shards; nothing is encoded here. */
const SLABS = { slabBytes: 64 * KIB, poolBytes: 1 * MIB }
/** For a source without a readable identity. */
const UNKNOWN_STORE = "unknown"

/**
 * The new store gets the operator's key of the old one: the other one may have been replaced because others know it. Either
 * opens it, if an earlier attempt has made it.
 */
function keysOfTarget({ secrets }: Sources, { current, next }: MasterKeyFiles): MasterKeyFiles {
  const key = secrets?.keyInRecord === false ? secrets.masterKey : (current ?? next)
  return { current: key, next: key === next ? current : next }
}

/** Throws errors of folders and settings before anything is written; the signal's reason when it fires. */
export async function runRescue(request: RescueRequest, io: CliIo, signal: AbortSignal): Promise<RescueSummary> {
  const { config, isDryRun, lockedBuckets, onEntry, onBytes } = request
  const seams = realSeams(config, io)
  const { clock, disk, locks } = seams
  const fileKeys = await readMasterKeyFiles(disk, config)
  const sourceDisk = new SourceDisk(disk)
  const sources = await openSources(sourceDisk, locks, request.from, fileKeys, seams.random)
  const source = sources.storeId ?? UNKNOWN_STORE
  await isBegun(disk, config.dataFolders, source)
  const compute = new InlineCompute(makeCodec, SLABS)
  // Separate from the metrics of the new store.
  const { metrics } = new RealTelemetry(clock, line => io.error(line), config.log)
  const shards = new SourceShards(clock, compute, metrics, sourceDisk, sources)
  const rootKey = config.rootKey ?? sources.secrets?.root
  // Data that nobody could read on the old disks is not readable on the new ones.
  const encryptAtRest = config.encryptAtRest || sources.cipher !== undefined
  const settings = {
    ...config,
    encryptAtRest,
    rootKey: rootKey && { accessKeyId: rootKey.accessKeyId, secret: rootKey.secret },
  }
  const target = isDryRun
    ? new DryTarget(shards, onBytes, signal)
    : await StoreTarget.open(
        seams,
        {
          settings,
          fileKeys: keysOfTarget(sources, fileKeys),
          source,
          run: (store, onStolen) => runStore(seams, store, settings, onStolen),
        },
        shards,
        onBytes,
        signal,
      )
  try {
    const how = { isDryRun, lockedBuckets, nowMs: () => clock.wallMs(), onEntry }
    return await new Rescue(sourceDisk, sources, shards, target, how, signal).run()
  } finally {
    await target.close()
    await shards.close()
    await compute.close()
  }
}
