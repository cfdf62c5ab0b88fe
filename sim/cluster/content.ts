/**
 * The stored content of a simulated cluster, from outside: the rows of the database, and the needles of all devices.
 * Checks that every shard that a row references is where it belongs, that shards of a block are on different machines,
 * and that released bytes stay.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import type { DeviceId, RowKey } from "@hayloft/base/ids.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { shardCount, shardsNeeded, textOfPolicy } from "@hayloft/base/policy.js"
import { layoutOf } from "@hayloft/engine/cluster/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { isVersionFamily, versionOfRow } from "@hayloft/engine/format/objects/deleted-version.js"
import { blockCount, exceptionOf, type Extent } from "@hayloft/engine/format/needles/extent.js"
import { needleKeyOf } from "@hayloft/engine/format/needles/needle.js"
import { partitionOf } from "@hayloft/engine/format/needles/partition.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import { multipartRowKey, objectRowKeyOf, uploadOfPartRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import type { Engine } from "@hayloft/node/engine.js"
import { extentsIn, needlesOf, needleKeysIn } from "../world/audit.js"
import { check } from "../world/checks.js"
import { describeNeedle, holdings } from "../world/wholeness.js"
import type { Cluster } from "./cluster.js"
import type { ClusterNode } from "./cluster-node.js"

/** Returns what rows of these families reference. */
function extentsOf(cluster: Cluster, only?: ReadonlySet<Family>): readonly Extent[] {
  const { rows } = cluster.database.copy()
  return [
    ...extentsIn(function* (family: Family) {
      if (only?.has(family) === false) return
      for (const row of rows) if (row.family === family && row.value !== undefined) yield row.value
    }),
  ]
}

const OBJECTS: ReadonlySet<Family> = new Set(["current", "versions"])

/**
 * Describes an object whose blocks are under another policy than that of its class, or of the store if its class has none;
 * undefined if there is none.
 */
export function unlikePolicyOf(cluster: Cluster, { policy: ofStore, classes = [] }: ControlRecord): string | undefined {
  const ofClasses = new Map(classes)
  for (const { family, value } of cluster.database.copy().rows) {
    if (!OBJECTS.has(family) || value === undefined) continue
    const { head, content } = decodeVersion(value)
    if (content.kind !== "extent") continue
    const { extent } = content
    const wanted = textOfPolicy(ofClasses.get(head.storageClass) ?? ofStore)
    for (const { policy } of [extent, ...extent.exceptions]) {
      if (textOfPolicy(policy) === wanted) continue
      return `blocks of ${extent.uploadId}, ${head.storageClass}, are under ${textOfPolicy(policy)}`
    }
  }
  return undefined
}

const OF_UPLOADS: ReadonlySet<Family> = new Set(["parts", "segments"])
type DatabaseRows = ReturnType<Cluster["database"]["copy"]>["rows"]
type Holdings = ReadonlyMap<DeviceId, ReadonlySet<RowKey>>

const holdingsOf = (cluster: Cluster): Holdings =>
  new Map(cluster.serving.flatMap(({ engine }) => [...holdings(engine)]))

/** Multipart uploads that are open, of which a version consists, or that others reference: the rows of others wait for the collector. */
function keptUploads(rows: DatabaseRows): ReadonlySet<RowKey> {
  const kept = new Set<RowKey>()
  for (const { family, key, value } of rows) {
    if (value === undefined) continue
    if (family === "uploads" || (family === "references" && decodeReferences(value).count > 0)) kept.add(key)
    if (!isVersionFamily(family)) continue
    const { content } = versionOfRow(family, value)
    if (content.kind === "segments") kept.add(multipartRowKey(objectRowKeyOf(key), content.multipartId))
  }
  return kept
}

/**
 * Describes a referenced shard that is not on its assigned device; undefined if every shard is. Blocks that wait for the collector
 * are not re-encoded, so they may have a slot that the layout no longer has.
 */
export function missingShardOf(cluster: Cluster, record: ControlRecord): string | undefined {
  const [layout, held] = [layoutOf(record.layout), holdingsOf(cluster)]
  const { rows } = cluster.database.copy()
  const kept = keptUploads(rows)
  for (const { family, key: row, value } of rows) {
    if (value === undefined) continue
    const isKept = !OF_UPLOADS.has(family) || kept.has(uploadOfPartRowKey(row))
    for (const extent of extentsIn(each => (each === family ? [value] : []))) {
      for (const { key, assigned } of needlesOf(extent, layout)) {
        const isThere = assigned.some(id => held.get(id)?.has(rowKeyOf(key)) === true)
        if (!isThere && (isKept || assigned.length > 0))
          return `device ${assigned.join(" or ")} lacks ${describeNeedle(key)}`
      }
    }
  }
  return undefined
}

