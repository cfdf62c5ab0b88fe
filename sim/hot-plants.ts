/** Planted bugs of hot copies, which tests must catch. */
import type { TestedPlant } from "./plants.js"

const CORE = "packages/engine/src/block/hot-copies-core.ts"
const COPIES = "packages/engine/src/block/hot-copies.ts"
const RATES = "packages/engine/src/block/read-rates-core.ts"
const AHEAD = "packages/engine/src/block/read-ahead.ts"
const READER = "packages/engine/src/block/block-reader.ts"
const LEDGER = "packages/upkeep/src/repair/repair-ledger.ts"

const plant =
  (caughtBy: string) =>
  (bug: string, file: string, find: string, put: string): TestedPlant => ({
    bug: `hot: ${bug}`,
    edits: [{ file, find, put }],
    caughtBy,
  })

const ofCore = plant("packages/engine/src/block/hot-copies-core")
const ofReader = plant("packages/engine/src/block/hot-copies")

export const HOT_PLANTS: readonly TestedPlant[] = [
  ofCore(
    "re-encoded blocks are read from the copies of former ones",
    CORE,
    "const { generation } = blockShape(extent, block)",
    "const generation = 0 * blockShape(extent, block).generation",
  ),
  ofCore("parts of an upload share their copies", CORE, "extent.part}.", "0 * extent.part}."),
  ofCore(
    "bytes that readers still hold are not counted",
    CORE,
    "copy.isDropped = true\n    this.freeIfUnused(copy)",
    "copy.isDropped = true\n    this.free(copy)",
  ),
  ofCore("the space of a copy that could not be made is lost", CORE, "copy.sinceMs = nowMs\n    this.free(copy)", ""),
  ofCore("the space of a dropped copy is lost", CORE, "this.usedBytes -= copy.unit.lengthBytes", ""),
  ofCore("copies that are being made need no space", CORE, "this.usedBytes + bytes - this", "this.usedBytes - this"),
  ofCore("reads of the former minute count for ever", RATES, "previous.fill(0)", ""),
  ofCore("reads of earlier minutes stay after a pause", RATES, "else this.current.fill(0)", ""),
  ofCore(
    "counters count other keys too",
    RATES,
    "if (current[cell] === least) current[cell] = least + 1",
    "current[cell] = (current[cell] ?? 0) + 1",
  ),
  ofCore("whatever is read gets a copy", CORE, ">= this.terms.readsPerMinute\n", ">= 1\n"),
  ofCore("copies are taken by what is just as hot", CORE, "own * hotterTimes <= rate", "own <= rate"),
  ofCore(
    "the hottest copies leave first",
    CORE,
    "candidates.sort(([a], [b]) => a - b)",
    "candidates.sort(([a], [b]) => b - a)",
  ),
  ofCore(
    "copies are dropped although there is not enough space for the hotter one",
    CORE,
    "return missing <= 0 ? victims : undefined",
    "return victims",
  ),
  ofCore(
    "copies that readers hold are taken",
    CORE,
    'copy.state === "made" && copy.readers === 0 ? this',
    'copy.state === "made" ? this',
  ),
  ofCore("an admission looks at the same copies again", CORE, "else this.find(copy.key)", ""),
  ofCore(
    "cold copies stay",
    CORE,
    "if (isWarm) copy.sinceMs = nowMs\n",
    "copy.sinceMs = nowMs\n      if (isWarm) continue\n",
  ),
  ofCore("warm copies are dropped", CORE, "if (isWarm) copy.sinceMs = nowMs\n      else if", "if"),
  ofCore(
    "a unit reaches into the next block",
    CORE,
    "Math.min(unitBytes, extent.blockBytes - at, extent",
    "Math.min(unitBytes, extent",
  ),
  ofReader("readers do not return what they hold", COPIES, "if (copy !== undefined) this.ledger.giveBack(copy)", ""),
  ofReader(
    "a copy is lent before it is complete",
    COPIES,
    'return copy.state === "made" ? wanted : ',
    "return wanted ?? ",
  ),
  ofReader("readers fail with the copy", COPIES, "isMade ? wanted : undefined", "wanted"),
  ofReader("each piece of a reader counts as a read", COPIES, "this.lastKey = key", ""),
  ofReader(
    "a lent copy begins where its unit begins",
    COPIES,
    "const from = range.offsetBytes - unit.offsetBytes",
    "const from = 0",
  ),
  ofReader(
    "a reader that leaves keeps what was lent ahead",
    AHEAD,
    "bytes.then(this.give, () => undefined).finally(release)",
    "void bytes.finally(release)",
  ),
  ofReader(
    "a part of a range is lent as the whole",
    READER,
    "copied instanceof Uint8Array && copied.length === lengthBytes",
    "copied instanceof Uint8Array",
  ),
  ofReader("a range that is not lent keeps its copy", READER, "void after(copied, giveBack)", ""),
  plant("packages/upkeep/src/repair/repair")(
    "repair takes partitions in their order, not the riskiest first",
    LEDGER,
    "if (urgency < most && isDue(partition)) most = urgency",
    "if (most === NOTHING && urgency !== NOTHING && isDue(partition)) most = urgency",
  ),
]
