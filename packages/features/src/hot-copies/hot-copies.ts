/**
 * Hot copies of this node: their figures, and which objects they are of; the job that drops cold ones.
 *
 * Names are looked up when somebody asks for them: an object's shards name it. If blocks are shared, or the object was
 * renamed or deleted, that is the object for which they were written first. A pack has up to 128 objects: no name is said.
 */
import type { z } from "zod"
import type { ReadOnly } from "@hayloft/base/read-only.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { PACKED_PART } from "@hayloft/base/limits.js"
import type { Blocks, HotCopies } from "@hayloft/engine/block/index.js"
import { mapBounded, type Job } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { bucketNames } from "@hayloft/objects/door/index.js"
import type { HOT_COPIES } from "./schemas.js"

/** Objects of a report: for each the header of a shard is read. */
const SHOWN_MAX = 1_000
const HEADERS_CONCURRENT = 16

export type HotCopiesReport = Omit<ReadOnly<z.output<typeof HOT_COPIES>>, "isOn">

export const HOT_COPIES_JOB = "hot-copies"

export class HotCopiesOfNode {
  constructor(
    private readonly copies: HotCopies,
    private readonly blocks: Pick<Blocks, "ownerOf">,
    private readonly metadata: Pick<Metadata, "ask">,
  ) {}

  get job(): Job {
    const { copies } = this
    return {
      name: HOT_COPIES_JOB,
      progress: () => `${copies.figures.copies} copies, ${copies.figures.usedBytes} bytes`,
      step: async () => {
        copies.dropCold()
        return "idle"
      },
    }
  }

  /** With the hottest objects, at most `max`. */
  async report(max: number): Promise<HotCopiesReport> {
    const { figures, hottest: shown } = await this.copies.report(Math.min(max, SHOWN_MAX))
    const owners = await mapBounded(shown, HEADERS_CONCURRENT, ({ extent, block, part }) =>
      part === PACKED_PART ? Promise.resolve(undefined) : this.blocks.ownerOf(extent, block),
    )
    const names = await this.metadata.ask(bucketNames(owners.flatMap(owner => (owner ? [owner.bucketId] : []))))
    const bucketOf = names.values()
    const hottest = shown.map(({ extent: _, block: __, ...object }, i) => {
      const owner = owners[i]
      const bucket = owner && bucketOf.next().value
      return { ...object, bucket, key: owner && bucket && textOfObjectKey(owner.key) }
    })
    return { ...figures, hottest }
  }
}
