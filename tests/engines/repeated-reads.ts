/** Reads that clients of fronts repeat: what a front answers from memory is what the engine answers at the same moment. */
import assert from "node:assert/strict"
import { parseBucketId, type RowKey } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import { parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import type { Metadata, Query, Touches } from "@hayloft/engine/metadata/index.js"
import { versionAndPart } from "@hayloft/objects/bodies/object-reader.js"
import { comparable } from "./comparable.js"

type Ask = (query: Query<unknown>) => Soon<unknown>

function readsOf(row: RowKey): readonly Query<unknown>[] {
  const { bucketId, key } = parseObjectRowKey(row)
  const id = parseBucketId(bucketId)
  return [
    versionAndPart(id, key, undefined, undefined, true),
    versionAndPart(id, key, undefined, 1, false),
    versionAndPart(id, key, NULL_VERSION, undefined, false),
  ]
}

/** An answer as text; undefined: it comes later. */
function answerNow(ask: () => Soon<unknown>): string | undefined {
  try {
    const answer = ask()
    if (!(answer instanceof Promise)) return comparable(answer)
    answer.catch(() => undefined)
    return undefined
  } catch (error) {
    return String(error)
  }
}

export class RepeatedReads {
  private readonly reads = new Map<RowKey, readonly Query<unknown>[]>()

  constructor(private readonly engine: () => Pick<Metadata, "ask">) {}

  /** From now on the objects whose rows a command touches are read. */
  note(touches: Touches): void {
    for (const [family, row] of touches) if (family === "current") this.reads.set(row, readsOf(row))
  }

  /** Asks a front. */
  repeat(ask: Ask): void {
    for (const query of [...this.reads.values()].flat()) {
      const answer = answerNow(() => ask(query))
      const expected = answer === undefined ? undefined : answerNow(() => this.engine().ask(query))
      if (expected !== undefined) assert.equal(answer, expected, `${query.name} is answered from memory`)
    }
  }
}