/** No machine has more shards of an object's block than an even spread gives it, once the layout is in effect. */
export function checkMachines(cluster: Cluster, record: ControlRecord): void {
  const machineOf = new Map(record.devices.map(({ id, home }) => [id, home?.machine ?? ""]))
  const machines = [...machineOf.values()]
  const sizes = [...new Set(machines)].map(name => machines.filter(machine => machine === name).length)
  const held = holdingsOf(cluster)
  for (const extent of extentsOf(cluster, OBJECTS)) {
    for (let block = 0; block < blockCount(extent); block += 1) {
      const counts = new Map<string, number>()
      const keys = shardKeysOf(extent, block)
      for (const key of keys) {
        const holders = [...held].filter(([, has]) => has.has(key)).map(([id]) => machineOf.get(id) ?? "")
        for (const machine of new Set(holders)) counts.set(machine, (counts.get(machine) ?? 0) + 1)
      }
      const most = evenShare(keys.length, sizes)
      for (const [machine, count] of counts) {
        const found = () => `${machine} has ${count} of ${keys.length} shards of ${describeNeedle(keys[0] ?? "")}`
        check("machinesAreApart", count <= most, found)
      }
    }
  }
}

/** The most shards that a machine has if they are spread evenly over machines with so many devices each. */
function evenShare(shards: number, sizes: readonly number[]): number {
  let most = 1
  while (sizes.reduce((sum, size) => sum + Math.min(size, most), 0) < shards && most < shards) most += 1
  return most
}

function shardKeysOf(extent: Extent, block: number): readonly RowKey[] {
  const exception = exceptionOf(extent, block)
  const { policy, generation } = exception ?? extent
  const { uploadId, part } = extent
  const partition = partitionOf(uploadId, part, block)
  return Array.from({ length: shardCount(policy) }, (_, slot) =>
    rowKeyOf(needleKeyOf({ partition, uploadId, part, block, generation, slot })),
  )
}

/** A shard on a device. */
interface HeldShard {
  readonly node: ClusterNode
  readonly device: Engine["devices"][number]
  readonly key: RowKey
}

/** Blocks of objects of which all shards are stored, on the devices that can be seen now. */
export function wholeBlocks(
  cluster: Cluster,
): readonly { readonly keys: readonly RowKey[]; readonly shards: readonly HeldShard[] }[] {
  const held = new Map<RowKey, HeldShard>()
  for (const { node, engine } of cluster.serving) {
    for (const device of engine.devices) {
      for (const key of needleKeysIn(device.rows)) held.set(key, { node, device, key })
    }
  }
  return extentsOf(cluster, OBJECTS).flatMap(extent =>
    Array.from({ length: blockCount(extent) }, (_, block) => shardKeysOf(extent, block)).flatMap(keys => {
      const shards = keys.flatMap(key => held.get(key) ?? [])
      return shards.length === keys.length && keys.length > 1 ? [{ keys, shards }] : []
    }),
  )
}

/** Blocks that rows referenced at any time: they must be readable for the whole retention. */
export class Referenced {
  /** By the first shard: how many shards a read needs. */
  private readonly blocks = new Map<string, { readonly keys: readonly RowKey[]; readonly needed: number }>()

  note(cluster: Cluster): void {
    for (const extent of extentsOf(cluster)) {
      for (let block = 0; block < blockCount(extent); block += 1) {
        const keys = shardKeysOf(extent, block)
        const needed = shardsNeeded((exceptionOf(extent, block) ?? extent).policy)
        this.blocks.set(keys.join(), { keys, needed })
      }
    }
  }

  check(cluster: Cluster): void {
    const all = new Set([...holdingsOf(cluster).values()].flatMap(keys => [...keys]))
    for (const { keys, needed } of this.blocks.values()) {
      const left = keys.filter(key => all.has(key)).length
      check(
        "releasedBytesStay",
        left >= needed,
        () => `${left} of ${needed} shards are left of ${describeNeedle(keys[0] ?? "")}`,
      )
    }
  }
}
