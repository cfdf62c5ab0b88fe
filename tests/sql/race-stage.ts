/** Two engines on one database that do things at the same time. */
import { must } from "@hayloft/base/assert.js"
import { asFailure, type FailureKind } from "@hayloft/base/failures.js"
import { parseAccountId, parseBucketName, type BucketId, type ObjectKey } from "@hayloft/base/ids.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import type { Command, Metadata } from "@hayloft/engine/metadata/index.js"
import { createBucket } from "@hayloft/objects/commands/bucket-commands-core.js"
import { NO_CHECKSUM } from "@hayloft/objects/commands/row-editor-core.js"
import { putVersion } from "@hayloft/objects/commands/version-commands-core.js"

export const OWNER = parseAccountId("root")

export interface RaceSettings {
  readonly engines: readonly [Metadata, Metadata]
  readonly rounds: number
  /** Passes between the starts of the two that race. */
  headStart(round: number): Promise<void>
}

/** "done", or the kind of the refusal. */
type Outcome = "done" | FailureKind

const outcomeOf = (run: Promise<unknown>): Promise<Outcome> =>
  run.then(
    () => "done" as const,
    (error: unknown) => asFailure(error).kind,
  )

/** Two engines on one database. */
export class RaceStage {
  readonly rounds: number
  readonly engines: RaceSettings["engines"]

  constructor(private readonly settings: RaceSettings) {
    this.rounds = settings.rounds
    this.engines = settings.engines
  }

  run<Result>(engine: 0 | 1, command: Command<Result>): Promise<Result> {
    return this.engines[engine].run(command)
  }

  /** Both at the same time, the first a little earlier in some rounds. */
  async race(round: number, first: () => Promise<unknown>, second: () => Promise<unknown>) {
    const runs = [outcomeOf(first())]
    await this.settings.headStart(round)
    runs.push(outcomeOf(second()))
    const [one, other] = await Promise.all(runs)
    return [must(one, "an outcome"), must(other, "an outcome")] as const
  }

  /** Both at the same time, like `race`; returns their results. */
  async both<A, B>(round: number, first: () => Promise<A>, second: () => Promise<B>): Promise<readonly [A, B]> {
    const running = first()
    // A rejection is noticed below.
    running.catch(() => undefined)
    await this.settings.headStart(round)
    return Promise.all([running, second()])
  }

  async newBucket(name: string): Promise<BucketId> {
    return (await this.run(0, createBucket({ name: parseBucketName(name), owner: OWNER, location: "" }))).id
  }
}

/** Puts an object whose bytes are in blocks that the engine has written. */
export const putOfExtent = (bucketId: BucketId, key: ObjectKey, extent: Extent) =>
  putVersion({
    bucketId,
    key,
    uploadId: extent.uploadId,
    conditions: {},
    hints: [],
    version: {
      content: { kind: "extent", extent },
      payload: undefined,
      sizeBytes: extent.lengthBytes,
      parts: 0,
      md5: new Uint8Array(16),
      random: new Uint8Array(8),
      checksum: NO_CHECKSUM,
      details: NO_DETAILS,
      storageClass: "STANDARD",
      isShared: false,
    },
  })
