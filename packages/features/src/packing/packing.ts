/**
 * Packing of a bucket that has opted in: its setting, and what packing has made of the bucket. See decision 91.
 *
 * Promises  Before a bucket opts in, the devices refuse earlier releases, which do not know packs.
 */
import type { z } from "zod"
import type { ReadOnly } from "@hayloft/base/read-only.js"
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import {
  encodePackingSetting,
  PACKING_DEFAULTS,
  type PackingPass,
  type PackingSetting,
} from "@hayloft/engine/format/objects/packing-rows.js"
import { laterTurn } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import type { Core } from "@hayloft/objects/door/index.js"
import { recount, RECOUNT_LIMITS, rowsOfBucket, setSetting } from "@hayloft/objects/door/rows.js"
import { CANDIDATE_LIMITS, candidatesFrom, packsFrom } from "./candidates-core.js"
import { beginAgain, packingOf } from "./pack-commands-core.js"
import type { PACKING } from "./schemas.js"

type PackingReport = ReadOnly<Omit<z.output<typeof PACKING>, "pass">> & { readonly pass: PackingPass | undefined }

interface PackingSeams {
  readonly clock: Clock
  readonly metadata: Metadata
  readonly storeClock: Pick<Core["storeClock"], "shownMs">
  readonly encryptsAtRest: boolean
}

export class Packing {
  constructor(
    private readonly seams: PackingSeams,
    /** Longer objects are never packed. */
    private readonly bytesMax: () => number,
    /** Resolves once the devices refuse releases that do not know packs. */
    private readonly prepare: () => Promise<void>,
  ) {}

  /** The setting is carried out from now on; undefined: no more objects are packed. Throws `noSuchBucket`, `invalidRequest`. */
  async set({ id }: Pick<Bucket, "id">, setting: PackingSetting | undefined): Promise<void> {
    const { metadata, encryptsAtRest } = this.seams
    if (setting === undefined) return metadata.run(setSetting(id, "packing", undefined))
    if (encryptsAtRest)
      throw fail("invalidRequest", {
        message: "the store encrypts all bytes (--encrypt-at-rest), each object with a key of its own: none is packed",
      })
    await this.prepare()
    await metadata.run(setSetting(id, "packing", encodePackingSetting(setting)))
    await metadata.run(beginAgain(id))
  }

  async setting({ id }: Pick<Bucket, "id">): Promise<PackingSetting | undefined> {
    return (await this.seams.metadata.ask(packingOf(id))).setting
  }

  /** Reads all rows of the bucket. */
  async stat({ id }: Pick<Bucket, "id">): Promise<PackingReport> {
    const { metadata, encryptsAtRest } = this.seams
    const { setting, pass } = await metadata.ask(packingOf(id))
    const isOn = setting !== undefined
    const state = isOn ? (encryptsAtRest ? "suspended" : "on") : "off"
    return { state, setting, pass, ...(await this.packsOf(id)), ...(await this.candidatesOf(id, setting)) }
  }

  private async packsOf(id: BucketId) {
    const { clock, metadata } = this.seams
    const found = { packs: 0, sparsePacks: 0, packedObjects: 0, packBytes: 0, liveBytes: 0 }
    const { rowsMax, segmentsPerQuery, rowsPerQuery } = RECOUNT_LIMITS
    let counted: RowKey[] = []
    const count = async (): Promise<void> => {
      const walking = { clock, metadata, limits: { segmentsPerQuery } }
      for (const { distinctBytes } of (await recount(walking, id, counted)).values()) found.liveBytes += distinctBytes
      counted = []
    }
    for await (const page of walkPages(rowsOfBucket(id).start, from => this.packsPage(id, from, rowsPerQuery))) {
      for (const { rowKey, isSparse, bytes, count: left } of page.packs) {
        found.packs += 1
        found.sparsePacks += Number(isSparse)
        found.packedObjects += left
        found.packBytes += bytes
        counted.push(rowKey)
      }
      if (counted.length + rowsPerQuery > rowsMax) await count()
      await laterTurn(clock)
    }
    if (counted.length > 0) await count()
    return found
  }

  private packsPage(id: BucketId, from: RowKey, rowsMax: number) {
    return this.seams.metadata.ask(packsFrom(id, from, rowsMax))
  }

  private async candidatesOf(id: BucketId, setting: PackingSetting = PACKING_DEFAULTS) {
    const { clock, storeClock } = this.seams
    const beforeMs = Math.min(storeClock.shownMs, clock.wallMs()) - setting.afterSeconds * 1_000
    const cold = { beforeMs, maxBytes: Math.min(setting.maxBytes, this.bytesMax()) }
    const found = { waitingObjects: 0, waitingBytes: 0 }
    const leftOut: Record<string, number> = {}
    for await (const page of walkPages(rowsOfBucket(id).start, from => this.candidatesPage(id, from, cold))) {
      found.waitingObjects += page.found.length
      found.waitingBytes += page.found.reduce((sum, { record }) => sum + record.head.sizeBytes, 0)
      for (const [reason, count] of Object.entries(page.leftOut)) leftOut[reason] = (leftOut[reason] ?? 0) + count
      await laterTurn(clock)
    }
    return { ...found, leftOut }
  }

  private candidatesPage(id: BucketId, from: RowKey, cold: { readonly beforeMs: number; readonly maxBytes: number }) {
    return this.seams.metadata.ask(candidatesFrom(id, from, cold, CANDIDATE_LIMITS.rowsPerSlice))
  }
}
