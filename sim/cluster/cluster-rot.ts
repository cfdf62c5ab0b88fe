/**
 * Rot in a cluster: one bit of a stored needle changes, and stays so until the store has found it and written the shard
 * again.
 *
 * Promises  Only a shard of a block rots that has all others, of which none has rotted: what cannot be read then was lost
 *           by the store.
 */
import type { RowKey } from "@hayloft/base/ids.js"
import { decodeNeedlePlace } from "@hayloft/engine/format/needles/needle.js"
import { foldersOf } from "@hayloft/node/devices/folders.js"
import type { Medium } from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { describeNeedle } from "../world/wholeness.js"
import type { Cluster } from "./cluster.js"
import type { ClusterNode } from "./cluster-node.js"
import { wholeBlocks } from "./content.js"

interface Damage {
  readonly node: ClusterNode
  readonly path: string
  readonly key: RowKey
  readonly volume: number
  readonly offsetBytes: number
  /** The offset of the byte, and its value since. */
  readonly at: number
  readonly byte: number
}

/** Damages at the same time: each is searched among the needles of its device. */
const DAMAGES_MAX = 20

export class ClusterRot {
  private readonly damages: Damage[] = []
  /** Keys of the shards of blocks of which one has rotted. */
  private readonly touched = new Set<RowKey>()

  constructor(
    private readonly cluster: Cluster,
    private readonly random: Random,
  ) {}

  /** Damages one needle; returns a description. Undefined: none may rot now. */
  strike(): string | undefined {
    const { cluster, random, damages, touched } = this
    const blocks = wholeBlocks(cluster).filter(({ keys }) => !keys.some(key => touched.has(key)))
    const block = blocks[random.below(Math.max(1, blocks.length))]
    const shard = block?.shards[random.below(block.shards.length)]
    if (block === undefined || shard === undefined || damages.length >= DAMAGES_MAX) return undefined
    const { node, device, key } = shard
    const row = device.rows.get("needles", key)
    if (row === undefined) return undefined
    const { volume, offsetBytes, headerBytes, bodyBytes } = decodeNeedlePlace(row.value)
    const { path } = device.place
    const [at, bit] = [offsetBytes + random.below(headerBytes + bodyBytes), random.below(8)]
    const { medium } = node.bays.driveOf(path).disk
    const file = volumeFile(medium, path, volume)
    if (file === undefined) return undefined
    const byte = (medium.fileAt(file)?.synced.at(at) ?? 0) ^ (1 << bit)
    medium.alter(file, content => {
      if (at < content.length) content[at] = byte
    })
    for (const each of block.keys) touched.add(each)
    damages.push({ node, path, key, volume, offsetBytes, at, byte })
    return `${node.name}:${path}: rot in ${describeNeedle(key)}`
  }

  get count(): number {
    return this.damages.length
  }

  /** Describes a shard that a row references and that is still damaged; undefined if all have been repaired. */
  left(): string | undefined {
    const { cluster } = this
    const referenced = new Set(wholeBlocks(cluster).flatMap(({ keys }) => keys))
    for (const { node, path, key, volume, offsetBytes, at, byte } of this.damages) {
      const { medium } = node.bays.driveOf(path).disk
      const file = volumeFile(medium, path, volume)
      const content = file === undefined ? undefined : medium.fileAt(file)
      // A power cut may have repeated the write of the shard.
      if (content?.current.at(at) !== byte) continue
      const device = node.serving?.engine.devices.find(({ place }) => place.path === path)
      const row = device?.rows.get("needles", key)
      if (row === undefined || !referenced.has(key)) continue
      const place = decodeNeedlePlace(row.value)
      const isOld = place.volume === volume && place.offsetBytes === offsetBytes
      if (isOld) return `${node.name}:${path} still has the rotten ${describeNeedle(key)}`
    }
    return undefined
  }
}

function volumeFile(medium: Medium, path: string, volume: number): string | undefined {
  const { volumes } = foldersOf(path)
  const name = medium.namesIn(volumes).find(each => Number.parseInt(each, 10) === volume)
  return name && `${volumes}/${name}`
}
